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
    by_level = levels(union)
    order, place, source = by_level.order, by_level.place, by_level.source
    first, degree = by_level.first, by_level.degree
    split_runs, split_walk = longest.shape[1], longest.shape[1] + runs.shape[1]
    add = np.concatenate([longest, runs, walk, np.zeros((len(order), 1))], 1)[order]
    state, keep = add.copy(), 1.0 - breaks[order]
    any_break: BoolArray = np.asarray(breaks[order].any(1))
    for low, high, begin, end in by_level.slices:
        edges = source[begin:end]
        if len(edges) == high - low:
            merged = state[edges]
        else:
            merged = _merge(state[edges], first[low:high] - begin, degree[low:high], split_walk)
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


@dataclass(frozen=True, slots=True)
class Levels:
    """A union sorted by depth, so that whole levels are handled at once.

    Attributes:
        order: (n,) nodes by depth.
        place: (n,) where a node stands in that order.
        source: (e,) edges' sources as places, sorted by target.
        target: (e,) edges' targets as places, ascending.
        first: (n,) first edge into the node at a place.
        degree: (n,) edges into it.
        slices: for each depth above 0, ascending: its places from and to, its edges from and to.
    """

    order: NDArray[np.int64]
    place: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    first: NDArray[np.int64]
    degree: NDArray[np.int64]
    slices: list[tuple[int, int, int, int]]


def levels(union: Union) -> Levels:
    """Sort a union by depth."""
    order = np.argsort(union.depth, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    source, target = place[union.edges[:, 0]], place[union.edges[:, 1]]
    by_target = np.argsort(target, kind="stable")
    degree = np.bincount(target, minlength=len(order))
    first = np.cumsum(degree) - degree
    depth = union.depth[order]
    bounds = [0, *(np.flatnonzero(np.diff(depth)) + 1).tolist(), len(depth)]
    slices = [
        (low, high, int(first[low]), int(first[high - 1] + degree[high - 1]))
        for low, high in itertools.pairwise(bounds[1:])
    ]
    return Levels(order, place, source[by_target], target[by_target], first, degree, slices)


def _merge(
    rows: FloatArray, starts: NDArray[np.int64], degree: NDArray[np.int64], split: int
) -> FloatArray:
    merged = np.empty((len(starts), rows.shape[1]))
    merged[:, :split] = np.maximum.reduceat(rows[:, :split], starts, axis=0)
    merged[:, split:-1] = np.add.reduceat(rows[:, split:-1], starts, axis=0) / degree[:, None]
    merged[:, -1] = np.logaddexp.reduceat(rows[:, -1], starts)
    return merged
