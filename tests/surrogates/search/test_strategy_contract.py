"""What every strategy is held to, whatever it does inside.

A strategy that needs settings to be quick, or cannot do without some, has them in ``OPTIONS``.
"""

import re
from math import nan
from zlib import crc32

import numpy as np
import pytest

from archcast.encoders.errors import InfeasibleError, InvalidSettingError, InvalidSpecError
from archcast.encoders.spaces import Field, FieldSpace
from archcast.search._registry import get_strategy, list_strategies, strategy_class
from archcast.search.domain import Domain
from archcast.search.objectives import Constraint

#: Settings that make a strategy leave its random beginning within a test.
OPTIONS = {
    "evolution": {"population": 8, "tournament": 3},
    "local": {"start": 3},
    "nsga2": {"population": 6},
    "map-elites": {"start": 8, "bins": 4},
    "bananas": {"members": 2, "epochs": 10},
    "boshnas": {"epochs": 10},
    "gbdt-nas": {"start": 10, "top": 5},
    "linas": {"start": 8, "refit": 5, "population": 8, "generations": 2},
    "weak": {"start": 8, "refit": 5, "predictor": "bayesian-linear"},
    "screen": {"candidates": 64},
    "robot": {"candidates": 64, "proxies": ("params", "flops")},
    "successive-halving": {"fidelities": (0.25, 0.5, 1.0), "eta": 2},
}
#: Those that train models which take their time.
HEAVY = {"bananas", "boshnas", "gbdt-nas", "weak", "linas", "robot"}


class Three(FieldSpace):
    """A space of three architectures."""

    name = "three"
    fields = (Field("width", (8, 16, 32)),)

    def build(self, net, cell, num_classes, image_size):
        """One convolution and a classifier."""
        ((width,),) = cell
        value = net.conv(net.input((3, image_size, image_size)), width, 3)
        net.output(net.linear(net.global_pool(value), num_classes))


class Stack(FieldSpace):
    """A space of 1,500 architectures, small enough for models that see all of it."""

    name = "stack"
    fields = (
        Field("width", (4, 8, 12, 16, 24), 2),
        Field("kernel", (1, 3, 5), 1),
        Field("act", ("relu", "tanh", "gelu", "silu"), 1),
        Field("skip", (0, 1, 2, 3, 4), 1),
    )
    image_size = 8

    def build(self, net, cell, num_classes, image_size):
        """Two convolutions, some residual ones, a classifier."""
        (first, second), (kernel,), (act,), (skip,) = cell
        value = net.conv(net.input((3, image_size, image_size)), first, 3)
        value = net.conv(net.act(act, value), second, kernel)
        for _ in range(skip):
            value = net.add(value, net.conv(net.act(act, value), second, 3))
        net.output(net.linear(net.global_pool(value), num_classes))


def params(graphs):
    return np.array([graph.params for graph in graphs], np.float64)


def macs(graphs):
    return np.array([graph.macs for graph in graphs], np.float64)


COSTS = {"params": params, "macs": macs}


def all_strategies():
    for name in list_strategies():
        yield pytest.param(name, marks=[pytest.mark.slow] * (name in HEAVY))


@pytest.fixture(scope="module")
def domain():
    """A fresh one would compute all features again."""
    return Domain(Stack(), costs=COSTS)


@pytest.fixture(scope="module")
def narrow():
    bounds = (Constraint.parse("params<=5k"), Constraint.parse("macs>=1e5"))
    return Domain(Stack(), constraints=bounds, costs=COSTS)


@pytest.fixture(params=all_strategies())
def name(request):
    return request.param


def build(name, domain, **options):
    return get_strategy(name, domain, **{**OPTIONS.get(name, {}), **options})


def value(spec, fidelity=1.0, objectives=1):
    """A landscape that can be climbed, and noise that shrinks with training."""
    noise = crc32(f"{spec}{fidelity}".encode()) / 2**32 - 0.5
    numbers = [float(number) for number in re.findall(r"\d+", spec)]
    merit = sum(numbers) / 10 + ("silu" in spec) + noise * (2 - fidelity)
    return [merit, *(-merit * (at + 1) + 3 * noise for at in range(objectives - 1))]


def advance(strategy, queries, at_once=1):
    """Ask and tell in turn; what was proposed."""
    found = []
    while len(found) < queries:
        asked = strategy.ask(at_once)
        if not asked:
            break
        found += asked
        for proposal in asked:
            told = value(*proposal, objectives=strategy.objectives)
            strategy.tell(proposal.spec, told, proposal.fidelity)
    return found


