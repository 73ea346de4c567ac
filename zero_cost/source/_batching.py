"""Files that were exported for one batch size, run with another.

A reshape whose file says ``(1, 197, 3, 64)`` cannot take two samples. The batch is the outermost
part of one axis, so it can be found: run the file with its own batch, and note every reshape's
shapes; with another batch, the axis of the operand that has grown says how many numbers lie before
it, and the axis of the result with as many before it grows by the same factor. Whether that was
right is checked by numbers, once a network (:meth:`SourceNetwork.settle`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod
from typing import Literal

from torch import Tensor

Shape = tuple[int, ...]


@dataclass(slots=True)
class Reshapes:
    """How a network's reshapes are carried out.

    Attributes:
        mode: ``plain`` does as the file says; ``note`` does and notes; ``fit`` changes the batch.
        notes: shape before, shape asked for and shape after, for every reshape in order.
        at: the reshape that comes next.
    """

    mode: Literal["plain", "note", "fit"] = "plain"
    notes: list[tuple[Shape, Shape, Shape]] = field(default_factory=list)
    at: int = 0

    def reshape(self, x: Tensor, wanted: Sequence[int]) -> Tensor:
        """The tensor in the shape asked for, or that shape with another batch."""
        if self.mode == "plain":
            return x.reshape(tuple(wanted))
        if self.mode == "note":
            y = x.reshape(tuple(wanted))
            self.notes.append((tuple(x.shape), tuple(wanted), tuple(y.shape)))
            return y
        before, asked, after = self.notes[self.at] if self.at < len(self.notes) else ((), (), ())
        self.at += 1
        # What was worked out from the new batch needs no help.
        if tuple(wanted) != asked or tuple(x.shape) == before:
            return x.reshape(tuple(wanted))
        return x.reshape(fitted(tuple(x.shape), before, after))


def fitted(now: Shape, before: Shape, after: Shape) -> Shape:
    """The shape after a reshape, with another batch.

    Args:
        now: the operand's shape.
        before: its shape with the file's own batch.
        after: the result's shape with the file's own batch.

    Returns:
        The result's shape; ``after`` where it cannot be told.
    """
    grown = [i for i, (a, b) in enumerate(zip(now, before, strict=False)) if a != b]
    if len(now) != len(before) or len(grown) != 1:
        return after
    axis = grown[0]
    ratio = Fraction(now[axis], before[axis])
    lead, place = prod(before[:axis]), None
    for j in range(len(after)):
        if prod(after[:j]) == lead and (after[j] * ratio).denominator == 1:
            place = j
            break
    if before[axis] == 1 and before[axis + 1 :] == after[len(after) - len(before) + axis + 1 :]:
        gone = before[:axis] + before[axis + 1 :] == after
        # The batch's own axis goes: it joins the one before it, whose numbers it follows.
        place = axis - 1 if gone and axis else place
    if place is None:
        return after
    return (*after[:place], int(after[place] * ratio), *after[place + 1 :])
