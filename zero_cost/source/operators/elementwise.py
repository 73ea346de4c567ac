"""Operators on every number by itself: activations, arithmetic, comparisons, casts."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from archcast.zero_cost.source.operators._call import (
    DTYPES,
    Call,
    Value,
    number,
    operator,
    unsupported,
)

_UNARY: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "Abs": torch.abs, "Acos": torch.acos, "Acosh": torch.acosh, "Asin": torch.asin,
    "Asinh": torch.asinh, "Atan": torch.atan, "Atanh": torch.atanh, "BitwiseNot": torch.bitwise_not,
    "Ceil": torch.ceil, "Cos": torch.cos, "Cosh": torch.cosh, "Det": torch.linalg.det,
    "Erf": torch.erf, "Exp": torch.exp, "Floor": torch.floor, "HardSwish": F.hardswish,
    "IsNaN": torch.isnan, "Log": torch.log, "Mish": F.mish, "Neg": torch.neg,
    "Not": torch.logical_not, "Reciprocal": torch.reciprocal, "Relu": F.relu,
    "Round": torch.round, "Sigmoid": torch.sigmoid, "Sign": torch.sign, "Sin": torch.sin,
    "Sinh": torch.sinh, "Softplus": F.softplus, "Softsign": F.softsign, "Sqrt": torch.sqrt,
    "Tan": torch.tan, "Tanh": torch.tanh,
}  # fmt: skip


def _divide(a: Tensor, b: Tensor) -> Tensor:
    whole = not (a.is_floating_point() or b.is_floating_point() or a.is_complex())
    return torch.div(a, b, rounding_mode="trunc" if whole else None)


def _power(a: Tensor, b: Tensor) -> Tensor:
    return torch.pow(a, b).to(a.dtype)


_BINARY: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "Add": torch.add, "And": torch.logical_and, "BitwiseAnd": torch.bitwise_and,
    "BitwiseOr": torch.bitwise_or, "BitwiseXor": torch.bitwise_xor, "Div": _divide,
    "Equal": torch.eq, "Greater": torch.gt, "GreaterOrEqual": torch.ge, "Less": torch.lt,
    "LessOrEqual": torch.le, "Mul": torch.mul, "Or": torch.logical_or, "Pow": _power,
    "Sub": torch.sub, "Xor": torch.logical_xor,
}  # fmt: skip
_MANY: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "Sum": torch.add,
    "Max": torch.maximum,
    "Min": torch.minimum,
}


@operator(*_UNARY)
def unary(call: Call, x: Tensor) -> Tensor:
    """A function of one number."""
    return _UNARY[call.op](x)


@operator(*_BINARY)
def binary(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """A function of two numbers, with broadcasting."""
    return _BINARY[call.op](a, _aligned(call, a, b))


@operator(*_MANY)
def many(call: Call, *operands: Tensor) -> Tensor:
    """A function of any number of operands, with broadcasting."""
    return reduce(_MANY[call.op], operands)


@operator("Mean")
def mean(_: Call, *operands: Tensor) -> Tensor:
    """The mean of several tensors."""
    return reduce(torch.add, operands) / len(operands)


def _aligned(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """Before version 7 the second operand says at which axis of the first it starts."""
    axis = call.get("axis")
    if call.opset >= 7 or axis is None or b.dim() == 0:
        return b
    return b.reshape(*b.shape, *[1] * (a.dim() - axis % a.dim() - b.dim()))


@operator("Mod")
def mod(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """The remainder with the sign of the divisor, or of the dividend with ``fmod``."""
    return torch.fmod(a, b) if call.get("fmod", 0) else torch.remainder(a, b)


@operator("BitShift")
def bit_shift(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """Bits moved left or right."""
    left = call.get("direction") == "LEFT"
    return torch.bitwise_left_shift(a, b) if left else torch.bitwise_right_shift(a, b)


@operator("IsInf")
def is_inf(call: Call, x: Tensor) -> Tensor:
    """Where the number is infinite, of the signs asked for."""
    found = torch.zeros_like(x, dtype=torch.bool)
    if call.get("detect_positive", 1):
        found = found | torch.isposinf(x)
    return found | torch.isneginf(x) if call.get("detect_negative", 1) else found


# ----------------------------------------------------------------- activations
@operator("LeakyRelu")
def leaky_relu(call: Call, x: Tensor) -> Tensor:
    """A line of slope ``alpha`` below zero."""
    return F.leaky_relu(x, call.get("alpha", 0.01))


@operator("PRelu")
def prelu(_: Call, x: Tensor, slope: Tensor) -> Tensor:
    """A learned slope below zero, which broadcasts from the last axis."""
    if slope.dim() == 1 and x.dim() > 2 and slope.numel() not in (1, x.shape[-1]):
        slope = slope.reshape(-1, *[1] * (x.dim() - 2))  # versions before 7: one a channel
    return torch.where(x < 0, x * slope, x)


@operator("Elu", "Celu")
def elu(call: Call, x: Tensor) -> Tensor:
    """Exponential below zero."""
    return {"Elu": F.elu, "Celu": F.celu}[call.op](x, call.get("alpha", 1.0))


@operator("Selu")
def selu(call: Call, x: Tensor) -> Tensor:
    """The self-normalising exponential unit."""
    alpha, gamma = call.get("alpha", 1.6732632423543772), call.get("gamma", 1.0507009873554805)
    return gamma * torch.where(x > 0, x, alpha * torch.expm1(torch.clamp(x, max=0)))


@operator("HardSigmoid")
def hard_sigmoid(call: Call, x: Tensor) -> Tensor:
    """A clipped line."""
    return torch.clamp(call.get("alpha", 0.2) * x + call.get("beta", 0.5), 0, 1)


@operator("ThresholdedRelu")
def thresholded_relu(call: Call, x: Tensor) -> Tensor:
    """Zero up to a threshold."""
    return torch.where(x > call.get("alpha", 1.0), x, torch.zeros_like(x))


@operator("Shrink")
def shrink(call: Call, x: Tensor) -> Tensor:
    """Zero around zero, moved by a bias elsewhere."""
    width, bias = call.get("lambd", 0.5), call.get("bias", 0.0)
    inner = torch.where(x > width, x - bias, torch.zeros_like(x))
    return torch.where(x < -width, x + bias, inner)


@operator("Gelu")
@operator("Gelu", "FastGelu", "BiasGelu", domain="com.microsoft")
def gelu(call: Call, x: Tensor, bias: Tensor | None = None) -> Tensor:
    """The Gaussian error unit, exact or by tanh."""
    x = x if bias is None else x + bias
    fast = call.op == "FastGelu" or call.get("approximate", "none") == "tanh"
    return F.gelu(x, approximate="tanh" if fast else "none")


@operator("Swish")
@operator("QuickGelu", domain="com.microsoft")
def swish(call: Call, x: Tensor) -> Tensor:
    """The number times the sigmoid of ``alpha`` times it."""
    alpha = call.get("alpha", 1.702 if call.op == "QuickGelu" else 1.0)
    return x * torch.sigmoid(alpha * x)


@operator("Softmax", "LogSoftmax", "Hardmax")
def softmax(call: Call, x: Tensor) -> Tensor:
    """Softmax over an axis; before version 13 over all axes from that one on."""
    if call.opset >= 13 or x.dim() == 0:
        return _soft(call.op, x, call.get("axis", -1))
    axis = call.get("axis", 1)
    rows = x.flatten(axis % x.dim()) if axis < x.dim() else x.unsqueeze(-1)
    return _soft(call.op, rows, -1).reshape(x.shape)


def _soft(op: str, x: Tensor, axis: int) -> Tensor:
    if op == "Hardmax":
        largest = x.argmax(axis, keepdim=True)
        return torch.zeros_like(x).scatter(axis, largest, 1)
    return F.softmax(x, axis) if op == "Softmax" else F.log_softmax(x, axis)


# ------------------------------------------------------------------ selection
@operator("Clip")
def clip(call: Call, x: Tensor, low: Value = None, high: Value = None) -> Tensor:
    """Numbers kept between two bounds."""
    low = call.get("min") if low is None else low
    high = call.get("max") if high is None else high
    if low is None and high is None:
        return x
    return torch.clamp(
        x,
        None if low is None else number(low, 0.0),
        None if high is None else number(high, 0.0),
    )


@operator("Where")
def where(_: Call, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """One tensor where a condition holds, else the other."""
    return torch.where(condition.bool(), a, b)


@operator("Identity", "Dropout")
def identity(call: Call, x: Value, *_: Value) -> Any:
    """Nothing; files for inference leave dropout without effect."""
    if call.op == "Dropout" and call.outputs > 1:
        return x, torch.ones_like(x, dtype=torch.bool)
    return x


@operator("Cast")
def cast(call: Call, x: Tensor) -> Tensor:
    """Another type of numbers."""
    wanted = DTYPES.get(call.get("to", 1))
    if wanted is None or not isinstance(x, Tensor):
        raise unsupported(call, "text or a type of number that torch lacks")
    return x.to(wanted)


@operator("CastLike")
def cast_like(_: Call, x: Tensor, like: Tensor) -> Tensor:
    """The type of another tensor."""
    return x.to(like.dtype)
