"""Rows of one benchmark with distinct graphs, drawn for small training sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archcast.datasets.pool import open_pool


@dataclass(frozen=True)
class Labelled:
    """One network each row, features and label.

    Attributes:
        x: (n, F) features of distinct graphs.
        y: (n,) mean labels.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float64]

    def draw(self, labels: int, tested: int, seed: int) -> tuple[NDArray[np.int64], ...]:
        """Rows to learn from, and others to rank."""
        order = np.random.default_rng(seed).permutation(len(self.y))
        return order[:labels], order[labels : labels + tested]


def labelled(benchmark: str, task: str) -> Labelled:
    """All distinct networks of a benchmark that have a label of the task."""
    pool = open_pool()
    rows = pool.table("labels", benchmark, ["hash", "value"], tasks=task)
    hashes = np.array(rows["hash"].to_pylist(), object)
    value = rows["value"].to_numpy().astype(np.float64)
    kept = np.array([h is not None for h in hashes]) & np.isfinite(value)
    names, of = np.unique(hashes[kept].astype(str), return_inverse=True)
    mean = np.bincount(of, value[kept]) / np.bincount(of)
    distinct, features = pool.features(benchmark)
    return Labelled(features[np.searchsorted(distinct, names)], mean)
