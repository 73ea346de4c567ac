"""Path statistics of every graph in a union, one sweep over the levels of all of them at once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.tabular._union import BoolArray, FloatArray, Union


@dataclass(frozen=True, slots=True)
class Paths:
    """What all paths from an input to each node look like; columns as in the arguments.

    Attributes:
        longest: (n, A) largest total of a column over a path.
        runs: (n, R) largest total since a node that broke the run.
        walk: (n, B) mean total over the random walk that goes back to a uniform predecessor.
        log_count: (n,) natural logarithm of the number of paths.
    """

    longest: FloatArray
    runs: FloatArray
    walk: FloatArray
    log_count: FloatArray


def sweep(
    union: Union, longest: FloatArray, runs: FloatArray, breaks: BoolArray, walk: FloatArray
) -> Paths:
    """Compute path statistics by dynamic programming, level by level.

    Args:
        union: the graphs.
        longest: (n, A) what a node adds to a path; negated columns give shortest paths.
        runs: (n, R) what a node adds to a run.
        breaks: (n, R) whether a run starts anew at the node.
        walk: (n, B) what a node adds to a random walk.

    Returns:
        The statistics, in the union's node order.
    """
    order = np.argsort(union.depth, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    source, target = place[union.edges[:, 0]], place[union.edges[:, 1]]
    by_target = np.argsort(target, kind="stable")
    source = source[by_target]
    degree = np.bincount(target, minlength=len(order))
    first = np.cumsum(degree) - degree
    split_runs, split_walk = longest.shape[1], longest.shape[1] + runs.shape[1]
    add = np.concatenate([longest, runs, walk, np.zeros((len(order), 1))], 1)[order]
    state, keep = add.copy(), 1.0 - breaks[order]
    any_break: BoolArray = np.asarray(breaks[order].any(1))
    for low, high in _levels(union.depth[order]):
        edges = source[first[low] : first[high - 1] + degree[high - 1]]
        if len(edges) == high - low:
            merged = state[edges]
        else:
            merged = _merge(
                state[edges], first[low:high] - first[low], degree[low:high], split_walk
            )
        if any_break[low:high].any():
            merged[:, split_runs:split_walk] *= keep[low:high]
        state[low:high] += merged
    state = state[place]
    return Paths(
        state[:, :split_runs],
        state[:, split_runs:split_walk],
        state[:, split_walk:-1],
        state[:, -1],
    )


def _levels(depth: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Slices of equal depth above 0, in order."""
    bounds = [0, *(np.flatnonzero(np.diff(depth)) + 1).tolist(), len(depth)]
    return list(itertools.pairwise(bounds[1:]))


def _merge(
    rows: FloatArray, starts: NDArray[np.int64], degree: NDArray[np.int64], split: int
) -> FloatArray:
    merged = np.empty((len(starts), rows.shape[1]))
    merged[:, :split] = np.maximum.reduceat(rows[:, :split], starts, axis=0)
    merged[:, split:-1] = np.add.reduceat(rows[:, split:-1], starts, axis=0) / degree[:, None]
    merged[:, -1] = np.logaddexp.reduceat(rows[:, -1], starts)
    return merged
