"""Operators on shapes: views, joins, parts, and what is made from a shape."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from archcast.zero_cost.source.operators._call import (
    DTYPES,
    Call,
    Value,
    axes_of,
    ints,
    number,
    operator,
    unsupported,
)


@operator("Shape")
def shape(call: Call, x: Tensor) -> Tensor:
    """The dimensions; they stay in the processor's memory, where shapes are worked out."""
    return torch.tensor(list(x.shape)[call.get("start", 0) : call.get("end")], dtype=torch.int64)


@operator("Size")
def size(_: Call, x: Tensor) -> Tensor:
    """How many numbers."""
    return torch.tensor(math.prod(x.shape), dtype=torch.int64)


@operator("Reshape")
def reshape(call: Call, x: Tensor, dims: Value = None) -> Tensor:
    """Another shape: 0 keeps a dimension, -1 is what is left."""
    wanted = ints(dims if dims is not None else call.get("shape"))
    if not call.get("allowzero", 0):
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    return call.reshapes.reshape(x, wanted)


@operator("Flatten")
def flatten(call: Call, x: Tensor) -> Tensor:
    """Two axes."""
    axis = call.get("axis", 1)
    axis = axis % x.dim() if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


@operator("Squeeze")
def squeeze(call: Call, x: Tensor, axes: Value = None) -> Tensor:
    """Without axes of length 1."""
    given = axes_of(call, axes, x.dim())
    return x.squeeze(given) if given else x.squeeze()


@operator("Unsqueeze")
def unsqueeze(call: Call, x: Tensor, axes: Value = None) -> Tensor:
    """With more axes of length 1."""
    given = ints(axes if axes is not None else call.get("axes"))
    rank = x.dim() + len(given)
    for axis in sorted(axis % rank for axis in given):
        x = x.unsqueeze(axis)
    return x


@operator("Transpose")
def transpose(call: Call, x: Tensor) -> Tensor:
    """Axes in another order, backwards by default."""
    return x.permute(call.get("perm", list(range(x.dim()))[::-1]))


@operator("Concat")
def concat(call: Call, *parts: Tensor) -> Tensor:
    """Tensors joined along an axis; one whose file has a fixed batch of 1 is repeated."""
    axis = call.get("axis", 1)
    parts = tuple(part for part in parts if part.dim() > 1 or part.numel()) or parts[:1]
    axis = axis % parts[0].dim()
    shapes = [[n for i, n in enumerate(part.shape) if i != axis] for part in parts]
    if any(s != shapes[0] for s in shapes):
        largest = [max(dims) for dims in zip(*shapes, strict=True)]
        parts = tuple(_repeated(part, axis, largest) for part in parts)
    return torch.cat(parts, axis)


def _repeated(part: Tensor, axis: int, dims: list[int]) -> Tensor:
    return part.expand(*dims[:axis], part.shape[axis], *dims[axis:])


