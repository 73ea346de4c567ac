"""The linear operators of a Transformer by what they are for.

A graph does not say which matrix is a query's. Attention's matrices are the linear operators
whose results attention reads, with nothing but operators without weights between, and those that
read its result likewise. Fixed transforms of all positions take attention's place; so do products
of activations in a network without an attention operator. Feed-forward matrices are those with an
activation behind or before them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from archcast.zero_cost._program import ACTIVATIONS, Program


@dataclass(frozen=True)
class Parts:
    """The linear operators of a network by what they are for.

    Attributes:
        entering: those whose results attention reads -> how many operands that makes.
        leaving: those that read attention's result.
        hidden: feed-forward ones, with an activation behind them.
        closing: feed-forward ones with an activation before them only.
    """

    entering: Mapping[int, int]
    leaving: frozenset[int]
    hidden: frozenset[int]
    closing: frozenset[int]

    @property
    def attention(self) -> frozenset[int]:
        """All of attention's matrices."""
        return self.leaving | frozenset(self.entering)

    @property
    def feed_forward(self) -> frozenset[int]:
        """All feed-forward matrices."""
        return self.hidden | self.closing


@lru_cache(maxsize=256)
def parts_of(program: Program) -> Parts:
    """Which linear operators are attention's, and which are feed-forward."""
    steps = program.instructions
    fixed = _transforms(program)
    linear = frozenset(i for i, s in enumerate(steps) if s.op == "linear") - fixed
    entering: dict[int, int] = {}
    leaving: set[int] = set()
    # Products of activations are attention where it was not recognised as one operator.
    mixes = "attention" if any(step.op == "attention" for step in steps) else "matmul"
    mixing = [i for i, step in enumerate(steps) if step.op == mixes or i in fixed]
    for i in mixing:
        for j in _nearest(program, i, linear, lambda j: steps[j].inputs):
            joined = round(steps[j].channels / steps[i].channels) if i not in fixed else 1
            entering[j] = max(entering.get(j, 1), joined if steps[i].op == "attention" else 1)
        leaving |= _nearest(program, i, linear, lambda j: program.consumers[j])
    leaving -= set(entering)
    rest = linear - leaving - set(entering)
    hidden: set[int] = set()
    closing: set[int] = set()
    for i, step in enumerate(steps):
        if step.op in ACTIVATIONS or step.op == "glu":
            # Not a classifier behind a pool: it works on other positions.
            alike = frozenset(j for j in rest if steps[j].positions == step.positions)
            hidden |= _nearest(program, i, alike, lambda j: steps[j].inputs)
            closing |= _nearest(program, i, alike, lambda j: program.consumers[j])
    return Parts(entering, frozenset(leaving), frozenset(hidden), frozenset(closing - hidden))


def _transforms(program: Program) -> frozenset[int]:
    """Linear operators that are fixed transforms of all positions.

    They are square, and work on an arrangement of the features other than the tokens', which the
    next linear operator undoes.
    """
    steps = program.instructions
    tokens = [step.positions for step in steps]
    turned: set[int] = set()
    for i, step in enumerate(steps):
        first = step.inputs[0] if step.inputs else i
        if step.op == "linear":
            tokens[i] = tokens[first]
            square = step.channels_in == step.channels
            if square and step.positions not in (tokens[i], 1):
                turned.add(i)
            else:
                tokens[i] = step.positions
        elif first in turned and step.positions == steps[first].positions:
            turned.add(i)
            tokens[i] = tokens[first]
    return frozenset(i for i in turned if steps[i].op == "linear")


def _nearest(
    program: Program,
    start: int,
    wanted: frozenset[int],
    follow: Callable[[int], Iterable[int]],
) -> set[int]:
    """Wanted nodes first met on any way from a node, through those without weights or norms."""
    found: set[int] = set()
    seen, waiting = {start}, [start]
    while waiting:
        for j in follow(waiting.pop()):
            step = program.instructions[j]
            if j in wanted:
                found.add(j)
            if j in seen or step.weight or step.op.endswith("_norm"):
                continue
            seen.add(j)
            waiting.append(j)
    return found
