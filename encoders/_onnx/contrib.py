"""Operators outside ONNX's own domain that exporters and quantisers write."""

from __future__ import annotations

import math
from typing import Any

from archcast.encoders._onnx import compute, elementwise, views
from archcast.encoders._onnx.call import Call, Rule, Value, broadcast
from archcast.encoders._trace import Tensor

_ACTIVATIONS = {**elementwise.UNARY, "Silu": "silu", "SiLU": "silu"}


def _activated(call: Call, result: Tensor) -> Tensor:
    """A fused operator names the activation that follows it."""
    name = call.get("activation")
    if not name or name not in _ACTIVATIONS:
        return result
    return call.trace.unary(_ACTIVATIONS[name], result)


def _fused_conv(call: Call) -> Tensor:
    result = compute.conv(call, call.x(), call.x(1), call.maybe(2))
    summand = call.maybe(3)
    if summand is not None:
        result = call.trace.binary("add", result, summand, result.shape)
    return _activated(call, result)


def _fused_gemm(call: Call) -> Tensor:
    turned = bool(call.get("transA", 0)), bool(call.get("transB", 0))
    return _activated(call, compute.gemm(call, call.x(), call.x(1), call.maybe(2), *turned))


def _fused_matmul(call: Call) -> Tensor:
    a, b = call.x(), call.x(1)
    if call.get("transA", 0):
        a = call.trace.view(a, (*a.shape[:-2], *a.shape[-2:][::-1]))
    if call.get("transB", 0):
        b = call.trace.view(b, (*b.shape[:-2], *b.shape[-2:][::-1]))
    return compute.matmul(call, a, b)


def _quantised_gemm(call: Call) -> Tensor:
    return compute.gemm(
        call, call.x(), call.x(3), call.maybe(6), False, bool(call.get("transB", 0))
    )


def _packed_matmul(call: Call) -> Tensor:
    """Weights packed to a few bits: the attributes say what they stand for."""
    x = call.x()
    enter, leave = call.get("K", x.shape[-1]), call.get("N", 1)
    weight = Tensor((enter, leave), sources=((call.node.input[1], enter * leave),))
    return call.trace.linear(x, weight, call.maybe(5), (*x.shape[:-1], leave), (enter, leave))


def _quantised_binary(call: Call) -> Tensor:
    a, b = call.x(), call.x(3)
    op = "mul" if "Mul" in call.op else "add"
    return call.trace.binary(op, a, b, broadcast(a.shape, b.shape))


def _quantised_concat(call: Call) -> Tensor:
    parts = [call.x(i) for i in range(2, len(call.inputs), 3)]
    axis = call.get("axis", 1)
    shape = list(parts[0].shape)
    shape[axis] = sum(p.shape[axis] for p in parts)
    return call.trace.concat(parts, tuple(shape))


def _unary(op: str) -> Any:
    def rule(call: Call) -> Tensor:
        x, bias = call.x(), call.maybe(1)
        if bias is not None and call.op in ("BiasGelu", "FastGelu"):
            x = call.trace.binary("add", x, bias, x.shape)
        return call.trace.unary(op, x)

    return rule


def _skip_norm(call: Call) -> list[Value]:
    """A residual sum and the norm after it; the sum may leave as the last result."""
    rms = "Simplified" in call.op
    x, skip = call.x(), call.x(1)
    bias = call.maybe(3 if rms else 4)
    total = call.trace.binary("add", x, skip, broadcast(x.shape, skip.shape))
    if bias is not None:
        total = call.trace.binary("add", total, bias, total.shape)
    affine = (call.maybe(2), None if rms else call.maybe(3))
    width = total.shape[-1]
    op = "rms_norm" if rms else "layer_norm"
    return [call.trace.norm(op, total, affine, channels=width), Tensor(()), Tensor(()), total]


def _embed_norm(call: Call) -> list[Value]:
    ids, words = call.x(), call.x(2)
    shape = (*ids.shape, words.shape[-1])
    total = call.trace.embedding(words, ids, shape)
    tables = [t for t in (call.maybe(3), call.maybe(4)) if t is not None]
    total = call.trace.add("affine", [total, *tables], shape)
    affine = (call.maybe(5), call.maybe(6))
    norm = call.trace.norm("layer_norm", total, affine, channels=shape[-1])
    return [norm, Tensor(ids.shape[:1]), total]


