"""Operators with a window that moves over positions: convolutions and pools."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from archcast.zero_cost._operators._call import Call
from archcast.zero_cost._operators._fit import entering, fit_channels
from archcast.zero_cost._program import Instruction


def grouped(x: Tensor, copies: int) -> Tensor:
    """(K·B, C, …) as (B, K·C, …): copies as groups of channels."""
    if copies == 1:
        return x
    return x.unflatten(0, (copies, -1)).transpose(0, 1).flatten(1, 2)


def ungrouped(x: Tensor, copies: int) -> Tensor:
    if copies == 1:
        return x
    return x.unflatten(1, (copies, -1)).transpose(0, 1).flatten(0, 1)


def padding(x: Tensor, step: Instruction) -> list[int]:
    """Padding of each axis of positions, so that at least the extent comes out.

    Half of the window where that gives the extent; else as little as does, the larger half in
    front. Padding as much behind changes no position of the extent.
    """
    found = []
    for have, a in zip(x.shape[2:], range(5 - x.dim(), 3), strict=True):
        reach = step.dilation[a] * (step.kernel[a] - 1) + 1
        total = max((step.extent[a] - 1) * step.stride[a] + reach - have, 0)
        half = reach // 2
        usual = (have + 2 * half - reach) // step.stride[a] + 1 == step.extent[a]
        found.append(half if usual else total - total // 2)
    return found


def volume(x: Tensor, step: Instruction) -> Tensor:
    """The value with an axis of depth if the window or the result has one."""
    deep = step.extent[0] > 1 or step.kernel[0] > 1 or step.stride[0] > 1
    return x.unsqueeze(2) if deep and x.dim() == 4 else x


def flattened(x: Tensor) -> Tensor:
    """Without an axis of depth that is one."""
    return x.squeeze(2) if x.dim() == 5 and x.shape[2] == 1 else x


def convolved(call: Call, values: Sequence[Tensor]) -> Tensor:
    step, weight = call.step, call.weight
    assert weight is not None
    x = volume(entering(call, values[0]), step)
    rank = x.dim() - 2
    copies = call.copies if call.separate else 1
    kernel = weight.flatten(0, 1) if call.separate else weight
    if kernel.dtype == torch.float64:
        # torch 2.13 gives wrong gradients of channels-last float64 weights for a batch of one
        # whose strides are those of a view.
        kernel = kernel.contiguous()
    if kernel.dim() < x.dim():
        kernel = kernel.unsqueeze(2)
    function: Any = F.conv2d if rank == 2 else F.conv3d
    result = function(
        grouped(x, copies), kernel, None, step.stride[-rank:], padding(x, step),
        step.dilation[-rank:], copies * step.groups,
    )  # fmt: skip
    result = cut(ungrouped(result, copies), step)
    return flattened(result)


def cut(x: Tensor, step: Instruction) -> Tensor:
    """Without positions beyond the extent."""
    for axis, size in enumerate(step.extent[5 - x.dim() :], 2):
        if x.shape[axis] > size:
            x = x.narrow(axis, 0, size)
    return x


def transposed(call: Call, values: Sequence[Tensor]) -> Tensor:
    """A transposed convolution; its padding is what the extent leaves over, half at each end."""
    step, weight = call.step, call.weight
    assert weight is not None
    x = volume(entering(call, values[0]), step)
    rank, copies = x.dim() - 2, call.copies if call.separate else 1
    kernel = weight.flatten(0, 1) if call.separate else weight
    kernel = kernel.unsqueeze(2) if kernel.dim() < x.dim() else kernel
    groups = copies * step.groups
    kernel = kernel.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    function: Any = F.conv_transpose2d if rank == 2 else F.conv_transpose3d
    result = function(
        grouped(x, copies), kernel, None, step.stride[-rank:], 0, 0, groups,
        step.dilation[-rank:],
    )  # fmt: skip
    for axis, size in enumerate(step.extent[3 - rank :], 2):
        have = result.shape[axis]
        if have >= size:
            result = result.narrow(axis, (have - size) // 2, size)
        else:
            short = [0, 0] * (rank + 1 - axis + 1) + [0, size - have]
            result = F.pad(result, short)
    return flattened(ungrouped(result, copies))


def max_pooled(call: Call, values: Sequence[Tensor]) -> Tensor:
    return pooled(call, values[0], (F.max_pool2d, F.max_pool3d), float("-inf"))


def avg_pooled(call: Call, values: Sequence[Tensor]) -> Tensor:
    """The mean of what lies in the window, padding not counted."""

    def flat(x: Tensor, kernel: Any, stride: Any, padding: Any) -> Tensor:
        return F.avg_pool2d(x, kernel, stride, padding, count_include_pad=False)

    def deep(x: Tensor, kernel: Any, stride: Any, padding: Any) -> Tensor:
        return F.avg_pool3d(x, kernel, stride, padding, count_include_pad=False)

    return pooled(call, values[0], (flat, deep), 0.0)


def pooled(call: Call, x: Tensor, functions: tuple[Any, Any], value: float) -> Tensor:
    step = call.step
    x = volume(fit_channels(x, step.channels, step.parts[0]), step)
    rank = x.dim() - 2
    kernel = step.kernel[-rank:]
    if any(size <= 0 for size in kernel) or step.positions > prod(x.shape[2:]):
        return flattened(x)
    sides = padding(x, step)
    if any(side > size // 2 for side, size in zip(sides, kernel, strict=True)):
        flat = [side for side in reversed(sides) for _ in range(2)]
        x, sides = F.pad(x, flat, value=max(value, -1e30)), [0] * rank
    short = any(
        have + 2 * side < size for have, side, size in zip(x.shape[2:], sides, kernel, strict=True)
    )
    if short:
        return flattened(x)
    result = functions[rank - 2](x, kernel, step.stride[-rank:], sides)
    return flattened(cut(result, step))
