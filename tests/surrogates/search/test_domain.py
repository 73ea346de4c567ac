"""What a search may propose, and what is known of it for free."""

import itertools

import numpy as np
import pytest

from archcast.encoders.errors import InfeasibleError, InvalidSettingError, InvalidSpecError
from archcast.encoders.spaces import get_space
from archcast.encoders.tabular import tabular
from archcast.search import Constraint, Domain, Objective


def params(graphs):
    return np.array([float(g.params) for g in graphs])


def bounded(*bounds):
    return Domain(
        "nasbench201",
        constraints=[Constraint.parse(bound) for bound in bounds],
        costs={"params": params},
    )


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("params<=2M", -np.inf, 2e6),
        ("latency_ms:pixel3 <= 5", -np.inf, 5),
        ("macs>=1e7", 1e7, np.inf),
        ("energy_mj:pi5-onnx-cifar100<.5", -np.inf, 0.5),
    ],
)
def test_constraints_are_read(text, low, high):
    found = Constraint.parse(text)
    assert (found.low, found.high) == (low, high)
    assert Constraint.parse(str(found)) == found


@pytest.mark.parametrize("text", ["params", "params<=", "params<=many", "<=3", "params=3"])
def test_what_is_no_constraint_is_refused(text):
    with pytest.raises(InvalidSettingError):
        Constraint.parse(text)


def test_violations_are_distances_to_the_bounds():
    found = Constraint("c", 1, 3).violation([0, 1, 2, 5, np.nan])
    assert found.tolist() == [1, 0, 0, 2, np.inf]


def test_merit_turns_what_is_to_be_small():
    assert Objective("a").merit([1.0, -2.0]).tolist() == [1, -2]
    assert Objective("a", "min").merit([1.0, -2.0]).tolist() == [-1, 2]


def test_features_are_those_of_the_graphs(rng):
    domain = Domain("nasbench201")
    specs = domain.sample(20, rng)
    expected = tabular(domain.graphs(specs)).values
    assert np.array_equal(domain.features(specs), expected)
    assert np.array_equal(domain.features([*specs[5:], *specs[:1], *specs[:1]])[-1], expected[0])
    assert domain.features([]).shape == (0, expected.shape[1])


def test_texts_are_canonical():
    domain = Domain("nasbench201")
    text = get_space("nasbench201").text((0, 1, 2, 3, 4, 0))
    assert domain.text((0, 1, 2, 3, 4, 0)) == domain.text(f"nasbench201:{text}") == text
    with pytest.raises(InvalidSpecError):
        domain.text("|what~0|")


def test_nothing_that_breaks_a_constraint_is_met(rng):
    domain = bounded("params<=0.3M", "params>=0.1M")
    specs = domain.sample(50, rng)
    assert len(set(specs)) == 50
    others = [s for spec in specs[:5] for s in domain.neighbours(spec)]
    others += [s for spec in specs[:5] if (s := domain.mutate(spec, rng))]
    others += [domain.crossover(a, b, rng) for a, b in itertools.pairwise(specs[:9])]
    found = params(domain.graphs([*specs, *others]))
    assert found.min() >= 1e5
    assert found.max() <= 3e5
    assert domain.violation([specs[0]])[0] == 0


def test_rare_architectures_are_found_by_walking(rng):
    largest = params(get_space("nasbench201").graphs([(3, 3, 3, 3, 3, 3)]))[0]
    domain = bounded(f"params>={largest - 1}")
    assert domain.sample(3, rng) == [domain.text((3, 3, 3, 3, 3, 3))]


def test_bounds_on_two_costs_build_a_network_once(rng, monkeypatch):
    bounds = [Constraint.parse(text) for text in ("params<=0.5M", "layers<=1000")]

    def layers(graphs):
        return np.array([float(len(g.ops)) for g in graphs])

    domain = Domain("nasbench201", constraints=bounds, costs={"params": params, "layers": layers})
    built = []
    graphs = domain.graphs
    monkeypatch.setattr(domain, "graphs", lambda specs: built.extend(specs) or graphs(specs))
    specs = domain.space.sample(5, seed=0)
    kept = domain.feasible(specs)
    assert built == specs
    own = domain.space.graphs(specs)
    assert kept.tolist() == ((params(own) <= 5e5) & (layers(own) <= 1000)).tolist()
    assert domain.cost("layers", specs).tolist() == layers(own).tolist()
    assert built == specs


def test_what_nobody_meets_is_said_with_the_nearest(rng):
    with pytest.raises(InfeasibleError, match=r"params<=-1; the nearest found has params \d"):
        bounded("params<=-1").sample(1, rng)


def test_a_bound_on_an_unknown_cost_is_refused():
    with pytest.raises(InvalidSettingError, match="'latency'"):
        Domain("nasbench201", constraints=[Constraint("latency", high=1)])


def test_all_of_a_small_space(rng):
    assert len(Domain("nasbench201").everything() or ()) == 15_625
    assert Domain("darts").everything() is None
    few = bounded("params<=0.1M").everything() or []
    assert 0 < len(few) < 15_625
    assert params(bounded().graphs(few)).max() <= 1e5


def test_the_order_of_draws_follows_the_seed():
    domain = bounded("params<=0.3M")
    first, second = (domain.sample(9, np.random.default_rng(seed)) for seed in (1, 2))
    assert first == domain.sample(9, np.random.default_rng(1))
    assert first != second
