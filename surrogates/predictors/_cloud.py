"""How far an architecture lies from the training set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
_NEIGHBOURS = 3


def nearest(distance: FloatArray) -> FloatArray:
    """Mean distance to the nearest few of the support: (n, m) to (n,)."""
    return lowest(distance).mean(1)


def lowest(values: FloatArray) -> FloatArray:
    """The lowest few of every row, in no order: (n, m) to (n, k)."""
    k = min(_NEIGHBOURS, values.shape[1])
    return np.partition(values, k - 1, axis=1)[:, :k]


@dataclass(frozen=True, slots=True)
class Cloud:
    """The training set, as far as familiarity needs it.

    Attributes:
        names: (m,) what the support's architectures are called.
        held_out: (Q,) quantiles, ascending, of the distance of held-out groups to the rest.
    """

    names: tuple[str, ...]
    held_out: FloatArray

    def score(self, near: FloatArray) -> FloatArray:
        """(n,) share of the held-out architectures that were at least as far away."""
        levels = np.linspace(0, 1, len(self.held_out))
        return 1 - np.interp(near, self.held_out, levels, left=0.0, right=1.0)
