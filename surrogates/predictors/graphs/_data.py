"""``GraphData``: many computation graphs as flat arrays, cut into torch batches by node budget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import InvalidSettingError
from archcast.encoders.graph import ComputeGraph
from archcast.predictors.graphs._fused import fuse

if TYPE_CHECKING:
    from torch import Tensor

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]

#: Numbers a node has beside its operator; see :func:`_numbers`.
NUMBERS: Final = 21
#: Where among them the numbers of inputs and users stand.
_DEGREES: Final = slice(17, 19)
#: Numbers a graph has: log of its operators, longest path, weights and MACs.
FACTS: Final = 4
#: What may relate two nodes of a graph. ``predecessors`` leads from a node's inputs to it,
#: ``successors`` from its users to it; siblings share a user or an input.
RELATIONS: Final = ("predecessors", "successors", "share_successor", "share_predecessor")
#: Nodes that a shared neighbour relates to each other, at most (a hub would relate all to all).
_SIBLINGS: Final = 32
#: Nodes in a batch, unless one graph has more.
NODE_BUDGET: Final = 20_000


@dataclass(frozen=True, slots=True)
class Batch:
    """B graphs as one, on a device; n nodes in all.

    Attributes:
        op: (n,) operator ids.
        numbers: (n, NUMBERS) log-scaled sizes.
        fused: (n, 2) operator ids plus one of activations that were made attributes, 0 for none.
        graph: (n,) index of the graph a node belongs to, ascending.
        facts: (B, FACTS) log-scaled sizes of the graphs.
        edges: relation -> (2, e) source and target; messages flow from the first to the second.
        counts: (B,) nodes of each graph.
        largest: nodes of the largest graph.
    """

    op: Tensor
    numbers: Tensor
    fused: Tensor
    graph: Tensor
    facts: Tensor
    edges: dict[str, Tensor]
    counts: Tensor
    largest: int

    def __len__(self) -> int:
        return len(self.facts)


@dataclass(frozen=True)
class GraphData:
    """N graphs, of which every distinct one is held (and encoded) once; G of them.

    Attributes:
        of: (N,) index of each graph among the distinct ones.
        starts: (G + 1,) first node of each distinct graph.
        op: (n,) operator ids.
        numbers: (n, NUMBERS) log-scaled sizes.
        fused: (n, 2) operator ids plus one of activations that were made attributes, 0 for none.
        facts: (G, FACTS) log-scaled sizes of whole graphs.
        pairs: relation -> (e, 2) source and target, numbered within their graph.
        pair_starts: relation -> (G + 1,) first pair of each graph.
    """

    of: IntArray
    starts: IntArray
    op: IntArray
    numbers: FloatArray
    fused: IntArray
    facts: FloatArray
    pairs: dict[str, IntArray]
    pair_starts: dict[str, IntArray]

    def __len__(self) -> int:
        """Number of distinct graphs."""
        return len(self.facts)

    @property
    def sizes(self) -> IntArray:
        """(G,) nodes of each distinct graph."""
        return np.diff(self.starts)

    def batch(self, which: Any, device: Any = "cpu") -> Batch:
        """Distinct graphs as one batch.

        Args:
            which: (B,) indices of distinct graphs.
            device: where the tensors go.
        """
        import torch

        chosen = np.asarray(which, np.int64)
        counts = self.sizes[chosen]
        nodes = _spans(self.starts[chosen], counts)
        first = np.cumsum(counts) - counts

        def put(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(array).to(device)

        edges = {}
        for name, pairs in self.pairs.items():
            starts = self.pair_starts[name]
            length = starts[chosen + 1] - starts[chosen]
            found = pairs[_spans(starts[chosen], length)] + np.repeat(first, length)[:, None]
            edges[name] = put(np.ascontiguousarray(found.T))
        return Batch(
            put(self.op[nodes]),
            put(self.numbers[nodes]),
            put(self.fused[nodes]),
            put(np.repeat(np.arange(len(chosen)), counts)),
            put(self.facts[chosen]),
            edges,
            put(counts),
            int(counts.max(initial=0)),
        )

    def batches(self, device: Any = "cpu", budget: int = NODE_BUDGET) -> Iterator[tuple[Any, Any]]:
        """All distinct graphs, those of similar size together: indices and batch."""
        order = np.argsort(self.sizes, kind="stable")
        for rows in cut(order, self.sizes, len(order), budget):
            yield rows, self.batch(rows, device)


def pack(
    graphs: Sequence[ComputeGraph],
    relations: Iterable[str] = RELATIONS[:2],
    *,
    fused: bool = False,
) -> GraphData:
    """Graphs as flat arrays; those of equal hash are held once.

    Args:
        graphs: N graphs.
        relations: which of :data:`RELATIONS` are wanted. A node shared by more than 32 others
            relates the first 32 of them (in canonical order), so that memory stays linear.
        fused: whether activations become attributes of their neighbours; see
            :func:`archcast.predictors.graphs._fused.fuse`.

    Raises:
        InvalidSettingError: no such relation.
    """
    number: dict[str, int] = {}
    of = np.array([number.setdefault(g.hash, len(number)) for g in graphs], np.int64)
    distinct = [graphs[i] for i in np.unique(of, return_index=True)[1]] if len(of) else []
    nodes = [_whole(g) if not fused else fuse(g) for g in distinct]
    pairs: dict[str, IntArray] = {}
    pair_starts: dict[str, IntArray] = {}
    for name in relations:
        parts = [_related(edges, len(stay), name) for stay, edges, _ in nodes]
        pairs[name] = np.concatenate([np.zeros((0, 2), np.int64), *parts])
        pair_starts[name] = _starts([len(part) for part in parts])
    kept = list(zip(distinct, nodes, strict=True))
    return GraphData(
        of,
        _starts([len(stay) for stay, _, _ in nodes]),
        np.concatenate([np.zeros(0, np.int64), *(g.op[n[0]] for g, n in kept)], dtype=np.int64),
        np.concatenate([np.zeros((0, NUMBERS), np.float32), *(_numbers(g, *n) for g, n in kept)]),
        np.concatenate([np.zeros((0, 2), np.int64), *(marks for _, _, marks in nodes)]),
        np.array([_facts(g) for g in distinct], np.float32).reshape(-1, FACTS),
        pairs,
        pair_starts,
    )


def cut(
    order: IntArray, sizes: IntArray, most: int, budget: int = NODE_BUDGET
) -> Iterator[IntArray]:
    """Cut rows into batches of at most ``most`` graphs and ``budget`` nodes, one graph at least.

    Args:
        order: rows in the order they are wanted.
        sizes: nodes of every row's graph.
        most: graphs in a batch.
        budget: nodes in a batch.
    """
    start, nodes = 0, 0
    for at, row in enumerate(order):
        if at > start and (at - start >= most or nodes + sizes[row] > budget):
            yield order[start:at]
            start, nodes = at, 0
        nodes += int(sizes[row])
    if start < len(order):
        yield order[start:]


def _starts(lengths: Sequence[int]) -> IntArray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _spans(starts: IntArray, lengths: IntArray) -> IntArray:
    """``starts[i], starts[i] + 1, …`` for each i, one after another."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)


