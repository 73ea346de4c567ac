"""Rows that belong together stay on one side of every split inside a training set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.intp]
#: Fewest rows that a part is held out of; with fewer, nothing could be learned from the rest.
SMALLEST = 10


def numbered(groups: IntArray | None, x: NDArray[np.float32]) -> IntArray:
    """(n,) group of every row; without groups, rows of equal features are one."""
    if groups is not None:
        return groups
    rows = np.ascontiguousarray(x)
    key = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).reshape(-1)
    return np.unique(key, return_inverse=True)[1].reshape(-1).astype(np.intp)


def hold_out(groups: IntArray, share: float, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Rows to learn from and rows held out, no group on both sides.

    Args:
        groups: (n,) group of every row.
        share: of the groups that is held out.
        rng: draws them.

    Returns:
        Two row arrays; the second is empty where too little would be left to learn from.
    """
    count = int(groups.max()) + 1
    out = rng.permutation(count)[: round(share * count)]
    held = np.isin(groups, out)
    if len(groups) < SMALLEST or (~held).sum() < 2:
        return np.arange(len(groups)), np.arange(0)
    return np.flatnonzero(~held), np.flatnonzero(held)
