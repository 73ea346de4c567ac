"""Calibration of any predictor: against computations of its own, and in what it promises."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import pytest

from archcast.encoders.errors import InvalidLabelsError, InvalidSettingError
from archcast.evaluation import metrics
from archcast.predictors import Predictor, State, get_predictor, load_predictor, save_predictor
from archcast.predictors._conformal import Conformal, ConformalPredictor


class Line(Predictor):
    """Least squares on one column; the second column is the standard deviation it claims."""

    kind = "line"

    def __init__(self, transform: Any = "identity", seed: int = 0) -> None:
        self.transform = transform
        self.seed = seed

    def _fit(self, X: Any, y: Any, groups: Any) -> None:
        self.line_ = np.polyfit(X[:, 0].astype(float), y, 1)

    def _predict(self, X: Any) -> Any:
        return np.polyval(self.line_, X[:, 0].astype(float)), X[:, 1].astype(float)

    def _state(self) -> State:
        return State({"line": self.line_})

    def _restore(self, state: State) -> None:
        self.line_ = state.arrays["line"]


def draw(rows: int, seed: int, claim: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels whose noise is the second column times ``1 / claim``."""
    rng = np.random.default_rng(seed)
    noise = rng.choice([0.1, 1.0], rows)
    x = rng.normal(size=rows)
    return np.stack([x, claim * noise], 1), 50 + 3 * x + noise * rng.laplace(size=rows)


# ------------------------------------------------------------- the layer by itself
def test_quantiles_of_equal_scales_are_those_of_split_conformal():
    # With nothing to tell forecasts apart, the ends are the k-th smallest errors of the textbook:
    # k = ceil((n + 1) (1 - alpha)), counted here by hand.
    rng = np.random.default_rng(0)
    error = rng.gamma(2.0, size=999) - 1
    learned = Conformal.learn(error, np.zeros(999), np.ones(999), np.arange(999))
    low, high = learned.quantiles(np.zeros(1), np.ones(1), [0.05, 0.95])[:, 0]
    ranked = np.sort(error)
    assert high == pytest.approx(ranked[ceil(1000 * 0.95) - 1], rel=0.02)
    assert low == pytest.approx(ranked[int(1000 * 0.05) - 1], rel=0.02)


def test_the_scale_follows_the_claimed_std():
    rng = np.random.default_rng(1)
    std = rng.choice([0.2, 2.0], 3000)
    learned = Conformal.learn(std * rng.normal(size=3000), np.zeros(3000), std, np.arange(3000))
    small, large = learned.scale(np.zeros(2), np.array([0.2, 2.0]))
    assert large / small == pytest.approx(10, rel=0.15)
    got = learned.std(np.zeros(2), np.array([0.2, 2.0]))
    np.testing.assert_allclose(got, [0.2, 2.0], rtol=0.1)


def test_few_groups_promise_less_than_many():
    error = np.random.default_rng(2).normal(size=400)
    few, many = (
        Conformal.learn(error, np.zeros(400), np.ones(400), np.arange(400) % groups)
        for groups in (8, 400)
    )
    at = (np.zeros(1), np.ones(1), [0.95])
    assert few.quantiles(*at)[0, 0] > many.quantiles(*at)[0, 0] + 0.3


def test_a_level_outside_of_all_levels():
    learned = Conformal(np.zeros(3), 0.0, 1.0, np.linspace(-1, 1, 401))
    with pytest.raises(InvalidSettingError, match="lie in"):
        learned.quantiles(np.zeros(1), np.ones(1), [1.5])


# ------------------------------------------------------------------- the predictor
@pytest.mark.parametrize("claim", [0.1, 1.0, 10.0])
def test_coverage_does_not_depend_on_what_the_base_claims(claim):
    x, y = draw(2000, 0, claim)
    new, truth = draw(4000, 1, claim)
    fitted = ConformalPredictor(Line()).fit(x, y)
    for p in (0.5, 0.9):
        assert metrics.coverage(truth, *fitted.interval(new, p)) == pytest.approx(p, abs=0.035)
    assert metrics.rmsce(truth, fitted.quantiles(new, metrics.LEVELS)) < 0.03
    plain = Line().fit(x, y)
    if claim != 1:
        found = metrics.coverage(truth, *plain.interval(new, 0.9))
        assert not 0.8 < found < 0.97


