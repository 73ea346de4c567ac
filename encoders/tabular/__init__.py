"""Any architecture as one row of named numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archcast.encoders._engine import Engine, run
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.tabular._columns import counts, sizes, widths
from archcast.encoders.tabular._flow import flow
from archcast.encoders.tabular._structure import ends, pairs, paths, stages, topology
from archcast.encoders.tabular._union import unite

__all__ = ["TabularFeatures", "tabular"]

#: Nodes handled at once; large enough to amortise numpy's calls, small enough for the cache.
_CHUNK = 8192
#: Families of columns, in the order of the table.
_FAMILIES = (sizes, counts, widths, stages, ends, topology, pairs, paths, flow)


@dataclass(frozen=True, slots=True)
class TabularFeatures:
    """A feature table.

    Attributes:
        names: F column names, unique.
        values: (n, F) finite numbers, one row for each graph.
    """

    names: tuple[str, ...]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.values)


def tabular(
    graphs: Sequence[ComputeGraph],
    *,
    workers: int = 1,
    engine: Engine = "local",
    progress: bool = False,
) -> TabularFeatures:
    """Describe architectures of any kind by the same columns.

    The columns count operators by kind, measure sizes, widths, resolutions and degrees, and
    summarise all paths from input to output: longest, shortest and mean number of operators of a
    set of kinds, as GRAF does for the cells of a search space, here for whole networks. Only the
    graph's node columns and edges enter, never what differs between exporters of one network.

    Args:
        graphs: n architectures.
        workers: processes to compute with.
        engine: ``local`` processes, or ``ray``: a Ray cluster, that of ``RAY_ADDRESS`` or one
            started on this machine.
        progress: show a progress bar.

    Returns:
        The table of n rows.

    Raises:
        MissingExtraError: Ray is not installed.

    Reference:
        Kadlecová et al., "Surprisingly Strong Performance Prediction with Neural Graph Features",
        ICML 2024.
    """
    names = feature_names()
    values = np.zeros((len(graphs), len(names)), np.float32)
    first, copies = _distinct(graphs)
    parts = list(_chunks(graphs, first))
    jobs = [([graphs[i] for i in rows],) for rows in parts]
    encoded = run(
        _encode,
        jobs,
        workers=workers,
        engine=engine,
        label="features" if progress else "",
        unit="nets",
        sizes=[len(rows) for rows in parts],
    )
    for rows, part in zip(parts, encoded, strict=True):
        values[rows] = part
    return TabularFeatures(names, values[copies])


def feature_names() -> tuple[str, ...]:
    """The names of the columns, in order."""
    global _NAMES  # noqa: PLW0603  (computed once, from the columns themselves)
    if not _NAMES:
        probe = ComputeGraph.from_columns({"op": [0]}, [])
        _NAMES = tuple(name for name, _ in _yield_columns([probe]))
    return _NAMES


_NAMES: tuple[str, ...] = ()


def feature_families() -> tuple[str, ...]:
    """The family of every column, in order: ``sizes``, ``counts``, …, ``paths``."""
    probe = unite([ComputeGraph.from_columns({"op": [0]}, [])])
    return tuple(family.__name__ for family in _FAMILIES for _ in family(probe))


def _yield_columns(graphs: Sequence[ComputeGraph]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    union = unite(graphs)
    for family in _FAMILIES:
        yield from family(union)


def _encode(graphs: Sequence[ComputeGraph]) -> NDArray[np.float32]:
    return np.array([column for _, column in _yield_columns(graphs)], np.float32).T


def _distinct(graphs: Sequence[ComputeGraph]) -> tuple[list[int], NDArray[np.int64]]:
    """Indices of the first graph of every hash, and for each graph the index that stands for it."""
    if len(graphs) == 1:  # a hash is not worth its while
        return [0], np.zeros(1, np.int64)
    first: dict[str, int] = {}
    copies = np.array([first.setdefault(g.hash, i) for i, g in enumerate(graphs)], np.int64)
    return list(first.values()), copies


def _chunks(graphs: Sequence[ComputeGraph], rows: Sequence[int]) -> Iterator[list[int]]:
    chunk: list[int] = []
    nodes = 0
    for i in rows:
        chunk.append(i)
        nodes += len(graphs[i])
        if nodes >= _CHUNK:
            yield chunk
            chunk, nodes = [], 0
    if chunk:
        yield chunk
