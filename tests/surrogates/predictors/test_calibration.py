"""Intervals hold what they promise, and widen where they should."""

from __future__ import annotations

import numpy as np
import pytest

from archcast.predictors._calibration import calibrate


def draw(n: int, seed: int):
    rng = np.random.default_rng(seed)
    distance = rng.uniform(0.1, 3, n)
    disagreement = rng.exponential(0.2, n)
    centre = rng.normal(size=n)
    error = rng.laplace(size=n) * 0.1 * distance * np.exp(disagreement)
    return error, centre, distance, disagreement


@pytest.mark.parametrize("p", [0.5, 0.8, 0.9, 0.95])
def test_coverage_on_fresh_data(p):
    calibration = calibrate(*draw(2000, 0), groups=np.arange(2000))
    error, centre, distance, disagreement = draw(4000, 1)
    scale = calibration.scale(centre, distance, disagreement)
    low, high = np.quantile(calibration.residuals, [(1 - p) / 2, (1 + p) / 2])
    covered = ((error >= low * scale) & (error <= high * scale)).mean()
    assert covered == pytest.approx(p, abs=0.025)


def test_the_scale_grows_with_distance_and_disagreement():
    calibration = calibrate(*draw(2000, 0), groups=np.arange(2000))
    zero = np.zeros(3)
    far = calibration.scale(zero, np.array([0.1, 1.0, 3.0]), zero)
    split = calibration.scale(zero, np.ones(3), np.array([0.0, 0.5, 1.0]))
    assert far[2] > 2 * far[1] > 4 * far[0]
    assert split[2] > 1.5 * split[0]


def test_few_groups_make_wider_intervals():
    few, many = (calibrate(*draw(500, 0), groups=np.arange(500) % g).residuals for g in (10, 500))
    assert np.quantile(few, 0.95) > np.quantile(many, 0.95)
    assert np.quantile(few, 0.05) < np.quantile(many, 0.05)
