"""Operators without weights or windows: sums, products, joins, means, activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from archcast.zero_cost._operators._call import Call
from archcast.zero_cost._operators._fit import fit, fit_channels, fit_positions, operand

_EPS: Final = 1e-5


def given(call: Call, values: Sequence[Tensor]) -> Tensor:
    return values[0]


def passed(call: Call, values: Sequence[Tensor]) -> Tensor:
    if not values:
        raise AssertionError("an operator other than an input reads something")
    if len(values) > 1:
        return added(call, values)
    return fit(values[0], call.step.channels, call.step.extent, call.step.parts[0])


def added(call: Call, values: Sequence[Tensor]) -> Tensor:
    total = operand(call, values, 0)
    for index in range(1, len(values)):
        total = total + operand(call, values, index)
    return total


def subtracted(call: Call, values: Sequence[Tensor]) -> Tensor:
    if len(values) == 1:  # a value and what is left of it without its mean
        x = values[0]
        return x - x.mean(tuple(range(2, x.dim())), keepdim=True)
    return operand(call, values, 0) - operand(call, values, 1)


def multiplied(call: Call, values: Sequence[Tensor]) -> Tensor:
    total = operand(call, values, 0)
    for index in range(1, len(values)):
        total = total * operand(call, values, index)
    return total


def divided(call: Call, values: Sequence[Tensor]) -> Tensor:
    if len(values) == 1:
        return values[0]
    return operand(call, values, 0) / (operand(call, values, 1).abs() + 1)


def extreme(function: Callable[..., Tensor]) -> Callable[[Call, Sequence[Tensor]], Tensor]:
    def chosen(call: Call, values: Sequence[Tensor]) -> Tensor:
        total = operand(call, values, 0)
        for index in range(1, len(values)):
            total = function(total, operand(call, values, index))
        return total

    return chosen


def joined(call: Call, values: Sequence[Tensor]) -> Tensor:
    """Along channels where they add up, else along positions."""
    step = call.step
    if sum(x.shape[1] for x in values) <= step.channels or len(values) == 1:
        parts = [fit_positions(x, step.shape[1:]) for x in values]
        return torch.cat(parts, 1)
    parts = [fit_channels(x, step.channels, 0).flatten(2) for x in values]
    return torch.cat(parts, 2).unsqueeze(3)


def global_mean(call: Call, values: Sequence[Tensor]) -> Tensor:
    x = values[0]
    if call.step.positions > 1:  # of channels, or of some positions only
        return reduced(call, values)
    return x.mean(tuple(range(2, x.dim())), keepdim=True).flatten(2).mean(2)[:, :, None, None]


def global_max(call: Call, values: Sequence[Tensor]) -> Tensor:
    x = values[0]
    return x.amax(tuple(range(2, x.dim())))[:, :, None, None]


def reduced(call: Call, values: Sequence[Tensor]) -> Tensor:
    """A mean over what the result has no more of."""
    step, x = call.step, values[0]
    if step.channels < x.shape[1] and x.shape[1] % step.channels == 0:
        x = x.unflatten(1, (step.channels, -1)).mean(2)
    have = prod(x.shape[2:])
    if step.positions < have and have % step.positions == 0:
        x = x.flatten(2).unflatten(2, (step.positions, -1)).mean(3)
    return fit(x if x.dim() > 3 else x.unsqueeze(3), step.channels, step.extent)


def resized(call: Call, values: Sequence[Tensor]) -> Tensor:
    wanted = call.step.shape[1:]
    x = values[0]
    return F.interpolate(x, wanted, mode="nearest") if len(wanted) == x.dim() - 2 else x


def gated(call: Call, values: Sequence[Tensor]) -> Tensor:
    step, x = call.step, values[0]
    if x.shape[1] == 2 * step.channels:
        return F.glu(x, 1)
    return x * torch.sigmoid(x)


def one(function: Callable[[Tensor], Tensor]) -> Callable[[Call, Sequence[Tensor]], Tensor]:
    def changed(call: Call, values: Sequence[Tensor]) -> Tensor:
        return function(passed(call, values))

    return changed


ELEMENTWISE: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "prelu": lambda x: F.leaky_relu(x, 0.25),
    "elu": F.elu,
    "selu": F.selu,
    "celu": F.celu,
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "hard_swish": F.hardswish,
    "hard_sigmoid": F.hardsigmoid,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "softmax": lambda x: torch.softmax(x, 1),
    "exp": lambda x: torch.exp(x.clamp(max=10)),
    "log": lambda x: torch.log(x.abs() + 1),
    "sqrt": lambda x: torch.sqrt(x.abs() + _EPS),
    "pow": torch.square,
    "abs": torch.abs,
    "clip": lambda x: x.clamp(-1, 1),
    "trigonometry": torch.sin,
}
