"""Boosting, forests, NGBoost, the linear posterior: that each is what its name says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSettingError
from archcast.predictors import get_predictor
from archcast.predictors._evidence import LinearPosterior
from archcast.predictors._trees import from_histogram, from_xgboost, join, leaf
from archcast.predictors.trees._groups import hold_out, numbered
from archcast.predictors.trees._noise import fit_noise

BOOSTED = ("lightgbm", "xgboost", "hist-gradient-boosting")
FORESTS = ("random-forest", "extra-trees")


@pytest.fixture(scope="module")
def data():
    """600 rows whose noise is ten times larger where the second column is positive."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 6)).astype(np.float32)
    noise = np.where(x[:, 1] > 0, 1.0, 0.1) * rng.normal(size=600)
    return x, 50 + 3 * np.sin(2 * x[:, 0]) + noise


def split(data):
    x, y = data
    return x[:300], y[:300], x[300:], y[300:]


def covered(truth, mean, std):
    return float((np.abs(truth - mean) < 1.6449 * std).mean())


def make(kind, **params):
    if kind == "xgboost":
        pytest.importorskip("xgboost")
    return get_predictor(kind, **params)


# ------------------------------------------------------------------- forests of others
def test_xgboost_scores_as_ours(data):
    xgboost = pytest.importorskip("xgboost")
    x, y = data
    x = np.round(x, 1)  # so that many samples lie on a threshold
    settings = {"max_leaves": 15, "grow_policy": "lossguide", "nthread": 1, "base_score": 7.0}
    booster = xgboost.train(settings, xgboost.DMatrix(x, y), 30)
    ours = from_xgboost(booster).leaves(x).sum(1, dtype=np.float64)
    np.testing.assert_allclose(ours, booster.predict(xgboost.DMatrix(x)), rtol=1e-5)


def test_histogram_boosting_scores_as_ours(data):
    from sklearn.ensemble import HistGradientBoostingRegressor

    x, y = data
    model = HistGradientBoostingRegressor(max_iter=30).fit(x, y)
    ours = from_histogram(model).leaves(x).sum(1, dtype=np.float64)
    np.testing.assert_allclose(ours, model.predict(x), rtol=1e-5)


def test_forests_are_joined_in_order(data):
    x, _ = data
    joined = join([leaf(1.5), leaf(-2.0)])
    np.testing.assert_array_equal(joined.leaves(x), np.tile([1.5, -2.0], (len(x), 1)))


# --------------------------------------------------------------------------- uncertainty
@pytest.mark.parametrize("uncertainty", ["ensemble", "virtual", "quantile"])
@pytest.mark.parametrize("kind", BOOSTED)
def test_boosted_intervals_cover(kind, uncertainty, data):
    x, y, new, truth = split(data)
    settings: dict[str, Any] = {"rounds": 80, "learning_rate": 0.1, "members": 5}
    predictor = make(kind, uncertainty=uncertainty, **settings).fit(x, y)
    mean, std = predictor.predict(new, return_std=True)
    assert np.corrcoef(mean, truth)[0, 1] > 0.75
    assert 0.8 < covered(truth, mean, std) < 0.99


@pytest.mark.parametrize("uncertainty", ["ensemble", "quantile"])
@pytest.mark.parametrize("kind", FORESTS)
def test_forest_intervals_cover(kind, uncertainty, data):
    x, y, new, truth = split(data)
    mean, std = make(kind, trees=60, uncertainty=uncertainty).fit(x, y).predict(new, True)
    assert np.corrcoef(mean, truth)[0, 1] > 0.75
    assert 0.8 < covered(truth, mean, std) < 0.99


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("lightgbm", {"uncertainty": "quantile", "rounds": 100}),
        ("random-forest", {"trees": 100}),
        (
            "extra-trees",
            {"trees": 100, "uncertainty": "quantile", "smallest_leaf": 8, "columns": 1.0},
        ),
        ("ngboost", {"rounds": 200, "learning_rate": 0.1}),
    ],
)
def test_noisy_regions_are_told_from_quiet_ones(kind, params, data):
    x, _, new, _ = split(data)
    rng = np.random.default_rng(1)
    y, truth = (
        np.sign(a[:, 0]) + np.where(a[:, 1] > 0, 2, 0.2) * rng.normal(size=300) for a in (x, new)
    )
    mean, std = make(kind, **params).fit(x, y).predict(new, return_std=True)
    noisy = new[:, 1] > 0
    assert std[noisy].mean() > 1.2 * std[~noisy].mean()
    assert 0.8 < covered(truth, mean, std) < 0.99


def test_out_of_bag_errors_are_not_those_of_the_training(data):
    x, _ = data
    rng = np.random.default_rng(1)
    y = rng.normal(size=200)  # nothing to learn: errors are as large as the labels vary
    predictor = get_predictor("lightgbm", rounds=60, members=6, early_stopping=0).fit(x[:200], y)
    assert predictor.predict(x[300:], return_std=True)[1].mean() > 0.8 * y.std()


