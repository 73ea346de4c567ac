"""Tables in place of training."""

import math

import numpy as np
import pytest

from archcast import datasets
from archcast.encoders.errors import InvalidSettingError, InvalidSpecError, UnknownTaskError
from archcast.encoders.spaces import get_space
from archcast.encoders.tabular import tabular
from archcast.search import Constraint, simulate
from archcast.search._nearest import Codes

TASK = "toy/val_accuracy"


@pytest.fixture
def toy(sampled):
    return simulate(sampled, TASK)


def test_what_is_not_measured_is_not_there(toy, sampled):
    assert toy.domain.size == 99
    assert toy.optimum == 98
    assert toy.objective.direction == "max"
    assert toy.objective.unit == "%"
    drawn = toy.domain.sample(500, np.random.default_rng(0))
    assert sorted(drawn) == sorted(set(sampled.specs[:99]))
    with pytest.raises(InvalidSpecError, match="no measurement"):
        toy.evaluate(sampled.specs[99])


def test_the_clock_runs_with_the_trainings(toy, sampled):
    found = toy.evaluate(sampled.specs[4])
    assert found == (4.0, 104.0, 1.0)
    found = toy.evaluate(sampled.specs[6], 0.1)
    assert found.value == 3.0
    assert found.seconds == pytest.approx(10.6)
    assert toy.trainings == pytest.approx(1.1)
    assert toy.seconds == pytest.approx(114.6)
    toy.look_up(sampled.specs[6])
    assert toy.trainings == pytest.approx(1.1)
    toy.reset()
    assert (toy.trainings, toy.seconds) == (0, 0)


def test_a_study_takes_it_as_it_is(toy, sampled):
    found = toy(sampled.specs[4], 1.0)
    assert (found.values, found.seconds) == (4.0, 104.0)


def test_the_longest_training_that_is_no_longer_answers(toy, sampled):
    assert toy.fidelities == (0.1, 1.0)
    assert toy.evaluate(sampled.specs[6], 0.5).fidelity == 0.1
    with pytest.raises(InvalidSettingError, match=r"there are 0\.1, 1"):
        toy.evaluate(sampled.specs[6], 0.05)
    with pytest.raises(InvalidSettingError, match="no training of 2"):
        toy.evaluate(sampled.specs[6], 2)


def test_regret_is_of_what_is_searched_and_of_what_is_reported(sampled):
    found = simulate(sampled, TASK, report="toy/test_accuracy")
    assert found.regret(90.0) == 8
    best = sampled.specs[98]
    assert found.reported(best) == 1.0
    # Row 0 would be best by the reported task, but has no label there: the table is reversed.
    assert found.reported_regret(best) == 97


def test_losses_are_to_be_small(sampled):
    found = simulate(sampled, "phone/latency_ms")
    assert (found.objective.direction, found.objective.unit) == ("min", "ms")
    assert found.optimum == 0
    assert found.regret(5.0) == 5
    assert math.isnan(found.seconds)


def test_neighbours_in_a_sample_are_the_nearest_measured(toy):
    spec = toy.domain.table.specs[0]
    near = toy.domain.neighbours(spec)
    assert len(near) == 24
    assert spec not in near
    assert set(near) <= set(toy.domain.table.specs)
    changed = [differences(spec, other) for other in near]
    assert changed == sorted(changed)
    others = set(toy.domain.table.specs) - set(near) - {spec}
    assert min(differences(spec, other) for other in others) >= changed[-1]


def differences(one, other):
    """Edges of two cells of NAS-Bench-201 that differ."""
    return sum(a != b for a, b in zip(one.split("|"), other.split("|"), strict=True))


def test_children_are_measured(toy):
    rng = np.random.default_rng(0)
    first, second = toy.domain.table.specs[:2]
    children = {toy.domain.crossover(first, second, rng) for _ in range(20)}
    assert children <= set(toy.domain.table.specs)
    assert len(children) > 1


def test_a_whole_space_keeps_its_own_neighbours(table):
    space = get_space("nasbench201")
    whole = simulate(table(list(space.enumerate()), "nasbench201"), TASK)
    spec = whole.domain.table.specs[77]
    last = list(space.enumerate())[-1]
    assert whole.domain.neighbours(spec) == [s for s in space.neighbours(spec) if s != last]


