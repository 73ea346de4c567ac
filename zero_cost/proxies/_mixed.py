"""Second derivatives of the loss along two directions of the weights, without a backward pass.

With weights W + s U + t V, every value of a network is a function of s and t. It is carried as four
samples of a batch, its *quad*: the value and its derivatives by s, by t, and by both. Convolutions
and linear layers run on quads as on any batch and add a few products of their own; batch norms
have their formula here; everything else is differentiated in forward mode.

That is six forward passes where differentiating the gradient takes the time of ten, keeps every
value of two passes in memory, and slows the first backward pass down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

import torch
from torch import Tensor

from archcast.zero_cost._data import Data
from archcast.zero_cost._execute import Owner, Step
from archcast.zero_cost._operators import EPS, Call, apply
from archcast.zero_cost._program import Program
from archcast.zero_cost.proxies._jets import LINEAR, PLAIN

#: Samples that a value and its derivatives are.
QUAD: Final = 4
#: Operators that are linear in their operand and in their weights.
_PRODUCTS: Final = frozenset(("conv", "conv_transpose", "linear"))
_Quad = tuple[Tensor, Tensor, Tensor, Tensor]


def quads(data: Data) -> Callable[[Program, int], Tensor]:
    """A source whose inputs do not change with s and t: (4·B, channels, *positions)."""

    def source(program: Program, node: int) -> Tensor:
        x = data(program, node)
        if not x.is_floating_point():
            return torch.cat([x] * QUAD)
        return torch.cat([x, *[torch.zeros_like(x)] * (QUAD - 1)])

    return source


@dataclass(frozen=True)
class Mixed:
    """Results of calls on quads, for ``Mode.replace``; U are the weights themselves.

    Attributes:
        directions: architecture and node -> V, of the shape of the node's weights.
    """

    directions: dict[Owner, Tensor]

    def __call__(self, step: Step) -> Tensor:
        """(K·4·B, channels, *positions) quads of a call's results."""
        op = step.instruction.op
        if step.weight is not None:
            other = torch.stack([self.directions[owners[0]] for owners in step.owners])
            raw = _weighted(step, step.weight, other)
        else:
            raw = step.raw if op in LINEAR else _curved(step)
        if not step.instruction.norm:
            return raw
        parts = _split(raw, step.copies)
        axes = (1, *range(3, parts[0].dim()))
        if prod(parts[0].shape[axis] for axis in axes) == 1:
            return raw
        return _joined(normed(parts, axes))


def _split(x: Tensor, copies: int) -> _Quad:
    """Quads (K·4·B, …) as four tensors (K, B, …)."""
    return x.unflatten(0, (copies, QUAD, -1)).unbind(1)  # type: ignore[return-value]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Tensors (K, B, …) as one (K·n·B, …), its channels last in memory if theirs are."""
    return torch.cat([part[k] for k in range(parts[0].shape[0]) for part in parts])


def _weighted(step: Step, weight: Tensor, other: Tensor) -> Tensor:
    """The result of a layer: of weights W + s W + t V on an operand that changes, too."""

    def with_weights(table: Tensor, values: Sequence[Tensor]) -> Tensor:
        return apply(Call(step.instruction, step.copies, table, separate=True), values)

    op = step.instruction.op
    if op in _PRODUCTS:
        x = _split(step.inputs[0], step.copies)
        by_other = _joined(x[:2])
        also = with_weights(other, [by_other]).unflatten(0, (step.copies, 2, -1))
        z, zs, zt, zst = _split(step.raw, step.copies)
        return _joined((z, zs + z, zt + also[:, 0], zst + zt + also[:, 1]))
    if op == "embedding":
        z = _split(step.raw, step.copies)[0]
        ids = step.inputs[0].unflatten(0, (step.copies, QUAD, -1))[:, 0].flatten(0, 1)
        also = with_weights(other, [ids]).unflatten(0, (step.copies, -1))
        return _joined((z, z, also, torch.zeros_like(z)))
    operands = [_split(x, step.copies) for x in step.inputs]

    def function(s: Tensor, t: Tensor) -> Tensor:
        return with_weights(weight + s * weight + t * other, _moved(operands, s, t))

    return _joined([x.unflatten(0, (step.copies, -1)) for x in derivatives(function, weight)])


def _curved(step: Step) -> Tensor:
    """The result of what has no weights and is not linear."""
    op = step.instruction.op
    operands = [_split(x, step.copies) for x in step.inputs]
    if op == "relu" and step.inputs[0].shape == step.raw.shape:
        x = operands[0]
        # What a ReLU's backward pass does with a gradient: several times as fast as torch.where.
        through = torch.ops.aten.threshold_backward
        return _joined([through(part, x[0], 0) for part in x])
    if op == "layer_norm":  # forward mode over forward mode is wrong for torch's
        return _joined(normed(operands[0], (2,)))
    call = Call(step.instruction, step.copies, step.weight)
    function = PLAIN.get(op, lambda values: apply(call, values))
    found = derivatives(lambda s, t: function(_moved(operands, s, t)), step.raw)
    return _joined([x.unflatten(0, (step.copies, -1)) for x in found])


def _moved(operands: Sequence[_Quad], s: Tensor, t: Tensor) -> list[Tensor]:
    """Operands (K·B, …) at s and t, as far as their derivatives say."""
    return [(x + s * xs + t * (xt + s * xst)).flatten(0, 1) for x, xs, xt, xst in operands]


def derivatives(function: Callable[[Tensor, Tensor], Tensor], like: Tensor) -> _Quad:
    """A function of s and t at 0: its value, derivatives by s, by t, and by both."""
    zero, one = like.new_zeros(()), like.new_ones(())

    def along(t: Tensor) -> tuple[Tensor, Tensor]:
        value, slope = torch.func.jvp(lambda s: function(s, t), (zero,), (one,))[:2]
        return value, slope

    with torch.enable_grad():  # some first derivatives have further ones only then
        (value, by_s), (by_t, by_both) = torch.func.jvp(along, (zero,), (one,))[:2]
    return value.detach(), by_s.detach(), by_t.detach(), by_both.detach()


def normed(parts: _Quad, axes: tuple[int, ...]) -> _Quad:
    """Quads without their mean, over their standard deviation along axes."""
    x, a, b, c = (part - part.mean(axes, keepdim=True) for part in parts)

    def mean(product: Tensor) -> Tensor:
        return product.mean(axes, keepdim=True)

    scale = torch.rsqrt(mean(x * x) + EPS)
    # Of the variance, and of the scale.
    va, vb, vc = 2 * mean(x * a), 2 * mean(x * b), 2 * mean(a * b + x * c)
    cube = scale**3 / 2
    sa, sb = -va * cube, -vb * cube
    sc = 1.5 * va * vb * cube * scale**2 - vc * cube
    return (
        x * scale,
        a * scale + x * sa,
        b * scale + x * sb,
        c * scale + a * sb + b * sa + x * sc,
    )


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """() derivative by s and t of the mean cross-entropy.

    Args:
        logits: (4, B, classes, *positions) quad.
        target: (B, *positions) classes.
    """
    z, a, b, c = logits
    p = torch.softmax(z, 1)
    aimed = c.gather(1, target.unsqueeze(1)).squeeze(1)
    spread = (p * a * b).sum(1) - (p * a).sum(1) * (p * b).sum(1)
    return ((p * c).sum(1) - aimed + spread).mean()


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """() the same for single logits (4, B, 1, *positions) and targets of 0 and 1, (B, …)."""
    z, a, b, c = logits
    p = torch.sigmoid(z)
    return ((p - target) * c + p * (1 - p) * a * b).mean()
