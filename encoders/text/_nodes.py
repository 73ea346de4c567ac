"""What a node's attributes are expected to be, so that texts hold only what is not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from archcast.encoders import _canonical
from archcast.encoders.graph import ComputeGraph, _attribute_colours
from archcast.encoders.ops import GROUPS

Triple = tuple[int, int, int]
ONES: Triple = (1, 1, 1)

#: Operators whose weights are a kernel or a matrix.
CONVS = frozenset(GROUPS["conv"])
MATRICES = frozenset((*GROUPS["linear"], *GROUPS["embedding"]))
_FIELDS = {"op_weights": "weights", "op_macs": "macs"}
_WHOLE = frozenset(("global_avg_pool", "global_max_pool"))


@dataclass(slots=True)
class Node:
    """One operator, with everything that enters the graph's hash.

    Attributes:
        name: operator, or the name in the source of one outside the vocabulary.
        known: whether the operator is in the vocabulary.
        sources: indices of the operators it reads, repeated ones included.
        users: how many edges leave it.
    """

    name: str
    known: bool
    kernel: Triple
    stride: Triple
    dilation: Triple
    groups: int
    heads: int
    channels_in: int
    channels_out: int
    extent: Triple
    weights: int
    macs: int
    sources: list[int]
    users: int = 0


def nodes_of(graph: ComputeGraph) -> list[Node]:
    """The graph's operators, in an order that does not depend on the order of equal ones."""
    columns = {_FIELDS.get(name, name): v.tolist() for name, v in graph.columns.items()}
    del columns["op"]
    made = [
        Node(
            name=name,
            known=i not in graph.labels,
            sources=[],
            **{key: _plain(values[i]) for key, values in columns.items()},
        )
        for i, name in enumerate(graph.ops)
    ]
    for source, target in graph.edges.tolist():
        made[target].sources.append(source)
        made[source].users += 1
    return _reordered(made, graph)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _reordered(made: list[Node], graph: ComputeGraph) -> list[Node]:
    """Among nodes of one colour, those come first that read from earlier ones."""
    colours, depth = _canonical.refine(_attribute_colours(graph.columns, graph.labels), graph.edges)
    by_depth: dict[int, list[int]] = {}
    for index, level in enumerate(depth):
        by_depth.setdefault(level, []).append(index)
    rank: dict[int, int] = {}
    order: list[int] = []
    for level in sorted(by_depth):
        keyed = [(colours[i], sorted(rank[s] for s in made[i].sources), i) for i in by_depth[level]]
        for *_, index in sorted(keyed):
            rank[index] = len(order)
            order.append(index)
    for node in made:
        node.sources = sorted(rank[s] for s in node.sources)
    return [made[i] for i in order]


def expected_channels_in(name: str, sources: Sequence[Node]) -> int:
    """Channels entering: those of the operands, added up by a concatenation."""
    channels = [node.channels_out for node in sources] or [0]
    return sum(channels) if name == "concat" else max(channels)


def expected_extent(name: str, stride: Triple, sources: Sequence[Node]) -> Triple:
    """Positions leaving: the largest operand's, divided by the stride."""
    if name in _WHOLE or not sources:
        return ONES
    largest = [max(node.extent[axis] for node in sources) for axis in range(3)]
    return tuple(-(-size // step) for size, step in zip(largest, stride, strict=True))  # type: ignore[return-value]


def parameter_shape(node: Node) -> tuple[int, ...]:
    """Shape of the kernel or matrix; empty for what has none."""
    if node.name in CONVS:
        window = node.kernel[1:] if node.kernel[0] == 1 else node.kernel
        return (node.channels_out, max(node.channels_in // max(node.groups, 1), 1), *window)
    if node.name in MATRICES:
        return (node.channels_out, node.channels_in)
    return ()


def expected_weights(node: Node) -> int:
    """Elements of the kernel or matrix by its shape."""
    shape = parameter_shape(node)
    return math.prod(shape) if shape else 0


def expected_macs(node: Node) -> int:
    """Multiply-accumulates by the shapes; attention is two products of length by length."""
    positions = math.prod(node.extent)
    if node.name == "attention":
        return 2 * positions * positions * node.channels_out
    return 0 if node.name == "embedding" else node.weights * positions


class Linked(Protocol):
    """What :func:`chains` looks at."""

    @property
    def sources(self) -> list[int]:
        """Indices of what it reads; negative where that lies outside."""
        ...

    @property
    def users(self) -> int:
        """How many edges leave it."""
        ...


def chains(nodes: Sequence[Linked]) -> list[list[int]]:
    """Operators as lines: each continues the one before it, which nothing else reads."""
    after: dict[int, int] = {}
    heads = []
    for index, node in enumerate(nodes):
        if len(node.sources) == 1 and node.sources[0] >= 0 and nodes[node.sources[0]].users == 1:
            after[node.sources[0]] = index
        else:
            heads.append(index)
    found = []
    for head in heads:
        line = [head]
        while line[-1] in after:
            line.append(after[line[-1]])
        found.append(line)
    return found
