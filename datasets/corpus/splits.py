"""Splits that do not leak: by network class, by family, and with few labels.

Rows are split by *groups*: whatever shares a group stays on one side. Equal networks under
different texts (NAS-Bench-201 has thousands) share the canonical hash, related architectures
share a family.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.graph import ComputeGraph

IndexArray = NDArray[np.int64]


class Split(NamedTuple):
    """One way to divide rows.

    Attributes:
        train: row numbers to learn from, ascending.
        test: row numbers to report on, ascending.
    """

    train: IndexArray
    test: IndexArray


def by_class(graphs: Sequence[ComputeGraph], folds: int = 5, seed: int = 0) -> list[Split]:
    """Cross-validation in which equal networks are never on both sides.

    Args:
        graphs: N graphs; those of equal hash form a class.
        folds: number of splits.
        seed: draws which classes go together.

    Returns:
        ``folds`` splits; every row is tested once.

    Raises:
        ValueError: fewer classes than folds.
    """
    return by_group([graph.hash for graph in graphs], folds, seed)


def by_group(groups: Sequence[Hashable], folds: int = 5, seed: int = 0) -> list[Split]:
    """Cross-validation that leaves whole groups out, families of architectures for example.

    Args:
        groups: (N,) group of every row.
        folds: number of splits; as many as there are groups leaves one out at a time.
        seed: draws which groups go together.

    Returns:
        ``folds`` splits of roughly equal test sizes; every row is tested once.

    Raises:
        ValueError: fewer groups than folds.
    """
    group = _numbered(groups)
    sizes = np.bincount(group)
    if folds < 2 or len(sizes) < folds:
        raise ValueError(f"{len(sizes)} groups cannot make {folds} folds; give 2 to {len(sizes)}")
    # Roughly by size, with chance enough that another seed gives other folds.
    order = np.argsort(-sizes * np.random.default_rng(seed).uniform(0.5, 1, len(sizes)))
    fold_of = np.zeros(len(sizes), np.int64)
    load = np.zeros(folds, np.int64)
    for index in order:
        fold_of[index] = load.argmin()
        load[fold_of[index]] += sizes[index]
    fold = fold_of[group]
    return [Split(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(folds)]


def leave_one_out(
    groups: Sequence[Hashable], classes: Sequence[Hashable] | None = None
) -> dict[Hashable, Split]:
    """Every group once as the test, all others to learn from: leave-one-space-out.

    Args:
        groups: (N,) group of every row, its search space for example.
        classes: (N,) class of every row, its graph's hash for example; rows to learn from that
            share one with a row of the test are left out, so that no network is on both sides.

    Returns:
        Group -> its split, in order of first appearance.

    Raises:
        ValueError: fewer than two groups, or not one class a row.
    """
    group = _numbered(groups)
    if classes is not None and len(classes) != len(group):
        raise ValueError(f"{len(classes)} classes for {len(group)} rows")
    names = list(dict.fromkeys(groups))
    if len(names) < 2:
        raise ValueError("one group cannot be left out with another to learn from")
    known = np.arange(len(group)) if classes is None else _numbered(classes)
    found = {}
    for index, name in enumerate(names):
        test = np.flatnonzero(group == index)
        seen = np.isin(known, known[test])
        found[name] = Split(np.flatnonzero((group != index) & ~seen), test)
    return found


def few_shot(
    rows: int,
    labels: int,
    seeds: Sequence[int] = range(5),
    groups: Sequence[Hashable] | None = None,
) -> list[Split]:
    """Random training rows, the rest for testing.

    Args:
        rows: number of rows N.
        labels: how many of them may be learned from.
        seeds: one split for each.
        groups: (N,) groups; rows that share one with a training row are not tested.

    Returns:
        One split for each seed.

    Raises:
        ValueError: more labels than rows leave anything to test, or not one group a row.
    """
    if groups is not None and len(groups) != rows:
        raise ValueError(f"{len(groups)} groups for {rows} rows")
    if not 0 < labels < rows:
        raise ValueError(f"{labels} of {rows} rows leave nothing to learn from or to test")
    group = np.arange(rows) if groups is None else _numbered(groups)
    splits = []
    for seed in seeds:
        train = np.sort(np.random.default_rng(seed).permutation(rows)[:labels])
        splits.append(Split(train, np.flatnonzero(~np.isin(group, group[train]))))
    return splits


def _numbered(groups: Sequence[Hashable]) -> IndexArray:
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(group, len(number)) for group in groups], np.int64)
