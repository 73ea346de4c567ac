"""From a canonical graph to a ``Program``: what is executed, in which order, with which weights.

A :class:`~archcast.encoders.graph.ComputeGraph` says what a network computes and not how its
author laid tensors out: views, slices, biases and norms behind a convolution are gone. A program
fills in what a network with fresh weights needs, by fixed rules, so that equal graphs have equal
programs and a score is a function of the graph:

* windows are padded so that the graph's extents come out, more in front where it is odd;
* a convolution with more than one position is followed by a batch norm, unless the network has
  norms of its own in at least as many places; not one from an average pool into a sum, which
  shortcuts of NAS-Bench-201 have no norm behind (ResNet-D's have, and lose it here);
* of a part of a tensor, consumers take one after the other in turn.

Reads graphs only; torch is not needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Final, NamedTuple

import numpy as np

from archcast.encoders.graph import ComputeGraph
from archcast.encoders.ops import GROUPS

Triple = tuple[int, int, int]

GLOBAL_POOLS: Final = frozenset(("global_avg_pool", "global_max_pool"))
#: Activations that act on each number alone.
ACTIVATIONS: Final = frozenset(GROUPS["activation"]) - {"softmax", "glu"}
#: Norms that are operators; batch norms belong to what they follow.
NORMS: Final = frozenset(GROUPS["norm"]) - {"affine"}
_OWN_NORMS: Final = frozenset(("layer_norm", "rms_norm", "group_norm"))
_NORMS: Final = frozenset(GROUPS["norm"])
_CONVS: Final = frozenset(GROUPS["conv"])
#: Recurrent operators -> how many matrices a step of theirs has.
_GATES: Final = {"rnn": 1, "gru": 3, "lstm": 4}


class Weight(NamedTuple):
    """Which weights an instruction uses: equal keys are equal numbers.

    Attributes:
        kind: ``conv``, ``conv_transpose``, ``linear``, ``embedding`` or ``recurrent``.
        shape: dimensions, outputs first; of a recurrent layer (gates, hidden, inputs + hidden).
        ordinal: how many weights of that kind and shape come before it in the network.
    """

    kind: str
    shape: tuple[int, ...]
    ordinal: int

    @property
    def fan_in(self) -> int:
        """Numbers that each output is a sum of."""
        if self.kind == "embedding":
            return 1
        return self.shape[2] if self.kind == "recurrent" else max(prod(self.shape[1:]), 1)

    @property
    def fan_out(self) -> int:
        """Outputs that each input takes part in."""
        if self.kind == "recurrent":
            return self.shape[0] * self.shape[1]
        return max(self.shape[0] * prod(self.shape[2:]), 1)


class Instruction(NamedTuple):
    """One operator with everything that its execution needs.

    Attributes:
        op: operator of the vocabulary.
        inputs: indices of the nodes it reads, in canonical order.
        channels: channels leaving.
        extent: positions leaving, as depth, height, width.
        channels_in: channels entering.
        kernel: window.
        stride: step of the window.
        dilation: of the window.
        groups: of a convolution or group norm.
        heads: of an attention.
        span: positions that each position of an attention looks at; 0 where not known.
        norm: whether a batch norm follows (for ``affine``: is what it is).
        parts: for each input, which part is taken if it is larger than what is needed.
        weight: its weights, if any.
    """

    op: str
    inputs: tuple[int, ...]
    channels: int
    extent: Triple
    channels_in: int
    kernel: Triple
    stride: Triple
    dilation: Triple
    groups: int
    heads: int
    span: int
    norm: bool
    parts: tuple[int, ...]
    weight: Weight | None

    @property
    def positions(self) -> int:
        """Number of positions leaving."""
        return prod(self.extent)

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels and positions of a value, without an axis of depth that is one."""
        return (self.channels, *(self.extent if self.extent[0] > 1 else self.extent[1:]))

    @property
    def size(self) -> int:
        """Number of elements leaving, for one sample."""
        return self.channels * self.positions


