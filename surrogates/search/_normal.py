"""What is expected of normal variables beyond a level, without loss of digits."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_erfc = np.frompyfunc(math.erfc, 1, 1)
_ROOT: Final = math.sqrt(2 * math.pi)
#: Below, in standard deviations, Mills' ratio cancels all digits and its series takes over.
_FAR: Final = -25.0


def excess(mu: FloatArray, sigma: FloatArray, levels: FloatArray) -> FloatArray:
    """(n, q) ``E[max(f - level, 0)]``."""
    gap = mu[:, None] - levels
    found = np.maximum(gap, 0.0)
    doubt = sigma > 0
    if doubt.any():
        width = sigma[doubt, None]
        z = gap[doubt] / width
        below = 0.5 * np.asarray(_erfc(-z / math.sqrt(2)), np.float64)
        with np.errstate(over="ignore", under="ignore"):
            found[doubt] = np.maximum(width * (z * below + np.exp(-0.5 * z * z) / _ROOT), 0.0)
    return found


def above(mu: FloatArray, sigma: FloatArray, levels: FloatArray) -> FloatArray:
    """(n, q) ``P(f > level)``."""
    gap = mu[:, None] - levels
    found = (gap > 0).astype(np.float64)
    doubt = sigma > 0
    if doubt.any():
        z = gap[doubt] / sigma[doubt, None]
        found[doubt] = 0.5 * np.asarray(_erfc(-z / math.sqrt(2)), np.float64)
    return found


def log_excess(z: FloatArray) -> FloatArray:
    """``log(φ(z) + z Φ(z))`` without cancellation."""
    near = np.maximum(z, -1.0)
    below = 0.5 * np.asarray(_erfc(-near / math.sqrt(2)), np.float64)
    first = np.log(np.exp(-0.5 * near * near) / _ROOT + near * below)
    # Below, φ(z) (1 - t R(t)) with t = -z and Mills' ratio R.
    t = np.clip(-z, 1.0, -_FAR)
    ratio = math.sqrt(math.pi / 2) * np.exp(0.5 * t * t)
    ratio = ratio * np.asarray(_erfc(t / math.sqrt(2)), np.float64)
    far = np.maximum(-z, -_FAR)
    series = 1 / far**2 - 3 / far**4 + 15 / far**6
    rest = np.where(z > _FAR, 1 - t * ratio, series)
    with np.errstate(over="ignore"):
        second = -0.5 * z * z - math.log(_ROOT) + np.log(rest)
    return np.where(z > -1, first, second)
