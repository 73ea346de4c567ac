"""Channels and extents: where the positions of a tensor are, whatever layout a source has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

Dims = tuple[int, ...]
Triple = tuple[int, int, int]
ONES: Triple = (1, 1, 1)


class Sized(Protocol):
    """What has channels at positions: a node of a trace."""

    channels: int
    extent: Triple

    @property
    def positions(self) -> int:
        """Number of positions."""
        ...


def triple(values: Sequence[int]) -> Triple:
    """Depth, height and width from the trailing dimensions a source names (missing ones are 1)."""
    items = [int(v) for v in values]
    if len(items) == 1:
        return (1, items[0], 1)
    if len(items) > 3:
        items = [math.prod(items[:-2]), *items[-2:]]
    return tuple([1] * (3 - len(items)) + items)  # type: ignore[return-value]


def geometry(size: int, operands: Sequence[Sized], channels: int = 0) -> tuple[int, Triple]:
    """Channels and extent of a result by its number of elements alone.

    Layouts differ between exporters; the number of elements does not. An operand's positions are
    kept where they divide it, else its channels. The largest operand counts, in whatever order
    they come.
    """
    like = max(operands, key=lambda n: (n.channels * n.positions, n.channels, n.extent))
    if channels and size % channels == 0:
        positions = size // channels
        extents = [n.extent for n in operands if n.positions == positions]
        return channels, max(extents, default=flat_extent(positions))
    if like.positions and size and size % like.positions == 0:
        return size // like.positions, like.extent
    if like.channels and size % like.channels == 0:
        return like.channels, flat_extent(size // like.channels)
    return max(size, 1), ONES


def joined_geometry(size: int, operands: Sequence[Sized]) -> tuple[int, Triple]:
    """Channels and extent of a concatenation: channels add up where extents are equal."""
    extents = {n.extent for n in operands}
    if len(extents) == 1 and size % operands[0].positions == 0:
        return size // operands[0].positions, operands[0].extent
    channels = max(n.channels for n in operands)
    return (channels, flat_extent(size // channels)) if size % channels == 0 else (size, ONES)


def flat_extent(positions: int) -> Triple:
    """The extent of tokens without a layout."""
    return (1, max(int(positions), 1), 1)


def input_geometry(shape: Dims) -> tuple[int, Triple]:
    """Channels and extent of an input: (N, C, …), or channels last if only that looks like it."""
    if len(shape) < 2:
        return 1, flat_extent(math.prod(shape))
    if len(shape) == 2:
        return max(shape[1], 1), ONES
    if len(shape) == 3:
        return max(shape[2], 1), flat_extent(shape[1])
    channels, positions = shape[1], shape[2:]
    if shape[-1] <= 4 < channels:
        channels, positions = shape[-1], shape[1:-1]
    return max(channels, 1), triple([max(p, 1) for p in positions])


def attention_heads(shape: Dims) -> int:
    """Heads of scores or results shaped (…, heads, length, features)."""
    return shape[-3] if len(shape) >= 3 else 1