def test_the_residuals_are_those_of_models_that_did_not_see_the_group():
    x, y = draw(60, 3)
    groups = np.arange(60) // 6
    fitted = ConformalPredictor(Line(), folds=10).fit(x, y, groups=groups)
    # Each group in turn, by least squares of its own.
    z, errors = (y - y.mean()) / y.std(), np.zeros(60)
    for group in range(10):
        rest = groups != group
        line = np.polyfit(x[rest, 0], z[rest], 1)
        errors[~rest] = z[~rest] - np.polyval(line, x[~rest, 0])
    # What Line claims is read as a share of the spread of the targets that it was given.
    scales = np.concatenate([np.full(6, z[groups != g].std()) for g in range(10)])
    means = z - errors
    expected = Conformal.learn(errors, means, scales * x[:, 1].astype(np.float32), groups)
    np.testing.assert_allclose(fitted.conformal_.residuals, expected.residuals, atol=1e-4)
    np.testing.assert_allclose(fitted.conformal_.weights, expected.weights, atol=1e-4)


def test_its_score_is_the_empirical_one():
    x, y = draw(300, 4)
    new, truth = draw(200, 5)
    fitted = ConformalPredictor(Line()).fit(x, y)
    middles = (np.arange(200) + 0.5) / 200
    outcomes = fitted.quantiles(new, middles)
    spread = np.abs(outcomes[:, None] - outcomes[None]).mean((0, 1)) / 2
    energy = (np.abs(outcomes - truth).mean(0) - spread).mean()
    assert metrics.crps_quantiles(truth, outcomes, middles) == pytest.approx(energy, rel=0.01)


def test_groups_that_cannot_be_held_out():
    x, y = draw(20, 6)
    with pytest.raises(InvalidSettingError, match="one group"):
        ConformalPredictor(Line()).fit(x, y, groups=np.zeros(20))
    with pytest.raises(InvalidSettingError, match="folds"):
        ConformalPredictor(Line(), folds=1).fit(x, y)
    with pytest.raises(InvalidLabelsError):
        ConformalPredictor(Line()).fit(x[:1], y[:1])


def test_equal_architectures_are_held_out_together():
    x, y = draw(40, 7)
    twice = np.concatenate([x, x]).astype(np.float32)
    fitted = ConformalPredictor(get_predictor("gp"), folds=40).fit(twice, np.concatenate([y, y]))
    # Seen once, an architecture would be known to the noise: errors far below the noise's.
    assert np.abs(fitted.conformal_.residuals).max() > 0.5


def test_one_scale_of_the_targets():
    x, y = draw(40, 8)
    with pytest.raises(InvalidSettingError, match="outer"):
        ConformalPredictor(Line("log")).fit(x, y)
    fitted = ConformalPredictor(Line("logit"), transform="logit").fit(x, y)
    low, high = fitted.interval(x, 0.99)
    assert (low > 0).all()
    assert (high < 100).all()
    assert isinstance(fitted.base, Line)
    assert fitted.base.transform == "logit"  # the caller's own stays as it was


def test_what_is_no_base():
    with pytest.raises(InvalidSettingError, match="its name"):
        ConformalPredictor(3).fit(*draw(20, 9))
    with pytest.raises(InvalidSettingError, match="unknown predictor"):
        ConformalPredictor("oracle").fit(*draw(20, 9))


def test_a_nested_predictor_is_saved_with_it(tmp_path):
    x, y = draw(60, 10)
    fitted = ConformalPredictor(get_predictor("gp", tuning=50), folds=3).fit(x, y)
    save_predictor(fitted, tmp_path / "c.safetensors")
    again = load_predictor(tmp_path / "c.safetensors")
    assert isinstance(again, ConformalPredictor)
    np.testing.assert_array_equal(again.quantiles(x, [0.1, 0.9]), fitted.quantiles(x, [0.1, 0.9]))
