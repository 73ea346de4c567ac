"""Forward passes of curves: values with their first and second derivatives by a parameter.

A value x(t) is three samples of a batch: x and its two derivatives. What is linear in its operands
runs on them as on any batch; batch norms and ReLUs have their formulas here; everything else is
differentiated twice in forward mode. So a second derivative costs a forward pass of three samples,
for many architectures at once, and no backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Final

import torch
from torch import Tensor

from archcast.encoders.ops import GROUPS
from archcast.zero_cost._execute import Step
from archcast.zero_cost._operators import EPS, Call, apply

#: Samples that a value and its derivatives are.
ORDERS: Final = 3
#: What takes sums of operands to sums of results, whatever their number.
LINEAR: Final = frozenset(
    name
    for group in ("io", "conv", "linear", "add", "concat", "resize", "route", "other")
    for name in GROUPS[group]
) | {"avg_pool", "global_avg_pool", "reduce", "affine"}


def advanced(step: Step) -> Tensor:
    """The result of a call whose operands are jets; for ``Mode.replace``.

    Args:
        step: K copies; operands and ``raw`` are (3·K, …), for each copy value, first and second
            derivative. Of what is not linear, ``raw`` and ``value`` are no jets yet.

    Returns:
        (3·K, channels, *positions) jets.
    """
    raw = step.raw if step.instruction.op in LINEAR else _curved(step)
    if step.instruction.norm and prod(raw.shape[2:]) > 1:
        return _normed(raw, step.copies, tuple(range(2, raw.dim())))
    return raw


def _curved(step: Step) -> Tensor:
    """What is not linear."""
    shape = (step.copies, ORDERS)
    op = step.instruction.op
    if op == "relu" and step.inputs[0].shape == step.raw.shape:
        x = step.inputs[0].unflatten(0, shape)
        return (x * (x[:, :1] > 0).to(x.dtype)).flatten(0, 1)
    if op == "layer_norm":  # forward mode over forward mode is wrong for torch's
        return _normed(step.inputs[0], step.copies, (1,))
    call = Call(step.instruction, step.copies, step.weight)
    function = PLAIN.get(op, lambda values: apply(call, values))
    orders = [x.unflatten(0, shape).unbind(1) for x in step.inputs]
    found = second_derivative(
        lambda t: function([x + t * (v + t * a / 2) for x, v, a in orders]),
        step.raw.new_zeros(()),
    )
    return torch.stack(found, 1).reshape(step.raw.shape)


def _hard_sigmoid(values: Sequence[Tensor]) -> Tensor:
    return (values[0] / 6 + 0.5).clamp(0, 1)


def _gated(values: Sequence[Tensor]) -> Tensor:
    kept, gate = values[0].chunk(2, 1)
    return kept * torch.sigmoid(gate)


#: Operators whose functions in torch cannot be differentiated twice in forward mode.
PLAIN: Final[dict[str, Callable[[Sequence[Tensor]], Tensor]]] = {
    "hard_sigmoid": _hard_sigmoid,
    "glu": _gated,
}


def second_derivative(
    function: Callable[[Tensor], Tensor], at: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """A function of one number: its value, first and second derivative, by forward mode.

    What depends on the number nowhere has derivatives of 0.
    """
    one = torch.ones_like(at)

    def slope(t: Tensor) -> tuple[Tensor, Tensor]:
        value, first = torch.func.jvp(function, (t,), (one,))[:2]
        return value, first

    with torch.enable_grad():  # some first derivatives have further ones only then
        (value, first), (_, second) = torch.func.jvp(slope, (at,), (one,))[:2]
    return value.detach(), first.detach(), second.detach()


def _normed(values: Tensor, copies: int, axes: tuple[int, ...]) -> Tensor:
    """Values without their mean, over their standard deviation along some axes of a sample."""
    x, v, a = (
        part - part.mean(axes, keepdim=True)
        for part in values.unflatten(0, (copies, ORDERS)).unbind(1)
    )
    scale = torch.rsqrt((x * x).mean(axes, keepdim=True) + EPS)
    first = 2 * (x * v).mean(axes, keepdim=True)  # of the variance
    second = 2 * (v * v + x * a).mean(axes, keepdim=True)
    slope = -first / 2 * scale**3  # of the scale
    bend = 3 / 4 * first**2 * scale**5 - second / 2 * scale**3
    found = torch.empty_like(values)  # of the same order in memory, which stacking would lose
    parts = found.unflatten(0, (copies, ORDERS))
    torch.mul(x, scale, out=parts[:, 0])
    torch.mul(v, scale, out=parts[:, 1]).addcmul_(x, slope)
    torch.mul(a, scale, out=parts[:, 2]).addcmul_(v, slope, value=2).addcmul_(x, bend)
    return found
