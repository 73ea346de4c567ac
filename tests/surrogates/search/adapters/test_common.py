"""The problem that all adapters show."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from archcast.encoders.errors import EvaluationError, InvalidSettingError, NotFittedError
from archcast.search import Forecaster, Objective
from archcast.search.adapters import Measure, Problem


def test_objectives_of_every_kind(domain, convs):
    specs = domain.space.sample(5)
    problem = Problem(domain, ["cifar10/test_accuracy", "params", convs])
    assert [o.direction for o in problem.objectives] == ["max", "min", "max"]
    values = problem.values(specs)
    assert values.shape == (5, 3)
    assert np.array_equal(values[:, 1], domain.cost("params", specs))
    assert np.array_equal(values[:, 2], [spec.count("conv_3x3") for spec in specs])
    one = problem.scored(specs)[0]
    assert one.origins == ("forecast", "cost", "measured")
    assert one.low[0] < one.values[0] < one.high[0]
    assert one.low[1:] == one.values[1:] == one.high[1:]
    assert np.array_equal(problem.losses(specs), values * [-1, 1, -1])


def test_forecasts_are_those_of_the_forecaster(domain):
    specs = domain.space.sample(4)
    forecaster = Forecaster(domain, Objective("cifar10/test_accuracy", "max", "%"))
    assert np.array_equal(
        Problem(domain, forecaster).values(specs)[:, 0], forecaster.forecast(specs).values
    )


def test_constraints(small_domain, convs):
    specs = small_domain.space.sample(30)
    missed = Problem(small_domain, convs).violations(specs)
    over = small_domain.cost("params", specs) - 600_000
    assert np.array_equal(missed[:, 0], np.maximum(over, 0))
    assert 0 < (missed > 0).sum() < 30


def test_nothing_to_score(domain, convs):
    assert Problem(domain, convs).values([]).shape == (0, 1)


@pytest.mark.parametrize("wanted", [[], ["params", "params"], "accurracy", 3.5, [None]])
def test_no_objective(domain, wanted):
    with pytest.raises((InvalidSettingError, TypeError)):
        Problem(domain, wanted)


def test_a_cost_that_the_domain_lacks_is_named_as_such(domain):
    with pytest.raises(InvalidSettingError, match=r"costs=\['energy'\]"):
        Problem(domain, ["cifar10/test_accuracy", "energy"])


def test_a_function_that_gives_no_number(domain):
    problem = Problem(domain, Measure(Objective("mine"), lambda _spec: "high"))
    with pytest.raises(EvaluationError, match="mine: the function gave 'high'"):
        problem.values(domain.space.sample(1))


def test_a_prior_that_only_ranks_says_so(domain):
    problem = Problem(domain, Objective("mine/accuracy"))
    with pytest.raises(NotFittedError, match="only ranks"):
        problem.values(domain.space.sample(1))


def test_a_problem_can_be_sent_to_other_processes(domain):
    problem = pickle.loads(pickle.dumps(Problem("nasbench201", "cifar10/test_accuracy")))
    assert problem.values(domain.space.sample(1)).shape == (1, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("adapter", "package", "extra"),
    [
        ("optuna", "optuna", "search"),
        ("ray_tune", "ray", "optimizers"),
        ("syne_tune", "syne_tune", "optimizers"),
        ("pymoo", "pymoo", "optimizers"),
        ("gymnasium", "gymnasium", "optimizers"),
        ("nevergrad", "nevergrad", "optimizers"),
    ],
)
def test_what_is_not_installed_is_named(adapter, package, extra):
    code = f"import sys; sys.modules[{package!r}] = None\nimport archcast.search.adapters.{adapter}"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    last = done.stderr.strip().splitlines()[-1]
    assert "MissingExtraError" in last
    assert f"pip install 'archcast[{extra}]'" in last
