"""Run the programs of many architectures at once, each operator of all of them together.

A batch of architectures is one graph. What several begin with is computed once (``share``), and
operators that agree in everything, weights included, run in one call over a longer batch. With
``separate`` weights each architecture has its own copy to take gradients of, and calls become
grouped. Either way an architecture's numbers are those it has alone, up to rounding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from archcast.zero_cost._operators import Call, apply, batch_norm, channel_deviation
from archcast.zero_cost._program import Instruction, Program, Weight

#: An architecture of the batch, and one of its nodes.
Owner = tuple[int, int]
#: Gives the (B, channels, *positions) tensor of an input: program, node.
Source = Callable[[Program, int], Tensor]
#: Operators whose operands may be exchanged.
_COMMUTING: Final = frozenset(("add", "mul", "maximum", "minimum"))


@dataclass(eq=False)
class Step:
    """One executed call: K copies of an instruction.

    Attributes:
        instruction: what was done, without ``inputs``: each owner's node has its own.
        owners: for each copy, the architectures and nodes that it stands for.
        inputs: what was read, (K·B, …) each.
        raw: the result before a norm that follows, (K·B, channels, *positions).
        value: the result.
        weight: weights, shared or (K, …) separate ones.
    """

    instruction: Instruction
    owners: tuple[tuple[Owner, ...], ...]
    inputs: tuple[Tensor, ...]
    raw: Tensor
    value: Tensor
    weight: Tensor | None = None

    @property
    def copies(self) -> int:
        """K."""
        return len(self.owners)

    def split(self, x: Tensor) -> Tensor:
        """(K·B, …) as (K, B, …)."""
        return x.unflatten(0, (self.copies, -1))

    @cached_property
    def values(self) -> Tensor:
        """(K, B, channels, *positions) results."""
        return self.split(self.value)

    @cached_property
    def deviation(self) -> Tensor:
        """(K, channels) standard deviations before the norm, over samples and positions."""
        return channel_deviation(self.raw, self.copies)


@dataclass(frozen=True)
class Mode:
    """How programs are executed.

    Attributes:
        norm: whether batch norms are there; without, they pass what they get.
        separate: each architecture has its own copy of every weight, to differentiate by.
        width: architectures whose operators may run in one call.
        change: what becomes of weights before they are used (their absolute values, say).
        replace: gives what takes the place of a call's result (the same, scaled, say).
    """

    norm: bool = True
    separate: bool = False
    width: int = 1
    change: Callable[[Tensor], Tensor] | None = None
    replace: Callable[[Step], Tensor] | None = None


class _Node(NamedTuple):
    """What is computed once: an instruction on certain operands."""

    instruction: Instruction
    inputs: tuple[int, ...]
    owner: Owner


@dataclass
class _Union:
    """The graphs of a batch as one graph, equal nodes being one."""

    nodes: list[_Node] = field(default_factory=list)
    owners: list[list[Owner]] = field(default_factory=list)
    place: list[list[int]] = field(default_factory=list)
    uses: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, programs: Sequence[Program], share: bool) -> _Union:
        union = cls()
        seen: dict[Any, int] = {}
        for a, program in enumerate(programs):
            place: list[int] = []
            for i, step in enumerate(program.instructions):
                inputs = tuple(place[j] for j in step.inputs)
                plain = step._replace(inputs=())
                ends = (i, program.token_inputs.get(i, 0)) if step.op == "input" else ()
                order = tuple(sorted(inputs)) if step.op in _COMMUTING else inputs
                key = (plain, order, ends) if share else (a, i)
                index = seen.get(key)
                if index is None:
                    index = seen[key] = union._append(_Node(plain, inputs, (a, i)))
                union.owners[index].append((a, i))
                place.append(index)
            union.place.append(place)
        return union

    def _append(self, node: _Node) -> int:
        self.nodes.append(node)
        self.owners.append([])
        self.uses.append(0)
        for j in node.inputs:
            self.uses[j] += 1
        return len(self.nodes) - 1


@dataclass
class _Values:
    """Results by node, as copies within stacked tensors; dropped when nobody reads them."""

    batch: int
    uses: list[int]
    held: dict[int, tuple[Tensor, int]] = field(default_factory=dict)

    def gather(self, indices: Sequence[int]) -> Tensor:
        """The results of several nodes, one after the other along the batch."""
        found = [self.held[i] for i in indices]
        base, first = found[0]
        following = all(t is base and k == first + n for n, (t, k) in enumerate(found))
        if following:
            size = base.shape[0] // self.batch
            if len(found) == size:
                return base
            return base.narrow(0, first * self.batch, len(found) * self.batch)
        return torch.cat([t.narrow(0, k * self.batch, self.batch) for t, k in found])

    def release(self, index: int) -> None:
        self.uses[index] -= 1
        if not self.uses[index]:
            del self.held[index]


def execute(
    programs: Sequence[Program],
    source: Source,
    weights: Callable[[Weight], Tensor],
    mode: Mode,
    observe: Callable[[Step], None] | None = None,
) -> list[list[Tensor]]:
    """Run programs.

    Args:
        programs: G architectures.
        source: their inputs, all with the same number of samples B.
        weights: their weights by key.
        mode: how.
        observe: sees every call as it is done.

    Returns:
        For each architecture its results, (B, channels, *positions) each, the largest first.
    """
    union = _Union.of(programs, share=not mode.separate)
    uses = list(union.uses)
    for place, program in zip(union.place, programs, strict=True):
        for i in program.outputs:
            uses[place[i]] += 1
    runner = _Runner(programs, union, source, weights, mode, observe, uses)
    for start in range(0, len(programs), mode.width):
        runner.run(range(start, min(start + mode.width, len(programs))))
    held = runner.values.held
    results = []
    for place, program in zip(union.place, programs, strict=True):
        found = [held[place[i]] for i in program.outputs]
        size = runner.values.batch
        results.append([t.narrow(0, k * size, size) for t, k in found])
    return results


class _Runner:
    """The state of one execution."""

    def __init__(
        self,
        programs: Sequence[Program],
        union: _Union,
        source: Source,
        weights: Callable[[Weight], Tensor],
        mode: Mode,
        observe: Callable[[Step], None] | None,
        uses: list[int],
    ) -> None:
        self.programs, self.union, self.source, self.weights = programs, union, source, weights
        self.mode, self.observe = mode, observe
        self.values = _Values(0, uses)
        self._done: set[int] = set()

    def run(self, architectures: range) -> None:
        """Compute what some architectures need and nobody computed before."""
        todo = list(
            dict.fromkeys(
                index
                for a in architectures
                for index in self.union.place[a]
                if index not in self._done
            )
        )
        if len(architectures) == 1:
            for index in todo:
                self._call([index])
            return
        for group in _grouped(self.union, todo, self._done):
            self._call(group)

    def _call(self, indices: list[int]) -> None:
        """Compute nodes that agree in everything but the operands."""
        self._done.update(indices)
        first = self.union.nodes[indices[0]]
        step = first.instruction
        if step.op == "output":
            for index in indices:
                self._finish(index)
            return
        if step.op == "input":
            inputs = tuple(self._given(self.union.nodes[i].owner) for i in indices)
            inputs = (torch.cat(inputs),) if len(inputs) > 1 else inputs
        else:
            inputs = tuple(
                self.values.gather([self.union.nodes[i].inputs[k] for i in indices])
                for k in range(len(first.inputs))
            )
        weight = self._weight(step.weight, len(indices)) if step.weight else None
        call = Call(step, len(indices), weight, self.mode.separate)
        raw = value = apply(call, inputs)
        if step.norm and self.mode.norm:
            value = batch_norm(raw, len(indices))
        if self.observe or self.mode.replace:
            owners = tuple(tuple(self.union.owners[i]) for i in indices)
            made = Step(step, owners, inputs, raw, value, weight)
            if self.mode.replace:
                value = made.value = self.mode.replace(made)
            if self.observe:
                self.observe(made)
        for k, index in enumerate(indices):
            self.values.held[index] = (value, k)
        for index in indices:
            self._finish(index)

    def _finish(self, index: int) -> None:
        """Let go of what this node was the last to read."""
        for j in self.union.nodes[index].inputs:
            self.values.release(j)
        if not self.values.uses[index]:
            self.values.held.pop(index, None)

    def _given(self, owner: Owner) -> Tensor:
        value = self.source(self.programs[owner[0]], owner[1])
        self.values.batch = value.shape[0]
        return value

    def _weight(self, key: Weight, copies: int) -> Tensor:
        weight = self.weights(key)
        if self.mode.change:
            weight = self.mode.change(weight)
        if not self.mode.separate:
            return weight
        return weight.expand(copies, *weight.shape).clone().requires_grad_()


def _grouped(union: _Union, todo: Sequence[int], done: set[int]) -> Iterator[list[int]]:
    """Nodes in groups that can run together, every group after all it reads.

    Always the largest group that is ready, so that architectures wait for one another.
    """
    waiting = set(todo)
    missing: dict[int, int] = {}
    readers: Mapping[int, list[int]] = defaultdict(list)
    ready: dict[Any, list[int]] = {}

    def offer(index: int) -> None:
        node = union.nodes[index]
        shapes = tuple(
            (union.nodes[j].instruction.channels, union.nodes[j].instruction.extent)
            for j in node.inputs
        )
        ready.setdefault((node.instruction, shapes), []).append(index)

    for index in todo:
        before = [j for j in set(union.nodes[index].inputs) if j in waiting and j not in done]
        missing[index] = len(before)
        for j in before:
            readers[j].append(index)
        if not before:
            offer(index)
    while ready:
        key = max(ready, key=lambda k: len(ready[k]))
        group = ready.pop(key)
        yield group
        for index in group:
            for reader in readers[index]:
                missing[reader] -= 1
                if not missing[reader]:
                    offer(reader)