@pytest.mark.parametrize("kind", BOOSTED)
def test_early_stopping_stops_where_there_is_nothing_to_learn(kind, data):
    x, _ = data
    y = np.random.default_rng(1).normal(size=200)
    settings: dict[str, Any] = {"rounds": 200, "early_stopping": 5, "uncertainty": "virtual"}
    stopped = make(kind, **settings).fit(x[:200], y)
    assert len(stopped.opinions_.forest) < 60
    full = make(kind, **(settings | {"early_stopping": 0})).fit(x[:200], y)
    assert len(full.opinions_.forest) >= 200


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("lightgbm", {"uncertainty": "magic"}),
        ("lightgbm", {"bag": 0.0}),
        ("lightgbm", {"members": 0}),
        ("random-forest", {"uncertainty": "virtual"}),
        ("extra-trees", {"columns": 0.0}),
        ("ngboost", {"rounds": 0}),
    ],
)
def test_settings_that_make_no_sense(kind, params, data):
    x, y = data
    with pytest.raises(InvalidSettingError):
        get_predictor(kind, **params).fit(x[:20], y[:20])


# ----------------------------------------------------------------- splits and calibration
def test_groups_stay_on_one_side():
    groups = np.arange(60) // 3
    rows, out = hold_out(groups, 0.25, np.random.default_rng(0))
    assert len(rows) + len(out) == 60
    assert len(out) == 15
    assert not set(groups[rows]) & set(groups[out])
    rows, out = hold_out(groups[:6], 0.25, np.random.default_rng(0))
    assert (len(rows), len(out)) == (6, 0)


def test_equal_rows_are_one_group():
    x = np.array([[1, 2], [3, 4], [1, 2]], np.float32)
    found = numbered(None, x)
    assert found[0] == found[2] != found[1]


def test_noise_finds_the_slope_and_the_floor():
    rng = np.random.default_rng(0)
    spread = rng.uniform(0.1, 2, 4000)
    noise = fit_noise(2 * spread * rng.normal(size=4000), spread)
    np.testing.assert_allclose(noise.std(spread), 2 * spread, rtol=0.2)
    flat = fit_noise(0.5 * rng.normal(size=4000), spread)
    np.testing.assert_allclose(flat.std(spread), 0.5, rtol=0.1)
    error, groups = 0.1 * rng.normal(size=4000), np.arange(4000)
    error[:1000], groups[:1000] = 5.0, 0  # one network, 1000 times, that failed
    once = fit_noise(error, np.zeros(4000), groups).std(np.zeros(1))[0]
    assert once == pytest.approx(0.1, rel=0.1)
    assert fit_noise(error, np.zeros(4000)).std(np.zeros(1))[0] > 0.2
    nothing = fit_noise(np.zeros(0), np.zeros(0))
    assert nothing.std(np.zeros(1))[0] == pytest.approx(1.0, abs=0.1)


# --------------------------------------------------------------------------------- linear
def test_the_linear_posterior_is_the_textbook_one():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 5))
    y = x @ np.array([1.0, -2, 0, 0, 3]) + 0.3 * rng.normal(size=80)
    found = LinearPosterior.fit(x, y)
    alpha, beta = found.precision, found.noise_precision
    covariance = np.linalg.inv(beta * x.T @ x + alpha * np.eye(5))
    np.testing.assert_allclose(found.weights, beta * covariance @ x.T @ y, rtol=1e-8)
    new = rng.normal(size=(7, 5))
    variance = np.einsum("ij,jk,ik->i", new, covariance, new) + 1 / beta
    np.testing.assert_allclose(found.predict(new)[1] ** 2, variance, rtol=1e-8)
    assert 1 / beta**0.5 == pytest.approx(0.3, rel=0.2)

    def evidence(a, b):
        inside = np.linalg.slogdet(np.eye(80) / b + x @ x.T / a)
        return -inside[1] - y @ np.linalg.solve(np.eye(80) / b + x @ x.T / a, y)

    best = evidence(alpha, beta)
    for a, b in ((1.1, 1.0), (0.9, 1.0), (1.0, 1.1), (1.0, 0.9)):
        assert evidence(alpha * a, beta * b) < best


def test_more_columns_than_rows_is_no_trouble():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(10, 40))
    found = LinearPosterior.fit(x, x[:, 0])
    far = found.predict(100 * rng.normal(size=(3, 40)))[1]
    assert (far > found.predict(x)[1].max()).all()


def test_ngboost_is_fitted_by_natural_gradients():
    from archcast.predictors.trees.ngboost_predictor import _natural_gradient

    class Labels:
        def get_label(self):
            return y

    rng = np.random.default_rng(0)
    y, scores = rng.normal(size=50), rng.normal(size=(50, 2))

    def loss(s):
        return (s[:, 1] + ((s[:, 0] - y) / np.exp(s[:, 1])) ** 2 / 2).sum()

    plain = np.zeros_like(scores)
    for at in np.ndindex(*scores.shape):
        step = np.zeros_like(scores)
        step[at] = 1e-6
        plain[at] = (loss(scores + step) - loss(scores - step)) / 2e-6
    fisher = np.stack([np.exp(-2 * scores[:, 1]), np.full(50, 2.0)], 1)
    natural, curvature = _natural_gradient(scores, Labels())
    np.testing.assert_allclose(natural, plain / fisher, rtol=1e-3, atol=1e-4)
    assert (curvature == 1).all()
