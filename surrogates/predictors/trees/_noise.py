"""From the spread of a model's opinions to the standard deviation of its errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_SLOPES = np.array([0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
_FLOORS = np.array([0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0])
#: Probabilities of central intervals that are judged, and their half-widths in deviations.
_CENTRAL = np.array([0.3, 0.5, 0.7, 0.8, 0.9, 0.95])
_HALF_WIDTHS = np.array([0.3853, 0.6745, 1.0364, 1.2816, 1.6449, 1.9600])
#: Rows that decide; more say nothing new.
_ROWS = 3000


@dataclass(frozen=True, slots=True)
class Noise:
    """``std² = slope * spread² + floor``.

    Attributes:
        slope: how much of the spread between a model's opinions is error.
        floor: variance where all opinions agree.
    """

    slope: float
    floor: float

    def std(self, spread: FloatArray) -> FloatArray:
        """(n,) spreads to (n,) standard deviations."""
        return np.sqrt(self.slope * spread**2 + self.floor)


def fit_noise(
    error: FloatArray, spread: FloatArray, groups: NDArray[np.intp] | None = None
) -> Noise:
    """The :class:`Noise` that suits the errors of held-out rows.

    Args:
        error: (m,) errors on rows not learned from, in units of the labels' spread.
        spread: (m,) what the model's opinions on these rows spread.
        groups: (m,) rows of one group count as one row together: the many cells of a search space
            that are one broken network fail once.

    Returns:
        The best of a grid of shapes and scales, by the score of central intervals (Gneiting and
        Raftery, JASA 2007): unlike a likelihood, it does not let a few failed trainings, at chance
        level, widen all intervals. A row of usual spread is added whose error is the labels' own
        spread: the belief of a model with nothing held out.
    """
    every = max(len(error) // _ROWS, 1)
    error, spread = error[::every], spread[::every]
    weight = np.append(_weights(groups, every, len(error)), 1.0)
    level = float((spread**2).mean()) if len(spread) else 0.0
    square = np.append(spread**2, level) / (level or 1.0)
    error = np.abs(np.append(error, 1.0))
    best = (np.inf, Noise(1.0, 1.0))
    for slope in _SLOPES if level > 0 else _SLOPES[:1]:
        for floor in _FLOORS:
            std = np.sqrt(slope * square + floor)
            for scale in _quantiles(error / std, weight) / _HALF_WIDTHS:
                loss = _interval_score(error, scale * std, weight)
                if loss < best[0]:
                    share = slope / (level or 1.0)
                    best = (loss, Noise(float(scale**2 * share), float(scale**2 * floor)))
    return best[1]


def _weights(groups: NDArray[np.intp] | None, every: int, rows: int) -> FloatArray:
    if groups is None:
        return np.ones(rows)
    _, number, count = np.unique(groups[::every], return_inverse=True, return_counts=True)
    return 1 / count[number.reshape(-1)]


def _quantiles(values: FloatArray, weight: FloatArray) -> FloatArray:
    """Weighted quantiles at the probabilities of the central intervals."""
    order = np.argsort(values)
    at = np.cumsum(weight[order]) / weight.sum()
    return values[order][np.minimum(np.searchsorted(at, _CENTRAL), len(values) - 1)]


def _interval_score(error: FloatArray, std: FloatArray, weight: FloatArray) -> float:
    """Mean score of the central intervals of normal distributions; near their CRPS."""
    half = np.multiply.outer(_HALF_WIDTHS, std)
    missed = np.maximum(error - half, 0)
    return float((half * (1 - _CENTRAL)[:, None] + missed).mean(0) @ weight / weight.sum())