def test_isomorphic_cells_of_nasbench101_share_a_row(table):
    space = get_space("nasbench101")
    # The same two branches in the other order of their vertices.
    one = space.text(space.parse("0110000100010000:conv3x3,conv1x1"))
    other = "0110000100010000:conv1x1,conv3x3"
    data = table([one, *space.sample(30, seed=0)], "nasbench101")
    data._key = space.module_hash
    found = simulate(data, TASK)
    assert found.domain.text(other) == one
    assert found.evaluate(other).value == 0


def test_one_more_vertex_leaves_the_others_in_place():
    space = get_space("nasbench101")
    block, longer = "011001000:conv3x3", "0101001000010000:conv3x3,conv1x1"
    codes = Codes(space, [block, longer, "011001000:maxpool3x3"])
    # One edge goes, two and an operator come; the way around stays where it is.
    assert codes.distances(block).tolist() == [0, 4, 1]
    assert codes.nearest(block, 5) == [2, 1]


def test_features_are_those_of_the_graphs(toy):
    specs = toy.domain.table.specs[3:9]
    expected = tabular(get_space("nasbench201").graphs(specs)).values
    assert np.array_equal(toy.domain.features(specs), expected)
    assert np.array_equal(toy.domain.features(specs[::-1]), expected[::-1])
    assert toy.domain.features([]).shape == (0, expected.shape[1])


def test_costs_of_the_table_and_of_graphs_bound_the_search(sampled):
    bounds = ["phone/latency_ms<=2", Constraint("params", high=4e5)]
    found = simulate(sampled, TASK, constraints=bounds)
    specs = found.domain.sample(99, np.random.default_rng(0))
    assert 0 < len(specs) < 60
    assert found.domain.cost("phone/latency_ms", specs).max() <= 2
    assert found.domain.cost("params", specs).max() <= 4e5
    assert found.optimum == max(found.look_up(s).value for s in found.domain.everything() or ())


def test_single_measurements_instead_of_their_mean(sampled, table):
    single = np.stack([np.arange(100.0) - 1, np.arange(100.0) + 1, np.full(100, np.nan)], 1)
    data = table(sampled.specs, "nasbench201", name="toy-seeds", seeds={TASK: lambda: single})
    spec = data.specs[10]
    values = {simulate(data, TASK, noise=seed).evaluate(spec).value for seed in range(20)}
    assert values == {9.0, 11.0}
    noisy = simulate(data, TASK, noise=1)
    assert noisy.evaluate(spec) == noisy.evaluate(spec)
    assert noisy.optimum == 98
    with pytest.raises(InvalidSettingError, match="no single measurements"):
        simulate(sampled, TASK, noise=1)


def test_wrong_names_are_told(sampled):
    with pytest.raises(UnknownTaskError):
        simulate(sampled, "toy/nothing")


@pytest.mark.usefixtures("mirror")
def test_rows_that_are_no_specifications_are_refused():
    with pytest.raises(InvalidSettingError, match="no architectures of a search space"):
        simulate("ofa_latency", "v100-batch1/latency_ms")


@pytest.mark.usefixtures("mirror")
def test_real_times_of_nasbench101_and_201():
    found = simulate("nasbench101", "cifar10/val_accuracy")
    data = datasets.load("nasbench101")
    assert found.fidelities == pytest.approx((4 / 108, 12 / 108, 36 / 108, 1))
    spec = data.specs[17]
    times = data.labels("tpu_v2/training_time_s")
    whole, third = found.evaluate(spec), found.evaluate(spec, 1 / 3)
    assert (whole.value, whole.seconds) == (data.query(spec, "cifar10/val_accuracy"), times[17])
    assert third.value == data.query(spec, "cifar10/val_accuracy_36_epochs")
    assert third.seconds == pytest.approx(times[17] / 3)
    short = simulate("nasbench201", "cifar10/val_accuracy_12_epochs")
    spec = datasets.load("nasbench201").specs[0]
    assert short.evaluate(spec).seconds == pytest.approx(86.653116)
    long = simulate("nasbench201", "cifar10/val_accuracy")
    assert long.evaluate(spec, 12 / 200).seconds == pytest.approx(86.653116)
    assert math.isnan(simulate("nasbench201", "cifar100/val_accuracy").seconds)