@operator("Split")
def split(call: Call, x: Tensor, sizes: Value = None) -> Any:
    """Parts along an axis: of given lengths, or equal but for the last."""
    axis = call.get("axis", 0)
    lengths = ints(sizes if sizes is not None else call.get("split"))
    if not lengths:
        count = call.get("num_outputs", call.outputs)
        lengths = [-(-x.shape[axis] // count)] * (count - 1)
        lengths.append(x.shape[axis] - sum(lengths))
    return tuple(torch.split(x, lengths, axis))


@operator("Slice")
def slice_(call: Call, x: Tensor, *bounds: Value) -> Tensor:
    """From, to, along which axes, in which steps; steps may lead backwards."""
    names = ("starts", "ends", "axes", "steps")
    given = [
        ints(operand if operand is not None else call.get(name))
        for name, operand in zip(names, (*bounds, None, None, None, None), strict=False)
    ]
    starts, ends, axes, steps = given
    axes = axes or list(range(len(starts)))
    steps = steps or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        length = x.shape[axis]
        if step > 0:
            x = _forward(x, axis, slice(start, end, step).indices(length))
            continue
        first = min(start + length if start < 0 else start, length - 1)
        last = max(end + length if end < 0 else end, -1)
        picked = torch.arange(first, last, step, device=x.device)
        x = x.index_select(axis, picked)
    return x


def _forward(x: Tensor, axis: int, part: tuple[int, int, int]) -> Tensor:
    start, end, step = part
    index = [slice(None)] * x.dim()
    index[axis] = slice(start, max(end, start), step)
    return x[tuple(index)]


@operator("Expand")
def expand(_: Call, x: Tensor, dims: Value) -> Tensor:
    """Broadcast with a shape."""
    return x.expand(torch.broadcast_shapes(x.shape, ints(dims)))


@operator("Tile")
def tile(call: Call, x: Tensor, repeats: Value, axis: Value = None) -> Tensor:
    """Repeated along each axis; before version 6 along one."""
    if call.opset >= 6 or axis is None:
        return x.repeat(ints(repeats))
    counts = [1] * x.dim()
    counts[int(number(axis, 0))] = int(number(repeats, 1))
    return x.repeat(counts)


@operator("Pad")
def pad(call: Call, x: Tensor, pads: Value = None, value: Value = None, axes: Value = None) -> Any:
    """Positions added at the ends of axes; negative numbers cut."""
    amounts = ints(pads if pads is not None else call.get("pads", call.get("paddings")))
    which = [axis % x.dim() for axis in ints(axes)] or list(range(x.dim()))
    before, after = [0] * x.dim(), [0] * x.dim()
    for place, axis in enumerate(which):
        before[axis], after[axis] = amounts[place], amounts[place + len(which)]
    mode = call.get("mode", "constant")
    fill = number(value, call.get("value", 0.0))
    if mode == "constant":
        flat = [n for i in reversed(range(x.dim())) for n in (before[i], after[i])]
        return F.pad(x, flat, value=fill)
    for axis in range(x.dim()):
        if before[axis] or after[axis]:
            x = _mirrored(x, axis, before[axis], after[axis], mode)
    return x


def _mirrored(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    places = torch.arange(-before, x.shape[axis] + after, device=x.device)
    last = x.shape[axis] - 1
    if mode == "edge":
        places = places.clamp(0, last)
    elif mode == "wrap":
        places = places % (last + 1)
    else:
        places = last - (last - places.abs()).abs() if last else places * 0
    return x.index_select(axis, places)


# ---------------------------------------------------------------- from a shape
@operator("ConstantOfShape")
def constant_of_shape(call: Call, dims: Value) -> Tensor:
    """One number everywhere."""
    value = call.get("value")
    fill = torch.zeros(1) if value is None else value
    return fill.reshape(-1)[:1].repeat(math.prod(ints(dims))).reshape(ints(dims))


@operator("Range")
def range_(_: Call, start: Tensor, limit: Tensor, step: Tensor) -> Tensor:
    """Numbers at equal distances."""
    bounds = (number(start, 0), number(limit, 0), number(step, 1))
    return torch.arange(*bounds, dtype=start.dtype, device=start.device)


@operator("EyeLike")
def eye_like(call: Call, x: Tensor) -> Tensor:
    """Ones on a diagonal."""
    kind = DTYPES[call.get("dtype")] if call.get("dtype") else x.dtype
    y = torch.zeros(x.shape, dtype=kind, device=x.device)
    places = torch.arange(x.shape[0], device=x.device)
    columns = places + call.get("k", 0)
    inside = (columns >= 0) & (columns < x.shape[1])
    y[places[inside], columns[inside]] = 1
    return y


@operator("Trilu")
def triangle(call: Call, x: Tensor, k: Value = None) -> Tensor:
    """The upper or the lower triangle."""
    part = torch.triu if call.get("upper", 1) else torch.tril
    return part(x, int(number(k, 0)))


@operator("DepthToSpace", "SpaceToDepth")
def depth_to_space(call: Call, x: Tensor) -> Tensor:
    """Channels as blocks of positions, or back."""
    b = call.get("blocksize")
    n, c, h, w = x.shape
    if call.op == "SpaceToDepth":
        if call.get("mode", "DCR") == "CRD":
            return F.pixel_unshuffle(x, b)
        blocks = x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4)
        return blocks.reshape(n, c * b * b, h // b, w // b)
    if call.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, b)
    blocks = x.reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2)
    return blocks.reshape(n, c // (b * b), h * b, w * b)


@operator("Col2Im")
def col2im(call: Call, x: Tensor, image: Value, block: Value) -> Tensor:
    """Columns of windows added up to an image."""
    pads = call.get("pads", [0, 0, 0, 0])
    if len(ints(image)) != 2 or pads[:2] != pads[2:]:
        raise unsupported(call, "other than two axes with equal padding")
    window = {"dilation": call.get("dilations", [1, 1]), "stride": call.get("strides", [1, 1])}
    size, kernel = tuple(ints(image)), tuple(ints(block))
    return F.fold(x, size, kernel, padding=pads[:2], **window)
