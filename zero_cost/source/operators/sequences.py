"""Sequences of tensors, and values that may be absent."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from archcast.zero_cost.source.operators._call import Call, Value, ints, number, operator


@operator("SequenceEmpty", "SequenceConstruct")
def construct(_: Call, *parts: Tensor) -> list[Tensor]:
    """A sequence of some tensors, or of none."""
    return list(parts)


@operator("SequenceAt")
def at(_: Call, sequence: list[Tensor], place: Value) -> Tensor:
    """One of a sequence."""
    return sequence[int(number(place, 0))]


@operator("SequenceInsert")
def insert(_: Call, sequence: list[Tensor], value: Tensor, place: Value = None) -> list[Tensor]:
    """One more, at the end by default."""
    where = int(number(place, len(sequence)))
    return [*sequence[:where], value, *sequence[where:]]


@operator("SequenceErase")
def erase(_: Call, sequence: list[Tensor], place: Value = None) -> list[Tensor]:
    """One less, the last by default."""
    where = int(number(place, -1)) % len(sequence)
    return [*sequence[:where], *sequence[where + 1 :]]


@operator("SequenceLength")
def length(_: Call, sequence: list[Tensor]) -> Tensor:
    """How many."""
    return torch.tensor(len(sequence), dtype=torch.int64)


@operator("SplitToSequence")
def split(call: Call, x: Tensor, sizes: Value = None) -> list[Tensor]:
    """Parts along an axis: single positions, parts of one length, or of given lengths."""
    axis = call.get("axis", 0)
    if sizes is None:
        parts = list(torch.split(x, 1, axis))
        return parts if call.get("keepdims", 1) else [part.squeeze(axis) for part in parts]
    lengths = ints(sizes) if sizes.dim() else int(number(sizes, 1))
    return list(torch.split(x, lengths, axis))


@operator("ConcatFromSequence")
def concat(call: Call, sequence: list[Tensor]) -> Tensor:
    """Joined along an axis, or along a new one."""
    join = torch.stack if call.get("new_axis", 0) else torch.cat
    return join(sequence, call.get("axis"))


@operator("Optional", "OptionalGetElement")
def optional(_: Call, value: Value = None) -> Any:
    """The value itself."""
    return value


@operator("OptionalHasElement")
def has_element(_: Call, value: Value = None) -> Tensor:
    """Whether there is one."""
    return torch.tensor(value is not None)