@dataclass(frozen=True, eq=False)
class Program:
    """N instructions in canonical order, one a node of the graph.

    Attributes:
        graph: what it was made of.
        instructions: (N,) instructions; each reads earlier ones.
    """

    graph: ComputeGraph
    instructions: tuple[Instruction, ...]

    def __len__(self) -> int:
        return len(self.instructions)

    @cached_property
    def inputs(self) -> tuple[int, ...]:
        """Nodes that are inputs."""
        return tuple(i for i, step in enumerate(self.instructions) if step.op == "input")

    @cached_property
    def outputs(self) -> tuple[int, ...]:
        """Nodes whose values are the network's results, the largest first."""
        ends = [s.inputs[0] for s in self.instructions if s.op == "output"] or self.inputs
        return tuple(sorted(dict.fromkeys(ends), key=lambda i: -self.instructions[i].size))

    @cached_property
    def token_inputs(self) -> dict[int, int]:
        """Inputs that hold whole numbers -> how many different ones there are."""
        return {
            i: step.weight.shape[0]
            for step in self.instructions
            if step.op == "embedding" and step.weight
            for i in step.inputs
            if self.instructions[i].op == "input"
        }

    @cached_property
    def weighted(self) -> tuple[int, ...]:
        """Nodes with trained weights."""
        return tuple(i for i, step in enumerate(self.instructions) if step.weight)

    @cached_property
    def features(self) -> int:
        """The node with the features that the head reads: before the last global pool.

        Without a global pool, what the last weighted operator reads.
        """
        pools = [i for i, s in enumerate(self.instructions) if _pools_all(s, self.instructions)]
        readers = pools or [i for i in self.weighted if self.instructions[i].inputs]
        if readers:
            return self.instructions[readers[-1]].inputs[0]
        return self.outputs[0] if self.outputs else len(self) - 1

    @cached_property
    def bottlenecks(self) -> tuple[int, ...]:
        """Nodes that every path from input to output passes: the ends of blocks and layers."""
        modulus = (1 << 61) - 1
        n = len(self)
        ahead, behind = [0] * n, [0] * n
        for i, step in enumerate(self.instructions):
            ahead[i] = sum(ahead[j] for j in step.inputs) % modulus or int(not step.inputs)
        for i in range(n - 1, -1, -1):
            behind[i] += int(self.instructions[i].op == "output")
            for j in self.instructions[i].inputs:
                behind[j] = (behind[j] + behind[i]) % modulus
        total = sum(ahead[i] for i in range(n) if self.instructions[i].op == "output") % modulus
        return tuple(i for i in range(n) if ahead[i] * behind[i] % modulus == total)

    @cached_property
    def consumers(self) -> tuple[tuple[int, ...], ...]:
        """For each node, those that read it."""
        found: list[list[int]] = [[] for _ in self.instructions]
        for i, step in enumerate(self.instructions):
            for j in step.inputs:
                found[j].append(i)
        return tuple(map(tuple, found))

    @cached_property
    def elements(self) -> int:
        """Elements of all activations together, for one sample."""
        return sum(step.size for step in self.instructions)

    @cached_property
    def peak(self) -> int:
        """Most elements alive at a time, for one sample, if each is let go after its last use."""
        last = {j: i for i, step in enumerate(self.instructions) for j in step.inputs}
        alive = most = 0
        for i, step in enumerate(self.instructions):
            alive += step.size
            most = max(most, alive)
            alive -= sum(self.instructions[j].size for j in set(step.inputs) if last[j] == i)
        return most

    @cached_property
    def largest(self) -> int:
        """Elements of the largest activation, for one sample."""
        return max(step.size for step in self.instructions)


def _pools_all(step: Instruction, steps: tuple[Instruction, ...]) -> bool:
    """Whether an operator takes all positions together."""
    if step.op in GLOBAL_POOLS:
        return True
    return step.op == "reduce" and step.positions == 1 and steps[step.inputs[0]].positions > 1


