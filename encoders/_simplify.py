"""From a reader's trace to the canonical ``ComputeGraph``.

The passes, in their order: what leads nowhere goes; decomposed operators are recognised
(:mod:`archcast.encoders._fuse`); scalars and slices are passed through; affine maps merge into
the linear operator before them; nested sums and concatenations become one; equal weightless
operators on equal operands become one; sizes are settled and what remains is numbered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from archcast.encoders import _fuse
from archcast.encoders._geometry import geometry, joined_geometry
from archcast.encoders._trace import Node, Tracer
from archcast.encoders.errors import NotANetworkError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.ops import COMPUTE, OP_ID

#: Operators that absorb a learned scale or shift which follows them.
_ABSORBING = frozenset(
    ("conv", "conv_transpose", "linear", "affine", "layer_norm", "rms_norm", "group_norm",
     "embedding", "matmul")
)  # fmt: skip
#: Operators whose order of operands and nesting do not matter.
_NESTING = frozenset(("add", "mul", "maximum", "minimum", "concat"))
#: Operators that mean nothing when one operand is left.
_JOINING = _NESTING | {"select"}


def simplify(trace: Tracer, *, source: str, name: str = "", strict: bool = True) -> ComputeGraph:
    """The canonical graph of a trace.

    Args:
        trace: what a reader collected; it is used up.
        source: ``onnx``, ``torch`` or a space's name.
        name: what the source calls the network.
        strict: refuse a trace without any operator of a neural network.

    Raises:
        NotANetworkError: nothing that computes lies between an input and an output.
    """
    nodes = trace.nodes
    if not trace.inputs:
        raise NotANetworkError("the model has no input, only constants; export it with its inputs")
    # Different slices look alike here, and tell a gated unit from a modulated one. Sums wait until
    # they are flat: how a source brackets x + x + f(x + x) must not matter.
    _merge_equal(trace, [i for i in _alive(trace) if nodes[i].op not in ("slice", "add")])
    _fuse.fuse(nodes, _alive(trace))
    _pass_through(trace, _alive(trace))
    _flatten(trace)
    live = _alive(trace)
    _settle(nodes, live)
    graph = _number(trace, live, source, name)
    if strict and not any(node_op in COMPUTE for node_op in graph.ops):
        raise NotANetworkError(_no_compute(nodes))
    return graph


def _no_compute(nodes: list[Node]) -> str:
    other = Counter(node.label for node in nodes if node.op == "other")
    seen = f" (found {', '.join(sorted(other)[:5])})" if other else ""
    return (
        f"no operator of a neural network lies between input and output{seen}; "
        "archcast forecasts networks with convolutions, linear layers, attention and the like"
    )


def _alive(trace: Tracer) -> list[int]:
    """Indices of the nodes on a path from an input to an output, in their order."""
    nodes = trace.nodes
    needed, waiting = set(trace.outputs), list(trace.outputs)
    while waiting:
        for i in nodes[waiting.pop()].inputs:
            if i not in needed:
                needed.add(i)
                waiting.append(i)
    fed: set[int] = set()
    for index in sorted(needed):
        node = nodes[index]
        if node.op == "input" or not fed.isdisjoint(node.inputs):
            fed.add(index)
    return sorted(fed)


def _absorb(target: Node, node: Node) -> None:
    """Let an operator keep the weights of one that vanishes into it."""
    if node.sources:
        target.sources = tuple(dict(target.sources + node.sources).items())


def _pass_through(trace: Tracer, live: list[int]) -> None:
    """Remove slices, scalars and merged affines; operands become unique, but for sums."""
    nodes = trace.nodes
    stand = list(range(len(nodes)))
    alive = set(live)
    parts: set[int] = set()
    for index in live:
        node = nodes[index]
        # x + x is not x to what follows; parts of x put together again are.
        whole = set(node.inputs) - parts if node.op == "add" else set()
        came = [i for i in node.inputs if i in alive]
        node.inputs = _operands(came, stand, whole)
        if len(node.inputs) != 1:
            continue
        before = nodes[node.inputs[0]]
        gone = node.op in ("slice", "scalar") or node.op in _JOINING
        if node.op == "affine":
            gone = before.op in _ABSORBING or before.op == "input"
        if gone:
            if node.op in ("slice", "scalar") or parts & set(came):
                parts.add(index)
            stand[index] = node.inputs[0]
            _absorb(before, node)
    trace.outputs = list(dict.fromkeys(stand[i] for i in trace.outputs))
    _drop_final_softmax(trace)


def _drop_final_softmax(trace: Tracer) -> None:
    """A softmax on the logits is a matter of the file, not of the network."""
    nodes = trace.nodes

    def logits(index: int) -> int:
        while nodes[index].op in ("softmax", "log") and len(nodes[index].inputs) == 1:
            index = nodes[index].inputs[0]
        return index

    trace.outputs = list(dict.fromkeys(logits(i) for i in trace.outputs))


def _flatten(trace: Tracer) -> None:
    """Merge nested joins and equal weightless operators, until nothing changes."""
    changed = True
    while changed:
        live = _alive(trace)
        uses = Counter(i for index in live for i in trace.nodes[index].inputs)
        uses.update(trace.outputs)
        changed = _merge_nested(trace.nodes, live, uses)
        if changed:
            live = _alive(trace)
        changed = _merge_equal(trace, live) or changed


def _merge_nested(nodes: list[Node], live: list[int], uses: Counter[int]) -> bool:
    changed = False
    for index in live:
        node = nodes[index]
        if node.op not in _NESTING:
            continue
        operands: list[int] = []
        for i in node.inputs:
            inner = nodes[i]
            # A concatenation copies nothing that matters, so it flattens for every consumer.
            nested = inner.op == node.op and (uses[i] == 1 or node.op == "concat")
            if nested:
                _absorb(node, inner)
            operands.extend(inner.inputs if nested else [i])
        if operands != node.inputs:
            node.inputs = operands if node.op == "add" else list(dict.fromkeys(operands))
            changed = True
    return changed


def _operands(
    inputs: Iterable[int], stand: Mapping[int, int] | Sequence[int], repeatable: Collection[int]
) -> list[int]:
    """What stands for the inputs now, each once, but as often as it comes where repeatable."""
    operands: list[int] = []
    for i in inputs:
        now = stand.get(i, i) if isinstance(stand, Mapping) else stand[i]
        if now not in operands or i in repeatable:
            operands.append(now)
    return operands


def _merge_equal(trace: Tracer, live: list[int]) -> bool:
    nodes = trace.nodes
    stand: dict[int, int] = {}
    seen: dict[Any, int] = {}
    for index in live:
        node = nodes[index]
        if any(i in stand for i in node.inputs):
            whole = set(node.inputs) if node.op == "add" else set()
            node.inputs = _operands(node.inputs, stand, whole)
        if node.op in _JOINING and len(node.inputs) == 1:
            stand[index] = node.inputs[0]
            _absorb(nodes[node.inputs[0]], node)
            continue
        if node.op == "input" or node.weights or node.sources:
            continue
        key = (
            node.op, tuple(sorted(node.inputs)), node.channels, node.extent, node.kernel,
            node.stride, node.dilation, node.groups, node.heads, node.label, node.value,
        )  # fmt: skip
        first = seen.setdefault(key, index)
        if first != index:
            stand[index] = first
    trace.outputs = list(dict.fromkeys(stand.get(i, i) for i in trace.outputs))
    return bool(stand)


def _settle(nodes: list[Node], live: list[int]) -> None:
    """Channels and extents that a reader could only guess, now from the operands that are left."""
    for index in live:
        node = nodes[index]
        if node.sure == 2 or not node.inputs:
            continue
        operands = [nodes[i] for i in node.inputs]
        size = node.channels * node.positions
        if node.op == "concat":
            node.channels, node.extent = joined_geometry(size, operands)
        else:
            channels = node.channels if node.sure else 0
            node.channels, node.extent = geometry(size, operands, channels)


def _number(trace: Tracer, live: list[int], source: str, name: str) -> ComputeGraph:
    """Columns and edges of what is left."""
    nodes = [trace.nodes[i] for i in live]
    if not any(node.op == "input" for node in nodes):
        nodes = [trace.nodes[i] for i in trace.inputs[:1]]
        live = trace.inputs[:1]
    place = {index: k for k, index in enumerate(live)}
    edges = [(place[i], k) for k, node in enumerate(nodes) for i in node.inputs if i in place]
    ends = [place[i] for i in trace.outputs if i in place]
    edges += [(end, len(nodes) + k) for k, end in enumerate(ends)]
    # A network whose result does not depend on its input keeps its two ends, unconnected.
    ends = ends or [place[i] for i in live[:1]]
    outputs = [Node("output", [], nodes[end].channels, nodes[end].extent) for end in ends]
    weights: dict[str, int] = {}
    for node in nodes:
        weights.update(node.sources)
    everything = nodes + outputs
    return ComputeGraph.from_columns(
        _columns(everything),
        edges,
        labels={k: n.label for k, n in enumerate(everything) if n.op == "other"},
        params=sum(weights.values()),
        input_shape=tuple(trace.input_shapes[0]) if trace.input_shapes else (),
        output_shape=tuple(trace.output_shapes[0]) if trace.output_shapes else (),
        source=source,
        name=name,
    )


def _columns(nodes: list[Node]) -> dict[str, list[Any]]:
    limit = 2**31 - 1
    return {
        "op": [OP_ID[n.op] for n in nodes],
        "kernel": [n.kernel for n in nodes],
        "stride": [n.stride for n in nodes],
        "dilation": [n.dilation for n in nodes],
        "groups": [n.groups for n in nodes],
        "heads": [n.heads for n in nodes],
        "channels_in": [min(n.channels_in or n.channels, limit) for n in nodes],
        "channels_out": [min(n.channels, limit) for n in nodes],
        "extent": [tuple(min(e, limit) for e in n.extent) for n in nodes],
        "op_weights": [n.weights for n in nodes],
        "op_macs": [n.macs for n in nodes],
    }
