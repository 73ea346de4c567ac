"""Convolutions and pooling: operators with a window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from archcast.zero_cost.source.operators._call import Call, Value, operator, unsupported

_CONV: Final = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: Final = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_MAX: Final = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE: Final = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def paddings(
    call: Call, size: Sequence[int], kernel: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int],
) -> tuple[list[int], list[int]]:  # fmt: skip
    """Positions added before and after each axis.

    Args:
        call: has ``pads``, or ``auto_pad``.
        size: positions of each axis.
        kernel: window.
        strides: its steps.
        dilations: its dilations.
    """
    auto = call.get("auto_pad", "NOTSET")
    rank = len(size)
    if auto in ("NOTSET", ""):
        pads = call.get("pads", [0] * 2 * rank)
        return list(pads[:rank]), list(pads[rank:])
    before, after = [0] * rank, [0] * rank
    if auto == "VALID":
        return before, after
    for i, (n, k, s, d) in enumerate(zip(size, kernel, strides, dilations, strict=True)):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        small, large = total // 2, total - total // 2
        before[i], after[i] = (large, small) if auto == "SAME_LOWER" else (small, large)
    return before, after


def _padded(x: Tensor, before: Sequence[int], after: Sequence[int], value: float = 0.0) -> Tensor:
    amounts = [n for pair in zip(reversed(before), reversed(after), strict=True) for n in pair]
    return F.pad(x, amounts, value=value) if any(amounts) else x


def _window(call: Call, kernel: Sequence[int]) -> tuple[list[int], list[int]]:
    rank = len(kernel)
    return list(call.get("strides", [1] * rank)), list(call.get("dilations", [1] * rank))


@operator("Conv")
@operator("ConvInteger")
def conv(
    call: Call, x: Tensor, weight: Tensor, bias: Tensor | None = None, point: Value = None
) -> Tensor:
    """A convolution; the one on whole numbers has zero points as its last operands."""
    if call.op == "ConvInteger":
        x = x.float() - (0 if bias is None else bias.float())
        moved = 0 if point is None else point.float().reshape(-1, *[1] * (weight.dim() - 1))
        weight = weight.float() - moved
        bias = None
    kernel = weight.shape[2:]
    if len(kernel) not in _CONV:
        raise unsupported(call, f"a window with {len(kernel)} axes")
    strides, dilations = _window(call, kernel)
    before, after = paddings(call, x.shape[2:], kernel, strides, dilations)
    if before != after:
        x, before = _padded(x, before, after), [0] * len(kernel)
    return _CONV[len(kernel)](x, weight, bias, strides, before, dilations, call.get("group", 1))


@operator("ConvTranspose")
def conv_transpose(call: Call, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A transposed convolution: the whole result first, then what ``pads`` cuts off its ends."""
    kernel = weight.shape[2:]
    rank = len(kernel)
    strides, dilations = _window(call, kernel)
    extra = list(call.get("output_padding", [0] * rank))
    pads = call.get("pads", [0] * 2 * rank)
    before, after = list(pads[:rank]), list(pads[rank:])
    full = [
        (n - 1) * s + (k - 1) * d + 1 + e
        for n, s, k, d, e in zip(x.shape[2:], strides, kernel, dilations, extra, strict=True)
    ]
    wanted = call.get("output_shape")
    auto = call.get("auto_pad", "NOTSET")
    if wanted is None and auto.startswith("SAME"):
        wanted = [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
    if wanted is not None:
        cut = [n - w for n, w in zip(full, wanted[-rank:], strict=True)]
        before = [max(c // 2 if auto == "SAME_UPPER" else c - c // 2, 0) for c in cut]
        after = [c - b for c, b in zip(cut, before, strict=True)]
    group = call.get("group", 1)
    run = _TRANSPOSED[rank]
    if (
        before == after
        and min(before) >= 0
        and all(e < s for e, s in zip(extra, strides, strict=True))
    ):
        return run(x, weight, bias, strides, before, extra, group, dilations)
    whole = run(x, weight, bias, strides, 0, 0, group, dilations)
    ends = [e - a for e, a in zip(extra, after, strict=True)]
    return _padded(whole, [-b for b in before], ends)


# ---------------------------------------------------------------------- pooling
@operator("MaxPool")
def max_pool(call: Call, x: Tensor) -> Any:
    """The largest number of each window."""
    kernel = call.get("kernel_shape")
    strides, dilations = _window(call, kernel)
    before, after = paddings(call, x.shape[2:], kernel, strides, dilations)
    ceil, indexed = bool(call.get("ceil_mode", 0)), call.outputs > 1
    pool = _MAX[len(kernel)]
    plain = before == after and all(2 * b <= k for b, k in zip(before, kernel, strict=True))
    if indexed and (not plain or call.get("storage_order", 0)):
        raise unsupported(call, "places of maxima by columns, or under unequal padding")
    if not plain:
        x, before = _padded(x, before, after, float("-inf")), [0] * len(kernel)
    if not indexed:
        return pool(x, kernel, strides, before, dilations, ceil)
    values, places = pool(x, kernel, strides, before, dilations, ceil, return_indices=True)
    images = torch.arange(places[:, :, ...].flatten(2).shape[0] * places.shape[1])
    offset = images.to(x.device).reshape(*places.shape[:2], *[1] * len(kernel))
    return values, places + offset * x[0, 0].numel()


@operator("AveragePool")
def average_pool(call: Call, x: Tensor) -> Tensor:
    """The mean of each window; padding counts or not."""
    kernel = call.get("kernel_shape")
    strides, dilations = _window(call, kernel)
    before, after = paddings(call, x.shape[2:], kernel, strides, dilations)
    ceil, counted = bool(call.get("ceil_mode", 0)), bool(call.get("count_include_pad", 0))
    pool = _AVERAGE[len(kernel)]
    plain = before == after and all(2 * b <= k for b, k in zip(before, kernel, strict=True))
    if plain and max(dilations) == 1:
        return pool(x, kernel, strides, before, ceil, counted)
    padded = _padded(x, before, after)
    shares = padded.new_ones(padded.shape[2:])
    if not counted:
        shares = _padded(x.new_ones(x.shape[2:]), before, after)
    ones = x.new_ones(1, 1, *kernel)
    run = _CONV[len(kernel)]
    columns = padded.reshape(-1, 1, *padded.shape[2:])
    total = run(columns, ones, None, strides, 0, dilations)
    count = run(shares.reshape(1, 1, *shares.shape), ones, None, strides, 0, dilations)
    if ceil and any(
        (n - (k - 1) * d - 1) % s
        for n, k, d, s in zip(padded.shape[2:], kernel, dilations, strides, strict=True)
    ):
        raise unsupported(call, "rounding up with unequal padding")
    return (total / count).reshape(*x.shape[:2], *total.shape[2:])


@operator("LpPool")
def lp_pool(call: Call, x: Tensor) -> Tensor:
    """The p-norm of each window."""
    kernel, p = call.get("kernel_shape"), call.get("p", 2)
    strides, dilations = _window(call, kernel)
    before, after = paddings(call, x.shape[2:], kernel, strides, dilations)
    padded = _padded(x.abs() ** p, before, after)
    columns = padded.reshape(-1, 1, *padded.shape[2:])
    run = _CONV[len(kernel)]
    total = run(columns, x.new_ones(1, 1, *kernel), None, strides, 0, dilations)
    return (total ** (1 / p)).reshape(*x.shape[:2], *total.shape[2:])


@operator("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(call: Call, x: Tensor) -> Tensor:
    """One number for all positions of a channel."""
    axes = tuple(range(2, x.dim()))
    if call.op == "GlobalAveragePool":
        return x.mean(axes, keepdim=True)
    if call.op == "GlobalMaxPool":
        return x.amax(axes, keepdim=True)
    p = call.get("p", 2)
    return (x.abs() ** p).sum(axes, keepdim=True) ** (1 / p)


@operator("MaxUnpool")
def max_unpool(call: Call, x: Tensor, places: Tensor, shape: Value = None) -> Tensor:
    """Numbers put back where the maxima were."""
    kernel = call.get("kernel_shape")
    strides, _ = _window(call, kernel)
    rank = len(kernel)
    pads = call.get("pads", [0] * 2 * rank)
    size = [
        (n - 1) * s + k - pads[i] - pads[i + rank]
        for i, (n, s, k) in enumerate(zip(x.shape[2:], strides, kernel, strict=True))
    ]
    own = [*x.shape[:2], *size]
    flat = x.new_zeros(own).flatten().scatter(0, places.flatten(), x.flatten()).reshape(own)
    if shape is None:
        return flat
    wanted = shape.tolist()
    missing = [w - n for w, n in zip(wanted[2:], size, strict=True)]
    return _padded(flat, [0] * rank, missing)
