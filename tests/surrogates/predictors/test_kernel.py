"""Kernel ridge regression: closed-form hold-out, recipe effects."""

from __future__ import annotations

import numpy as np
import pytest

from archcast.predictors import _kernel as k


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(80, 5))
    recipe = (rng.random((80, 2)) < 0.4).astype(float)
    y = np.sin(z[:, 0]) + 0.5 * z[:, 1] + recipe @ [0.8, -0.5]
    return z, y, recipe


def test_distances_are_root_mean_squares(data):
    z, _, _ = data
    expected = np.sqrt(((z[:4, None] - z[None, :6]) ** 2).mean(-1))
    np.testing.assert_allclose(k.distances(z[:4], z[:6]), expected, atol=1e-7)


def test_closed_form_equals_refitting_without_the_group(data):
    z, y, _ = data
    groups = np.arange(80) // 8
    matrix = k.matern(k.distances(z, z), 0.5) + 0.1 * np.eye(80)
    inverse = np.asarray(np.linalg.inv(matrix), np.float64)
    residual = k._left_out(inverse, inverse @ y, groups)
    out = groups == 3
    weights = np.linalg.solve(matrix[np.ix_(~out, ~out)], y[~out])
    forecast = k.matern(k.distances(z[out], z[~out]), 0.5) @ weights
    np.testing.assert_allclose(residual[out], y[out] - forecast, atol=1e-9)


def test_recipe_effects_are_found(data):
    z, y, recipe = data
    fitted = k.fit_kernel(z, y, recipe, np.ones(80, bool), 0.5, 0.03)
    np.testing.assert_allclose(fitted.effect, [0.8, -0.5], atol=0.25)
    distance = k.distances(z[:3], z)
    told = fitted.offset(distance, np.array([[1.0, 0.0]] * 3))
    np.testing.assert_allclose(told, (np.array([1.0, 0.0]) - fitted.usual) @ fitted.effect)
    unknown = fitted.offset(distance, np.full((3, 2), np.nan))
    np.testing.assert_allclose(unknown, fitted.offset(distance))


def test_a_constant_column_counts_from_its_constant():
    x = np.ones((10, 2), np.float32)
    x[:, 1] = np.arange(10)
    scaled = k.Scaler.fit(x).apply(np.array([[1, 4.5], [3, 4.5]], np.float32))
    np.testing.assert_allclose(scaled, [[0, 0], [2, 0]], atol=1e-3)
