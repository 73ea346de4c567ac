"""Quantisation as arithmetic on ordinary numbers, with gradients.

What a quantising operator gives stays a floating tensor of whole numbers, and rounding hands
gradients on as they come (the straight-through estimator of Bengio et al., 2013): a quantised file
then has the same scores as any other network.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

from archcast.zero_cost.source.operators._call import Call, Value, number, operator, unsupported
from archcast.zero_cost.source.operators.convolution import conv

_RANGE: Final = {
    torch.uint8: (0, 255),
    torch.int8: (-128, 127),
    torch.int16: (-32768, 32767),
    torch.int32: (0, 65535),  # what unsigned 16 bits are read as
}


def _rounded(x: Tensor) -> Tensor:
    return x + (torch.round(x) - x).detach()


def _clamped(x: Tensor, low: float, high: float) -> Tensor:
    return x + (x.clamp(low, high) - x).detach()


def _along(parameter: Tensor, x: Tensor, call: Call) -> Tensor:
    """Scales or zero points, shaped to lie along their axis of ``x``."""
    axis = call.get("axis", 1)
    if parameter.numel() == 1:
        return parameter.reshape(())
    block = call.get("block_size", 0)
    if block:
        return parameter.repeat_interleave(block, axis).narrow(axis, 0, x.shape[axis])
    shape = [1] * x.dim()
    shape[axis % x.dim()] = parameter.numel()
    return parameter.reshape(shape)


@operator("QuantizeLinear")
def quantise(call: Call, x: Tensor, scale: Tensor, point: Tensor | None = None) -> Tensor:
    """Divided by the scale, rounded, moved by the zero point, kept in the type's range."""
    low, high = _RANGE.get(torch.uint8 if point is None else point.dtype, (-128, 127))
    kind = x.dtype if x.is_floating_point() else scale.dtype
    y = _rounded(x.to(kind) / _along(scale, x, call).to(kind))
    y = y if point is None else y + _along(point, x, call)
    return _clamped(y, low, high)


@operator("DequantizeLinear")
def dequantise(call: Call, x: Tensor, scale: Tensor, point: Tensor | None = None) -> Tensor:
    """Less the zero point, times the scale."""
    y = x.to(scale.dtype)
    y = y if point is None else y - _along(point, x, call)
    return y * _along(scale, x, call)


@operator("DynamicQuantizeLinear")
def dynamic(_: Call, x: Tensor) -> Any:
    """To eight bits, with the scale of this very tensor."""
    high, low = x.amax().clamp(min=0), x.amin().clamp(max=0)
    scale = (high - low) / 255
    point = torch.round((-low / scale).clamp(0, 255))
    return _clamped(_rounded(x / scale) + point, 0, 255), scale, point.to(torch.uint8)


@operator("QLinearMatMul")
def matmul(
    call: Call, a: Tensor, a_scale: Tensor, a_point: Tensor, b: Tensor, b_scale: Tensor,
    b_point: Tensor, y_scale: Tensor, y_point: Tensor,
) -> Tensor:  # fmt: skip
    """A product of quantised matrices, quantised."""
    first = (a.to(a_scale.dtype) - a_point) * a_scale
    second = (b.to(b_scale.dtype) - b_point) * b_scale
    return quantise(call, torch.matmul(first, second), y_scale, y_point)


@operator("QLinearConv")
def convolution(
    call: Call, x: Tensor, x_scale: Tensor, x_point: Tensor, w: Tensor, w_scale: Tensor,
    w_point: Tensor, y_scale: Tensor, y_point: Tensor, bias: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """A convolution of quantised numbers, quantised."""
    shape = (-1, *[1] * (w.dim() - 1))
    values = (x.to(x_scale.dtype) - x_point) * x_scale
    kernel = (w.to(w_scale.dtype) - w_point.reshape(shape)) * w_scale.reshape(shape)
    real = None if bias is None else bias.to(x_scale.dtype) * (x_scale * w_scale)
    plain = Call("Conv", call.attributes, call.opset)
    return quantise(Call("QuantizeLinear", {}, call.opset), conv(plain, values, kernel, real),
                    y_scale, y_point)  # fmt: skip


@operator("Quant", domain="onnx.brevitas")
@operator("Quant", domain="qonnx.custom_op.general")
def fake(call: Call, x: Tensor, scale: Tensor, point: Tensor, bits: Value) -> Tensor:
    """Quantised and back at once, to any number of bits (QONNX; Pappalardo et al., 2022)."""
    count, signed = number(bits, 8), bool(call.get("signed", 1))
    if call.get("rounding_mode", "ROUND") != "ROUND":
        raise unsupported(call, f"rounding mode {call.get('rounding_mode')}")
    low = -(2 ** (count - 1)) if signed else 0
    high = 2 ** (count - 1) - 1 if signed else 2**count - 1
    low = low + 1 if signed and call.get("narrow", 0) else low
    high = high - 1 if not signed and call.get("narrow", 0) else high
    return (_clamped(_rounded(x / scale + point), low, high) - point) * scale
