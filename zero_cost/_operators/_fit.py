"""Values in the shape that a node has, where a graph does not say how they get it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from archcast.zero_cost._operators._call import Call
from archcast.zero_cost._program import Triple


def fit(x: Tensor, channels: int, extent: Triple, part: int = 0) -> Tensor:
    """A value in another shape, by the mildest means that give it.

    The same number of elements is a view; fewer positions or channels are a part; more are
    repetitions.

    Args:
        x: (N, C, *positions).
        channels: wanted.
        extent: wanted, as depth, height, width.
        part: which of the parts, counted round.
    """
    shape = (channels, *(extent if extent[0] > 1 else extent[1:]))
    if x.shape[1:] == shape:
        return x
    size = x[0].numel()
    if size == prod(shape):
        if x.shape[1] == channels or x.shape[1] == 1 or channels == 1:
            return x.reshape(-1, *shape)
        if x.shape[1] == prod(shape[1:]) and prod(x.shape[2:]) == channels:
            return x.flatten(2).transpose(1, 2).reshape(-1, *shape)
        return x.reshape(-1, *shape)
    return fit_channels(fit_positions(x, shape[1:]), channels, part)


def fit_positions(x: Tensor, wanted: tuple[int, ...]) -> Tensor:
    have = tuple(x.shape[2:])
    if have == wanted:
        return x
    if prod(have) == prod(wanted):
        return x.reshape(*x.shape[:2], *wanted)
    if prod(wanted) == 1:  # a mean would be an operator: this is the class token
        return x.flatten(2)[:, :, 0].reshape(*x.shape[:2], *wanted)
    if prod(have) == 1:
        return x.reshape(*x.shape[:2], *[1] * len(wanted)).expand(*x.shape[:2], *wanted)
    if len(have) == len(wanted) and all(a % b == 0 for a, b in zip(have, wanted, strict=True)):
        for axis, (a, b) in enumerate(zip(have, wanted, strict=True), 2):
            x = x.unflatten(axis, (b, a // b)).select(axis + 1, 0)
        return x
    flat = x.flatten(2)
    count = prod(wanted)
    if flat.shape[2] < count:  # tokens that the graph does not show: a class token, say
        flat = F.pad(flat, (count - flat.shape[2], 0)) if count < 2 * flat.shape[2] else flat
        flat = flat.repeat(1, 1, -(-count // flat.shape[2]))
    return flat[:, :, :count].reshape(*x.shape[:2], *wanted)


def fit_channels(x: Tensor, wanted: int, part: int) -> Tensor:
    have = x.shape[1]
    if have == wanted:
        return x
    if have > wanted:
        start = part % (have // wanted) * wanted
        return x[:, start : start + wanted]
    return x.repeat(1, -(-wanted // have), *[1] * (x.dim() - 2))[:, :wanted]


def spatial(x: Tensor) -> Triple:
    """The extent of a value."""
    sizes = tuple(x.shape[2:])
    return (1, *sizes) if len(sizes) == 2 else sizes  # type: ignore[return-value]


def operand(call: Call, values: Sequence[Tensor], index: int) -> Tensor:
    """An operand as the sum or product needs it: of the result's shape, or broadcast to it."""
    step, x = call.step, values[index]
    wanted = step.shape
    if x.shape[1:] == wanted:
        return x
    if x.dim() == len(wanted) + 1 and all(
        a in (1, b) for a, b in zip(x.shape[1:], wanted, strict=True)
    ):
        return x
    return fit(x, step.channels, step.extent, step.parts[index])


def entering(call: Call, x: Tensor) -> Tensor:
    """What a weighted operator reads, with the channels its weights have."""
    step = call.step
    wanted = step.channels_in
    if x.shape[1] == wanted:
        return x
    size, positions = x[0].numel(), prod(x.shape[2:])
    if size == wanted * step.positions or positions == wanted:
        if positions == wanted and x.shape[1] == step.positions:
            return x.flatten(2).transpose(1, 2).unsqueeze(3)
        if size == wanted * step.positions:
            return fit(x, wanted, step.extent if step.op == "linear" else spatial(x))
    if positions == wanted:  # mixing tokens: positions are the features
        return x.flatten(2).transpose(1, 2).unsqueeze(3)
    return fit_channels(x, wanted, step.parts[0])