def compile_graph(graph: ComputeGraph) -> Program:
    """The program of a graph; see the module's docstring for the rules."""
    inputs: list[list[int]] = [[] for _ in range(len(graph))]
    for source, target in graph.edges.tolist():
        inputs[target].append(source)
    ops = graph.ops
    for index in graph.labels:
        ops[index] = "other"
    normed = _normed(graph, ops, inputs)
    columns = _plain_columns(graph)
    counts: Counter[tuple[str, tuple[int, ...]]] = Counter()
    taken: Counter[int] = Counter()
    steps: list[Instruction] = []
    for i, (op, row) in enumerate(zip(ops, columns, strict=True)):
        kernel, stride, dilation, groups, heads, entering, leaving, extent, size, macs = row
        found = _weight_shape(op, leaving, entering, groups, kernel, size)
        weight = None
        if found:
            weight = Weight(*found, counts[found])
            counts[found] += 1
        parts = []
        for j in inputs[i]:  # only where less is read than there is does it matter which part
            some = steps[j].channels > (entering if weight else leaving)
            parts.append(taken[j] if some else 0)
            taken[j] += some
        span = _span(op, macs, leaving, extent)
        # A result that depends on no input is given like one.
        does = op if inputs[i] or op != "output" else "input"
        steps.append(
            Instruction(
                does, tuple(inputs[i]), leaving, extent, entering, kernel, stride, dilation,
                groups, heads, span, normed[i], tuple(parts), weight,
            )
        )  # fmt: skip
    return Program(graph, tuple(steps))


def _plain_columns(graph: ComputeGraph) -> Iterator[tuple[Any, ...]]:
    """The graph's columns as plain numbers, a row a node."""
    return zip(
        *(map(tuple, getattr(graph, name).tolist()) for name in ("kernel", "stride", "dilation")),
        graph.groups.tolist(),
        graph.heads.tolist(),
        graph.channels_in.tolist(),
        graph.channels_out.tolist(),
        map(tuple, graph.extent.tolist()),
        graph.op_weights.tolist(),
        graph.op_macs.tolist(),
        strict=True,
    )


def _weight_shape(
    op: str, leaving: int, entering: int, groups: int, kernel: Triple, size: int
) -> tuple[str, tuple[int, ...]] | None:
    """Kind and shape of an operator's weights."""
    window = kernel if kernel[0] > 1 else kernel[1:]
    if op in _CONVS:
        return op, (leaving, max(entering // groups, 1), *window)
    if op == "linear":
        return op, (leaving, max(entering, 1))
    if op == "embedding":
        return op, (max(size // max(leaving, 1), 2), leaving)
    if op in _GATES:
        return "recurrent", (_GATES[op], leaving, entering + leaving)
    return None


def _normed(graph: ComputeGraph, ops: list[str], inputs: list[list[int]]) -> list[bool]:
    """For each node, whether a batch norm follows it, or is what it is."""
    followed = [False] * len(ops)
    for i, op in enumerate(ops):
        if op in _NORMS:
            for j in inputs[i]:
                followed[j] = True
    spread = (np.prod(graph.extent, 1, dtype=np.int64) > 1).tolist()
    bare = [op in _CONVS and spread[i] and not followed[i] for i, op in enumerate(ops)]
    into_sums = set(range(len(ops)))
    for i, op in enumerate(ops):
        if op != "add":
            into_sums.difference_update(inputs[i])
    for i, before in enumerate(inputs):
        if bare[i] and [ops[j] for j in before] == ["avg_pool"] and i in into_sums:
            bare[i] = False
    own = sum(op in _OWN_NORMS for op in ops)
    if own and own >= sum(bare) - 1:  # the convolution that makes patches has none either
        return [False] * len(ops)
    return [bare[i] or op == "affine" for i, op in enumerate(ops)]


def _span(op: str, macs: int, channels: int, extent: Triple) -> int:
    """Positions that each position of an attention looks at: products and mixture cost alike."""
    if op != "attention" or not macs:
        return 0
    return max(round(macs / (2 * channels * prod(extent))), 1)
