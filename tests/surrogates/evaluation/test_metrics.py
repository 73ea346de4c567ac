"""Metrics against scipy, scikit-learn, and what is known by hand."""

import math

import numpy as np
import pytest

from archcast.encoders.errors import ShapeError
from archcast.evaluation import _numeric, metrics

stats = pytest.importorskip("scipy.stats")


def draw(seed: int, count: int = 400, tied: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=count)
    value = truth + rng.normal(size=count)
    return (truth.round(1), value.round(0)) if tied else (truth, value)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("count", [2, 3, 7, 64, 401])
def test_ranks_are_scipys(count, tied):
    truth, value = draw(count, count, tied)
    ours = metrics.kendall(truth, value), metrics.spearman(truth, value)
    theirs = stats.kendalltau(truth, value).statistic, stats.spearmanr(truth, value).statistic
    assert ours == pytest.approx(theirs, abs=1e-12, nan_ok=True)
    if count > 3:
        assert all(map(math.isfinite, ours))


def test_missing_truths_are_left_out_and_constants_have_no_rank():
    truth, value = draw(0)
    holed = truth.copy()
    holed[::3] = np.nan
    known = np.isfinite(holed)
    for metric in (metrics.kendall, metrics.spearman, metrics.ndcg, metrics.mae):
        assert metric(holed, value) == metric(truth[known], value[known])
    for metric in (metrics.kendall, metrics.spearman):
        assert math.isnan(metric(truth, np.zeros(len(truth))))
        assert math.isnan(metric(np.zeros(len(truth)), value))
        assert math.isnan(metric(truth, np.where(truth > 0, np.nan, value)))
        assert math.isnan(metric([], []))
        assert metric(truth, np.exp(truth)) == pytest.approx(1)
        assert metric(truth, -truth) == pytest.approx(-1)
    with pytest.raises(ShapeError):
        metrics.kendall(truth, value[1:])


@pytest.mark.parametrize("tied", [False, True])
def test_gain_is_scikit_learns(tied):
    ndcg_score = pytest.importorskip("sklearn.metrics").ndcg_score
    truth, value = draw(1, 333, tied)
    relevance = 20 * (truth - truth.min()) / np.ptp(truth)
    expected = ndcg_score(relevance[None], value[None], k=34)
    assert metrics.ndcg(truth, value) == pytest.approx(expected)
    assert metrics.ndcg(truth, truth) == pytest.approx(1)


def test_isotonic_function_is_scikit_learns():
    isotonic = pytest.importorskip("sklearn.isotonic").IsotonicRegression
    for seed in range(5):
        truth, value = draw(seed, 60, tied=seed % 2 == 1)
        steps, levels = _numeric.isotonic(value, truth)
        new = np.linspace(-4, 4, 100)
        expected = isotonic(out_of_bounds="clip").fit(value, truth).predict(new)
        assert np.interp(new, steps, levels) == pytest.approx(expected)


def test_recalibration_forgives_the_scale_and_nothing_else():
    truth, noise = draw(2, 2000)
    assert metrics.isotonic_mae(truth, np.exp(truth)) < 0.15
    assert metrics.isotonic_mae(truth, np.exp(truth)) == metrics.isotonic_mae(truth, np.exp(truth))
    assert metrics.isotonic_mae(truth, -truth) > 0.7
    assert metrics.isotonic_mae(truth, noise) > metrics.isotonic_mae(truth, truth)


def test_scores_of_normal_distributions_agree_with_their_integrals():
    rng = np.random.default_rng(3)
    mean, std = rng.normal(size=50), rng.uniform(0.2, 2, 50)
    truth = mean + std * rng.normal(size=50)
    grid = np.linspace(-12, 12, 48001)
    below = stats.norm.cdf((grid - mean[:, None]) / std[:, None])
    squared = (below - (grid >= truth[:, None])) ** 2
    expected = squared.sum(1).mean() * (grid[1] - grid[0])
    assert metrics.crps_gaussian(truth, mean, std) == pytest.approx(expected, rel=1e-3)
    fine = (np.arange(2000) + 0.5) / 2000
    quantiles = metrics.gaussian_quantiles(mean, std, fine)
    assert quantiles == pytest.approx(stats.norm.ppf(fine[:, None], mean, std))
    assert metrics.crps_quantiles(truth, quantiles, fine) == pytest.approx(expected, rel=1e-2)
    nll = metrics.gaussian_nll(truth, mean, std)
    assert nll == pytest.approx(-stats.norm.logpdf(truth, mean, std).mean())
    assert metrics.crps_gaussian(truth, mean, 0 * std) == metrics.mae(truth, mean)


def test_calibration_error_sees_too_narrow_and_too_wide():
    rng = np.random.default_rng(4)
    truth, zero, one = rng.normal(size=20000), np.zeros(20000), np.ones(20000)
    errors = {
        spread: metrics.rmsce(truth, metrics.gaussian_quantiles(zero, spread * one))
        for spread in (0.5, 1, 2)
    }
    assert errors[1] < 0.01
    assert min(errors[0.5], errors[2]) > 0.15
    few = np.arange(1, 20) / 20  # ends of intervals then lie between levels
    assert metrics.rmsce(truth, metrics.gaussian_quantiles(zero, one, few), few) < 0.03
    by_hand = [
        np.mean(np.abs(truth) <= stats.norm.ppf((1 + p / 20) / 2)) - p / 20 for p in range(1, 20)
    ]
    assert errors[1] == pytest.approx(np.sqrt(np.mean(np.square(by_hand))))


def test_intervals():
    truth = [1.0, 2.0, np.nan, 4.0]
    assert metrics.coverage(truth, [0, 2, 0, 5], [1, 3, 9, 6]) == pytest.approx(2 / 3)
    assert metrics.width([0, 1], [2, 2]) == 1.5


def test_fifteen_thousand_rows_take_no_time():
    import time

    truth, value = draw(5, 15625)
    started = time.perf_counter()
    tau = metrics.kendall(truth, value)
    assert time.perf_counter() - started < 1
    assert tau == pytest.approx(stats.kendalltau(truth, value).statistic, abs=1e-12)
