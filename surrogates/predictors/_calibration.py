"""How uncertain a forecast is: a scale learned from held-out errors, and their distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
_LEVELS = 401
_RIDGE = 1.0
_FOLDS = 10
_STEPS = 40


@dataclass(frozen=True, slots=True)
class Calibration:
    """Split-conformal residuals, normalised by a predicted scale.

    The true value of a new architecture is ``centre + scale * residual``, its residual one of the
    held-out ones. The scale grows with the distance to the training set and with how far the
    members of the ensemble disagree.

    Attributes:
        weights: (4,) of 1, log distance, disagreement and centre; their sum is the log scale.
        centre: level at which the centre's term is zero.
        residuals: (401,) quantiles of the normalised held-out residuals, ascending.
    """

    weights: FloatArray
    centre: float
    residuals: FloatArray

    def scale(
        self, centre: FloatArray, distance: FloatArray, disagreement: FloatArray
    ) -> FloatArray:
        """(n,) scale of each forecast's error."""
        return np.exp(_signs(centre - self.centre, distance, disagreement) @ self.weights)


def _signs(centre: FloatArray, distance: FloatArray, disagreement: FloatArray) -> FloatArray:
    """(n, 4) what the scale depends on."""
    return np.stack(
        [
            np.ones(len(centre)),
            np.log(distance + 0.05),
            np.minimum(disagreement, 2.0),
            np.clip(centre, -2, 2),
        ],
        1,
    )


def calibrate(
    error: FloatArray,
    centre: FloatArray,
    distance: FloatArray,
    disagreement: FloatArray,
    groups: NDArray[np.intp],
) -> Calibration:
    """Learn the scale and the residuals from forecasts of held-out architectures.

    The scale is the maximum-likelihood one of Laplace-distributed errors, a convex problem.

    Args:
        error: (n,) truth minus forecast.
        centre: (n,) forecasts.
        distance: (n,) distance of each architecture to those it was forecast from.
        disagreement: (n,) between the members of the ensemble.
        groups: (n,) families or classes. Errors inside a group are alike, so groups, not rows,
            are the sample that the quantiles allow for.

    Reference:
        Lei et al., "Distribution-Free Predictive Inference for Regression", JASA 2018, section 5;
        Dunn et al., "Distribution-Free Prediction Sets for Two-Layer Hierarchical Models", 2023.
    """
    level = float(np.median(centre))
    signs = _signs(centre - level, distance, disagreement)
    # Farther away, or with less agreement, a forecast is never surer.
    weights, residuals = learn_scale(error, signs, groups, rising=(1, 2))
    return Calibration(weights, level, residuals)


def learn_scale(
    error: FloatArray, signs: FloatArray, groups: NDArray[np.intp], rising: Sequence[int]
) -> tuple[FloatArray, FloatArray]:
    """The scale that held-out errors are likeliest under, and their distribution in its units.

    Args:
        error: (n,) truth minus forecast.
        signs: (n, K) what the log scale is linear in; the first column is 1.
        groups: (n,) rows whose errors are alike.
        rising: columns whose weight must not be negative.

    Returns:
        (K,) weights of the signs, and (401,) quantiles of the normalised errors, ascending.
    """
    size = np.abs(error)
    theta = _fit_scale(size, signs, rising)
    count = len(np.unique(groups))
    # Residuals by a scale that did not see them: the one fitted to the other groups.
    fold = np.unique(groups, return_inverse=True)[1] % min(_FOLDS, count)
    residuals = np.empty_like(error)
    for k in np.unique(fold) if count > 1 else ():
        other = _fit_scale(size[fold != k], signs[fold != k], rising)
        residuals[fold == k] = error[fold == k] / np.exp(signs[fold == k] @ other)
    if count == 1:
        residuals = error / np.exp(signs @ theta)
    # Of n exchangeable groups and a new one, the new one is beyond them all once in n + 1 times.
    levels = np.clip((np.linspace(0, 1, _LEVELS) - 0.5) * (1 + 1 / count) + 0.5, 0, 1)
    return theta, np.quantile(residuals, levels)


def _fit_scale(size: FloatArray, signs: FloatArray, rising: Sequence[int]) -> FloatArray:
    """(K,) weights of the log scale under which errors of these sizes are likeliest."""
    columns = signs.shape[1]
    penalty = np.diag([0.0, *[_RIDGE] * (columns - 1)])
    theta: FloatArray = np.array([np.log(size.mean() + 1e-9), *[0.0] * (columns - 1)])
    for _ in range(_STEPS):  # damped Newton steps
        ratio = size * np.exp(-signs @ theta)
        slope = signs.T @ (1 - ratio) + penalty @ theta
        curve = (signs * ratio[:, None]).T @ signs + penalty + 1e-9 * np.eye(columns)
        step = np.linalg.solve(curve, slope)
        theta = theta - step / max(1.0, float(np.abs(step).max()))
    floor = np.full(columns, -np.inf)
    floor[list(rising)] = 0.0
    return np.maximum(theta, floor)