def _whole(graph: ComputeGraph) -> tuple[IntArray, IntArray, IntArray]:
    """All nodes and edges, no mark; in the form of :func:`fuse`."""
    n = len(graph)
    return np.arange(n), graph.edges.astype(np.int64), np.zeros((n, 2), np.int64)


def _numbers(graph: ComputeGraph, stay: IntArray, edges: IntArray, marks: IntArray) -> FloatArray:
    """(n, NUMBERS) sizes of the nodes that stay: logs, because networks differ by factors."""
    n = len(stay)
    enter, leave = np.bincount(edges[:, 1], minlength=n), np.bincount(edges[:, 0], minlength=n)
    area = graph.extent.astype(np.float64).prod(1)
    columns = [
        graph.kernel,
        graph.stride,
        graph.dilation.max(1),
        graph.groups,
        graph.heads,
        graph.channels_in,
        graph.channels_out,
        graph.extent,
        area.max(initial=1) / np.maximum(area, 1),  # how far the resolution has fallen
        graph.op_weights,
        graph.op_macs,
        np.zeros((len(graph), 2)),
        np.maximum(graph.channels_in / np.maximum(graph.groups, 1), 0),  # channels of a group
        np.maximum(graph.op_weights / np.maximum(graph.channels_out, 1), 0),  # fan-in
    ]
    rows = [np.asarray(c, np.float64).reshape(len(graph), -1) for c in columns]
    table = np.concatenate(rows, 1)[stay]
    table[:, _DEGREES] = np.stack([enter, leave], 1)
    return np.log1p(np.maximum(table, 0)).astype(np.float32)


def _facts(graph: ComputeGraph) -> list[float]:
    depth = int(graph.depth.max(initial=0))
    return [float(np.log1p(v)) for v in (len(graph), depth, graph.op_weights.sum(), graph.macs)]


def _related(edges: IntArray, n: int, relation: str) -> IntArray:
    """(e, 2) pairs within a graph of n nodes; messages flow from the first to the second."""
    if relation == "predecessors":
        return edges
    if relation == "successors":
        return np.ascontiguousarray(edges[:, ::-1])
    if relation == "share_successor":
        return _siblings(edges, n)
    if relation == "share_predecessor":
        return _siblings(edges[:, ::-1], n)
    raise InvalidSettingError(f"unknown relation {relation!r}; known: {', '.join(RELATIONS)}")


def _siblings(edges: IntArray, n: int) -> IntArray:
    """(p, 2) different nodes that lead to the same node; both orders, each once."""
    edges = np.unique(edges, axis=0)
    edges = edges[np.lexsort((edges[:, 0], edges[:, 1]))]
    degree = np.bincount(edges[:, 1], minlength=n)
    place = np.arange(len(edges)) - np.repeat(np.cumsum(degree) - degree, degree)
    edges = edges[place < _SIBLINGS]
    degree = np.minimum(degree, _SIBLINGS)[edges[:, 1]]
    first = np.searchsorted(edges[:, 1], edges[:, 1])
    left = np.repeat(edges[:, 0], degree)
    right = edges[_spans(first, degree), 0]
    different = left != right
    return np.unique(np.stack([left[different], right[different]], 1), axis=0)