def _packed_attention(call: Call) -> list[Value]:
    """Attention with its projection to queries, keys and values in one weight."""
    x, weight, bias = call.x(), call.x(1), call.maybe(2)
    heads = call.get("num_heads", 1)
    width = weight.shape[-1]
    packed = call.trace.linear(x, weight, bias, (*x.shape[:-1], width), (x.shape[-1], width))
    n, length = x.shape[:2]
    part = call.trace.part(packed, (n, heads, length, width // 3 // heads))
    result = call.trace.attention(part, part, part, None, part.shape)
    shape = (n, length, width // 3)
    return [call.trace.view(result, shape), *(Tensor(part.shape) for _ in call.outputs[1:])]


def _multi_head(call: Call) -> list[Value]:
    """Attention over separate queries, keys and values (…, length, heads · features)."""
    heads = call.get("num_heads", 1)
    shared = call.get("kv_num_heads", heads)
    q, k, v = call.x(), call.maybe(1), call.maybe(2)
    if k is None or v is None:
        part = call.trace.part(q, (*q.shape[:2], q.shape[2] // 3))
        q = k = v = part
    q, k, v = (_by_heads(call, t, h) for t, h in ((q, heads), (k, shared), (v, shared)))
    shape = (*q.shape[:-1], v.shape[-1])
    result = call.trace.attention(q, k, v, None, shape)
    flat = (shape[0], shape[2], shape[1] * shape[3])
    return [call.trace.view(result, flat), *(Tensor(k.shape, k.node) for _ in call.outputs[1:])]


def _by_heads(call: Call, x: Tensor, heads: int) -> Tensor:
    if len(x.shape) == 4:
        return x
    n, length = x.shape[:2]
    return call.trace.view(x, (n, heads, length, math.prod(x.shape[2:]) // heads))


def _decode_image(call: Call) -> Tensor:
    """An image file as operand: its size is known only at run time, so the default is taken."""
    return call.trace.add(
        "other", [call.x()], (224, 224, 3), label=call.op, channels=3, extent=(1, 224, 224)
    )


RULES: dict[str, Rule] = {
    **dict.fromkeys(("Quant", "BipolarQuant", "IntQuant", "FloatQuant", "Trunc", "MultiThreshold",
                     "QuantizeLinear", "DequantizeLinear", "RotaryEmbedding", "Identity"),
                    views.view),
    **dict.fromkeys(("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"), _skip_norm),
    **dict.fromkeys(("QLinearAdd", "QLinearMul"), _quantised_binary),
    **dict.fromkeys(("MultiHeadAttention", "GroupQueryAttention", "PackedMultiHeadAttention"),
                    _multi_head),
    **dict.fromkeys(("DynamicQuantizeMatMul", "MatMulIntegerToFloat"), _fused_matmul),
    **dict.fromkeys(("Gelu", "FastGelu", "BiasGelu"), _unary("gelu")),
    "Attention": _packed_attention,
    "DecodeImage": _decode_image,
    "QAttention": _packed_attention,
    "EmbedLayerNormalization": _embed_norm,
    "FusedConv": _fused_conv,
    "FusedGemm": _fused_gemm,
    "FusedMatMul": _fused_matmul,
    "TransposeMatMul": _fused_matmul,
    "MatMulNBits": _packed_matmul,
    "MatMulBnb4": _packed_matmul,
    "QGemm": _quantised_gemm,
    "QLinearConcat": _quantised_concat,
    "QLinearGlobalAveragePool": compute.global_pool,
    "QLinearAveragePool": compute.pool,
    "QLinearLeakyRelu": _unary("leaky_relu"),
    "QLinearSigmoid": _unary("sigmoid"),
    "QLinearSoftmax": _unary("softmax"),
    "QuickGelu": _unary("silu"),
    "Silu": _unary("silu"),
    "SimplifiedLayerNormalization": elementwise.layer_norm,
}  # fmt: skip
