"""scikit-optimize's interface."""

import math

import pytest

from archcast.encoders.errors import EvaluationError, InfeasibleError, InvalidSettingError
from archcast.search import Domain, get_strategy
from archcast.search.adapters.ask_tell import Optimizer

_DIMENSIONS = [(1, 5), ["relu", "gelu"], [None, 0.5]]


def _loss(x):
    return x[0] + (x[1] == "relu") + (x[2] is not None)


def test_all_points_are_visited_once_and_the_least_is_found():
    optimizer = Optimizer(_DIMENSIONS, "random", random_state=1)
    result = optimizer.run(_loss, 20)
    assert (result.x, result.fun) == ([1, "gelu", None], 1)
    assert len({tuple(x) for x in result.x_iters}) == 20
    assert result.func_vals.tolist() == [_loss(x) for x in result.x_iters]
    with pytest.raises(InfeasibleError, match="nothing is left"):
        optimizer.ask()


def test_it_minimises():
    optimizer = Optimizer([(1, 9)] * 4, "local", random_state=1)
    assert optimizer.run(sum, 120).fun == 4


def test_several_points_at_once(domain):
    optimizer = Optimizer(domain, get_strategy("random", domain, seed=1))
    points = optimizer.ask(3)
    assert len(set(points)) == 3
    result = optimizer.tell(points, [3, math.nan, 2])
    assert (result.x, result.fun) == (points[2], 2)
    assert [m.failed for m in optimizer.strategy.history] == [False, True, False]


def test_before_anything_was_told():
    result = Optimizer(_DIMENSIONS, "random").get_result()
    assert result.x is None
    assert math.isnan(result.fun)


def test_points_of_networks():
    from archcast.search import Objective
    from archcast.search.forecaster import Forecaster

    def to_network(x):
        return f"nasbench201:|{x[0]}~0|+|none~0|{x[1]}~1|+|none~0|none~1|nor_conv_3x3~2|"

    operators = ["skip_connect", "nor_conv_1x1", "nor_conv_3x3"]
    optimizer = Optimizer([operators, operators], "random", to_network=to_network)
    forecaster = Forecaster(optimizer.domain, Objective("cifar10/test_accuracy", "max", "%"))
    specs = list(optimizer.domain.space.enumerate())
    assert len(specs) == 9
    assert forecaster.forecast(specs).values.min() > 10


@pytest.mark.parametrize("dimensions", [[], [(0.1, 0.5)], ["relu"], [[]], [3]])
def test_dimensions_that_are_none(dimensions):
    with pytest.raises(InvalidSettingError):
        Optimizer(dimensions, "random")


def test_bad_points_and_values(domain):
    optimizer = Optimizer(_DIMENSIONS, "random")
    with pytest.raises(InvalidSettingError, match="no choice 'tanh'"):
        optimizer.tell([1, "tanh", None], 1)
    with pytest.raises(InvalidSettingError, match="2 points, but 1 values"):
        optimizer.tell([[1, "relu", None]] * 2, [1])
    with pytest.raises(EvaluationError, match="no number"):
        optimizer.run(lambda _x: "low")
    with pytest.raises(InvalidSettingError, match="another domain"):
        Optimizer(Domain("nasbench201"), get_strategy("random", domain))
    with pytest.raises(InvalidSettingError, match="needs to_network"):
        optimizer.domain.features(optimizer.domain.space.sample(1))