def test_nothing_is_proposed_twice(name, domain):
    found = advance(build(name, domain), 40)
    assert len(found) == 40
    assert len(set(found)) == 40
    assert all(domain.text(spec) == spec and 0 < fidelity <= 1 for spec, fidelity in found)


@pytest.mark.parametrize("seed", [0, 1])
def test_telling_again_restores(name, domain, seed):
    first = build(name, domain, seed=seed)
    for step in range(6):
        advance(first, 7 if step else 3, at_once=1 + step % 3)
        second = build(name, domain, seed=seed)
        for measured in first.history:
            second.tell(measured.spec, measured.merits, measured.fidelity)
        proposals = first.ask(3)
        assert proposals == second.ask(3)
        for proposal in proposals:  # nobody measures them: both begin the next step alike
            first.forget(proposal)


def test_the_same_seed_proposes_the_same(name, domain):
    runs = [advance(build(name, domain, seed=seed), 12, at_once=2) for seed in (3, 3, 4)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_workers_may_answer_in_any_order(name, domain):
    rng = np.random.default_rng(0)
    strategy = build(name, domain)
    running, begun = [], []
    for _ in range(12):
        asked = strategy.ask(4)
        assert len(asked) == 4
        running += asked
        begun += asked
        assert set(strategy.pending) == set(running)
        done = [running[at] for at in rng.permutation(len(running))[:4]]
        for proposal in done:
            strategy.tell(proposal.spec, value(*proposal), proposal.fidelity)
            running.remove(proposal)
    assert len(set(begun)) == len(begun)


def test_failures_are_survived(name, domain):
    rng = np.random.default_rng(0)
    strategy = build(name, domain)
    found = []
    for _ in range(30):
        (proposal,) = strategy.ask()
        found.append(proposal)
        merit = nan if rng.random() < 0.4 else value(*proposal)
        strategy.tell(proposal.spec, merit, proposal.fidelity)
    assert len(set(found)) == 30


def test_nothing_but_failures_is_survived(name, domain):
    strategy = build(name, domain)
    found = []
    for _ in range(15):
        (proposal,) = strategy.ask()
        found.append(proposal)
        strategy.tell(proposal.spec, nan, proposal.fidelity)
    assert len(set(found)) == 15


def test_a_dead_worker_may_be_forgotten(name, domain):
    strategy = build(name, domain)
    advance(strategy, 5)
    lost = strategy.ask(2)
    for proposal in lost:
        strategy.forget(proposal)
    assert strategy.pending == ()
    assert len(advance(strategy, 10)) == 10


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_a_space_of_three_is_exhausted(name, at_once):
    small = Domain(Three(), costs=COSTS)
    strategy = build(name, small)
    found = advance(strategy, 100, at_once)
    assert len(set(found)) == len(found)
    full = {spec for spec, fidelity in found if fidelity == 1}
    assert full == {"width=8", "width=16", "width=32"}
    assert strategy.ask(2) == []


def test_constraints_are_kept(name, narrow):
    found = advance(build(name, narrow), 20, at_once=2)
    assert len(set(found)) == 20
    assert narrow.feasible([proposal.spec for proposal in found]).all()


def test_constraints_that_nobody_meets_are_an_error(name):
    none = Domain(Three(), constraints=[Constraint.parse("macs>=1e12")], costs=COSTS)
    with pytest.raises(InfeasibleError, match="macs"):
        build(name, none).ask()


def test_what_was_not_asked_for_may_be_told(name, domain):
    strategy = build(name, domain)
    told = domain.sample(12, np.random.default_rng(5))
    for spec in told:
        strategy.tell(f"stack:{spec}", value(spec))
    found = advance(strategy, 20)
    assert not set(told) & {proposal.spec for proposal in found}
    assert strategy.merits().shape[1] == 1
    with pytest.raises(InvalidSpecError):
        strategy.tell("no cell", 1.0)
    with pytest.raises(InvalidSettingError, match="1 objective"):
        strategy.tell(told[0], [1.0, 2.0])


def test_several_objectives_are_handled_or_refused(name, domain):
    if not strategy_class(name).multi_objective:
        with pytest.raises(InvalidSettingError, match="one objective"):
            build(name, domain, objectives=2)
        return
    strategy = build(name, domain, objectives=2)
    found = advance(strategy, 30, at_once=3)
    assert len(set(found)) == 30
    assert strategy.merits().shape == (30, 2)


def test_unknown_settings_are_refused(name, domain):
    with pytest.raises(InvalidSettingError, match="wings"):
        get_strategy(name, domain, wings=2)
