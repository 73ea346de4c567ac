"""From the spread of a model's opinions to the standard deviation of its errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_SLOPES = np.array([0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
_FLOORS = np.array([0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0])


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


def fit_noise(error: FloatArray, spread: FloatArray) -> Noise:
    """The likeliest :class:`Noise` for the errors of held-out rows.

    Args:
        error: (m,) errors on rows not learned from, in units of the labels' spread.
        spread: (m,) what the model's opinions on these rows spread.

    Returns:
        The maximum of the Gaussian likelihood over a grid of shapes, each of the scale that fits
        it best. A row of usual spread is added whose error is the labels' own spread: the belief
        of a model with nothing held out.
    """
    level = float((spread**2).mean()) if len(spread) else 0.0
    square = np.append(spread**2, level) / (level or 1.0)
    error = np.append(error, 1.0)
    best = (np.inf, Noise(1.0, 1.0))
    for slope in _SLOPES if level > 0 else _SLOPES[:1]:
        for floor in _FLOORS:
            shape = slope * square + floor
            scale = float((error**2 / shape).mean())
            loss = 0.5 * (np.log(shape).sum() + len(error) * np.log(scale))
            if loss < best[0]:
                best = (loss, Noise(float(scale * slope / (level or 1.0)), float(scale * floor)))
    return best[1]
