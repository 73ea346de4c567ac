"""Ranks, ties, isotonic fits: the arithmetic behind the metrics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast.encoders.errors import ShapeError

FloatArray = NDArray[np.float64]


def pair(truth: ArrayLike, value: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Measured values and forecasts of the rows that were measured."""
    y, f = np.asarray(truth, np.float64), np.asarray(value, np.float64)
    if y.ndim != 1 or y.shape != f.shape:
        raise ShapeError(f"measured values {y.shape}, but forecasts {f.shape}")
    known = ~np.isnan(y)
    return y[known], f[known]


def triple(truth: Any, a: Any, b: Any) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Measured values and two more arrays of the rows that were measured."""
    y, first = pair(truth, a)
    return y, first, pair(truth, b)[1]


def with_quantiles(
    truth: ArrayLike, quantiles: ArrayLike, levels: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Measured values, (Q, n) quantiles and (Q,) levels of the rows that were measured."""
    y = np.asarray(truth, np.float64)
    q, p = np.asarray(quantiles, np.float64), np.asarray(levels, np.float64)
    if y.ndim != 1 or q.shape != (*p.shape, *y.shape):
        raise ShapeError(f"{y.shape} truths, {p.shape} levels, but quantiles {q.shape}")
    known = ~np.isnan(y)
    return y[known], q[:, known], p


def between(quantiles: FloatArray, levels: FloatArray, level: float) -> FloatArray:
    """(n,) the quantile of a level that may lie between two of those given."""
    at = min(max(int(np.searchsorted(levels, level - 1e-9)), 0), len(levels) - 1)
    if at == 0 or abs(levels[at] - level) < 1e-9:
        return quantiles[at]
    share = min((level - levels[at - 1]) / (levels[at] - levels[at - 1]), 1.0)
    return quantiles[at - 1] * (1 - share) + quantiles[at] * share


def codes(values: FloatArray) -> NDArray[np.int64]:
    """Values as whole numbers from 0 in the same order; equal values are equal."""
    return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)


def ranks(values: FloatArray) -> FloatArray:
    """Ranks from 0; equal values share the mean of theirs."""
    code = codes(values)
    counts = np.bincount(code)
    return (np.cumsum(counts) - (counts + 1) / 2)[code]


def tied(codes: NDArray[np.int64]) -> int:
    """Number of pairs of equal codes."""
    counts = np.unique(codes, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


def inversions(codes: NDArray[np.int64]) -> int:
    """Number of pairs ``i < j`` with ``codes[i] > codes[j]``, by merging blocks of doubled size."""
    count, size, total = len(codes), 1, 0
    step = int(codes.max(initial=0)) + 1
    index = np.arange(count)
    while size < count:
        block = index // (2 * size)
        right = (index // size) % 2 == 1
        # Both halves of a block are sorted; an offset a block makes one sorted array of them all.
        keyed = codes + block * step
        left, other = keyed[~right], keyed[right]
        upto = np.searchsorted(block[~right], block[right], side="right")
        total += int((upto - np.searchsorted(left, other, side="right")).sum())
        codes = np.sort(keyed) - block * step
        size *= 2
    return total


def isotonic(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Steps and levels of the increasing function nearest to the points, by merging violators."""
    steps, code = np.unique(x, return_inverse=True)
    counts = np.bincount(code.reshape(-1)).astype(np.float64)
    means = np.bincount(code.reshape(-1), y) / counts
    merged: list[list[float]] = []  # mean, weight, number of steps
    for mean, weight in zip(means.tolist(), counts.tolist(), strict=True):
        merged.append([mean, weight, 1])
        while len(merged) > 1 and merged[-2][0] >= merged[-1][0]:
            m, w, n = merged.pop()
            last = merged[-1]
            last[0] = (last[0] * last[1] + m * w) / (last[1] + w)
            last[1], last[2] = last[1] + w, last[2] + n
    levels = np.repeat([m for m, _, _ in merged], [int(n) for _, _, n in merged])
    return steps, levels


def erf(x: FloatArray) -> FloatArray:
    """The error function, element by element."""
    return np.array([math.erf(value) for value in x.tolist()])
