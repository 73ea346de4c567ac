"""Scales on which errors of a quantity are alike, so that predictors may add and average."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Transform = Literal["logit", "log", "identity"]
#: Percentages are kept this far from 0 and 100 before the logit.
_MARGIN = 0.05


def forward(transform: Transform, values: ArrayLike) -> NDArray[np.float64]:
    """Natural unit to predictor scale, same shape; ``logit`` takes percentages."""
    x = np.asarray(values, np.float64)
    if transform == "logit":
        share = np.clip(x, _MARGIN, 100 - _MARGIN) / 100
        return np.log(share / (1 - share))
    return np.log(x) if transform == "log" else x


def backward(transform: Transform, values: ArrayLike) -> NDArray[np.float64]:
    """The inverse of :func:`forward`, same shape; percentages stay between 0 and 100."""
    x = np.asarray(values, np.float64)
    if transform == "logit":
        return 100 / (1 + np.exp(-np.clip(x, -50, 50)))
    return np.exp(np.minimum(x, 700)) if transform == "log" else x
