"""nevergrad's optimizers on architectures."""

# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false

import pytest

pytest.importorskip("nevergrad")

import nevergrad as ng

from archcast.encoders.errors import InvalidSettingError
from archcast.search import Domain, get_strategy
from archcast.search.adapters.nevergrad import WORST, ArchitectureLoss, StrategyOptimizer


def _best(name, loss, budget):
    parametrization = loss.parametrization
    parametrization.random_state.seed(1)
    optimizer = ng.optimizers.registry[name](parametrization, budget=budget)
    return loss.spec(optimizer.minimize(loss).value)


@pytest.mark.slow
def test_an_optimizer_of_nevergrad_improves(small_domain, convs):
    loss = ArchitectureLoss(small_domain, convs)
    spec = _best("DiscreteOnePlusOne", loss, 60)
    assert small_domain.feasible([spec])[0]
    assert spec.count("conv_3x3") >= 2


def test_values_and_architectures_are_inverse(domain, convs):
    loss = ArchitectureLoss(domain, convs)
    for spec in domain.space.sample(5):
        value = loss.value(spec)
        assert loss.spec(value) == spec
        child = loss.parametrization.spawn_child(new_value=value)
        assert child.value == value
        assert loss(value) == -spec.count("conv_3x3")


def test_several_losses(domain, convs):
    loss = ArchitectureLoss(domain, [convs, "params"])
    optimizer = ng.optimizers.DE(loss.parametrization, budget=12)
    optimizer.minimize(loss)
    assert all(len(loss(one.value)) == 2 for one in optimizer.pareto_front())


def test_broken_constraints_have_the_worst_loss(small_domain, convs):
    loss = ArchitectureLoss(small_domain, convs)
    assert loss(loss.value(small_domain.space.text((3,) * 6))) == WORST


def test_a_strategy_as_an_optimizer(domain, convs):
    loss = ArchitectureLoss(domain, convs)
    optimizer = StrategyOptimizer(loss, get_strategy("random", domain, seed=3), budget=15)
    best = optimizer.minimize(loss)
    direct = [p.spec for p in get_strategy("random", domain, seed=3).ask(1)]
    told = optimizer.strategy.history
    assert len(told) == 15
    assert told[0].spec == direct[0]
    assert loss(best.value) == -max(m.merits[0] for m in told)
    value = loss.value(domain.space.text((3,) * 6))
    optimizer.tell(optimizer.parametrization.spawn_child(new_value=value), loss(value))
    assert told[-1].merits == (6.0,)


def test_another_domain_is_refused(domain, convs):
    loss = ArchitectureLoss(domain, convs)
    with pytest.raises(InvalidSettingError, match="different domains"):
        StrategyOptimizer(loss, get_strategy("random", Domain("nasbench201")))


def test_strategies_that_train_partly_are_refused(domain, convs):
    strategy = get_strategy("successive-halving", domain, fidelities=(0.5, 1.0))
    optimizer = StrategyOptimizer(ArchitectureLoss(domain, convs), strategy, budget=5)
    with pytest.raises(InvalidSettingError, match="several fidelities"):
        optimizer.ask()
    assert strategy.pending == ()
