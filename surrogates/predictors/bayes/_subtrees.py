"""Weisfeiler-Lehman subtree patterns of computation graphs, as sparse bags of counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import MissingExtraError
from archcast.encoders.graph import ComputeGraph

Hashes = NDArray[np.uint64]

#: Nodes refined at once.
_CHUNK: Final = 1 << 18
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_IN, _OUT = np.uint64(0xD1B54A32D192ED03), np.uint64(0x8CB92BA72F3D8DD7)


@dataclass(frozen=True, slots=True)
class Bags:
    """Patterns of n graphs, end to end.

    Attributes:
        keys: (P,) pattern hashes; each graph's are ascending and different.
        counts: (P,) how often the graph has the pattern.
        depth: (P,) iteration that made it.
        offsets: (n + 1,) where each graph's patterns begin.
    """

    keys: Hashes
    counts: NDArray[np.int32]
    depth: NDArray[np.int8]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def upto(self, iterations: int) -> Bags:
        """Without the patterns of later iterations."""
        kept = self.depth <= iterations
        before = np.concatenate([[0], np.cumsum(kept)])
        return Bags(self.keys[kept], self.counts[kept], self.depth[kept], before[self.offsets])

    def take(self, rows: NDArray[np.integer]) -> Bags:
        """Some of the graphs, by number."""
        sizes = np.diff(self.offsets)[rows]
        starts = np.cumsum(sizes) - sizes
        at = np.arange(sizes.sum()) + np.repeat(self.offsets[rows] - starts, sizes)
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        return Bags(self.keys[at], self.counts[at], self.depth[at], offsets)


def concatenate(parts: Sequence[Bags]) -> Bags:
    """Several sets of graphs as one."""
    sizes = np.concatenate([[0], *(np.diff(part.offsets) for part in parts)])
    return Bags(
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.counts for part in parts]),
        np.concatenate([part.depth for part in parts]),
        np.cumsum(sizes),
    )


def subtrees(graphs: Sequence[ComputeGraph], iterations: int, sizes: bool = True) -> Bags:
    """Count the patterns of 0 to ``iterations`` refinements.

    A node starts as its operator, window, stride and kind of grouping, with ``sizes`` its channels
    and positions in half octaves, too; each refinement joins it with the multisets of those that
    lead to it and of those that follow.

    Args:
        graphs: n architectures.
        iterations: rounds of refinement.
        sizes: whether channels and positions tell nodes apart.

    Returns:
        The bags of n graphs.

    Reference:
        Shervashidze et al., "Weisfeiler-Lehman Graph Kernels", JMLR 2011.
    """
    parts, chunk, nodes = [], [], 0
    for graph in graphs:
        chunk.append(graph)
        nodes += len(graph)
        if nodes >= _CHUNK:
            parts.append(_count(chunk, iterations, sizes))
            chunk, nodes = [], 0
    if chunk or not parts:
        parts.append(_count(chunk, iterations, sizes))
    return concatenate(parts)


def gram(a: Bags, b: Bags) -> NDArray[np.float64]:
    """(n, m) cosines between the bags of n and of m graphs, a count c entering as log(1 + c).

    The published kernel takes counts as they are; then what a deep network repeats drowns the rest
    of it.

    Raises:
        MissingExtraError: SciPy, a part of the extra ``train``, is not installed.
    """
    vocabulary = np.unique(b.keys)
    return np.asarray((_matrix(a, vocabulary) @ _matrix(b, vocabulary).T).toarray())


def _matrix(bags: Bags, vocabulary: Hashes) -> Any:
    """(n, V) sparse log counts over the vocabulary, each row divided by its whole bag's norm."""
    try:
        from scipy.sparse import csr_matrix
    except ImportError as error:
        raise MissingExtraError(
            "graph kernels need SciPy: pip install 'archcast[train]'"
        ) from error
    owner = np.repeat(np.arange(len(bags)), np.diff(bags.offsets))
    values = np.log1p(bags.counts)
    norm = np.sqrt(np.bincount(owner, values**2, len(bags)))
    place = np.minimum(np.searchsorted(vocabulary, bags.keys), max(len(vocabulary) - 1, 0))
    known = vocabulary[place] == bags.keys if len(vocabulary) else np.zeros(len(place), bool)
    data = (values / norm[owner])[known]
    shape = (len(bags), len(vocabulary))
    return csr_matrix((data, (owner[known], place[known])), shape)


def _count(graphs: Sequence[ComputeGraph], iterations: int, sizes: bool) -> Bags:
    """The bags of a few graphs, refined together as one disjoint union."""
    lengths = np.array([len(g) for g in graphs], np.int64)
    owner = np.repeat(np.arange(len(graphs)), lengths)
    starts = np.cumsum(lengths) - lengths
    edges = [g.edges.astype(np.int64) + start for g, start in zip(graphs, starts, strict=True)]
    source, target = np.concatenate([np.zeros((0, 2), np.int64), *edges]).T
    colour = np.concatenate([np.zeros(0, np.uint64), *(labels(g, sizes) for g in graphs)])
    owners, colours, depths = [], [], []
    for depth in range(iterations + 1):
        if depth:
            incoming, outgoing = np.zeros_like(colour), np.zeros_like(colour)
            np.add.at(incoming, target, _mix(colour[source] ^ _IN))
            np.add.at(outgoing, source, _mix(colour[target] ^ _OUT))
            colour = _mix(colour + _mix(incoming) + _mix(outgoing * _GOLDEN))
        owners.append(owner)
        colours.append(colour)
        depths.append(np.full(len(owner), depth, np.int8))
    return _tally(
        np.concatenate(owners), np.concatenate(colours), np.concatenate(depths), len(graphs)
    )


def _tally(owner: NDArray[np.int64], colour: Hashes, depth: NDArray[np.int8], graphs: int) -> Bags:
    order = np.lexsort((colour, owner))
    owner, colour, depth = owner[order], colour[order], depth[order]
    first = np.ones(len(order), bool)
    first[1:] = (owner[1:] != owner[:-1]) | (colour[1:] != colour[:-1])
    begin = np.flatnonzero(first)
    counts = np.diff(np.append(begin, len(order))).astype(np.int32)
    offsets = np.searchsorted(owner[begin], np.arange(graphs + 1))
    return Bags(colour[begin], counts, depth[begin], offsets)


def labels(graph: ComputeGraph, sizes: bool) -> Hashes:
    """(N,) hash of what a node is by itself: operator, window, stride, grouping, coarse size."""
    grouped = np.where(graph.groups <= 1, 0, np.where(graph.groups < graph.channels_in, 1, 2))
    facts = [graph.op, *graph.kernel.T, *graph.stride.T, grouped]
    if sizes:
        area = graph.extent.astype(np.float64).prod(1)
        facts += [_half_octaves(graph.channels_out), _half_octaves(area)]
    colour = np.zeros(len(graph), np.uint64)
    for fact in facts:
        colour = _mix(colour * _GOLDEN + fact.astype(np.int64).astype(np.uint64) + _GOLDEN)
    return colour


def _half_octaves(size: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.rint(2 * np.log2(np.maximum(size, 1))), np.float64)


def _mix(x: Hashes) -> Hashes:
    """A bijection that scatters 64-bit numbers (the finaliser of SplitMix64)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
