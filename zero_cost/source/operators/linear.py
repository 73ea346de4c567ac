"""Products of matrices, and attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from archcast.zero_cost.source.operators._call import Call, Value, operator, unsupported


@operator("MatMul")
def matmul(_: Call, a: Tensor, b: Tensor) -> Tensor:
    """The product over the last two axes."""
    return torch.matmul(a, b)


@operator("FusedMatMul", domain="com.microsoft")
def fused_matmul(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """The same with transposed operands and a factor."""
    a = a.transpose(-1, -2) if call.get("transA", 0) else a
    b = b.transpose(-1, -2) if call.get("transB", 0) else b
    return torch.matmul(a, b) * call.get("alpha", 1.0)


@operator("MatMulInteger")
def matmul_integer(
    _: Call, a: Tensor, b: Tensor, a_point: Tensor | None = None, b_point: Tensor | None = None
) -> Tensor:
    """A product of whole numbers less their zero points: one for all, or one a row or column."""
    first, second = a.double(), b.double()
    if a_point is not None:
        first = first - (a_point.unsqueeze(-1) if a_point.numel() > 1 else a_point.reshape(()))
    if b_point is not None:
        second = second - (b_point if b_point.numel() > 1 else b_point.reshape(()))
    return torch.matmul(first, second).to(torch.int32)


@operator("Gemm")
def gemm(call: Call, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """``alpha a b + beta c`` with either matrix transposed."""
    a = a.transpose(0, 1) if call.get("transA", 0) else a
    b = b.transpose(0, 1) if call.get("transB", 0) else b
    y = torch.matmul(a, b)
    alpha, beta = call.get("alpha", 1.0), call.get("beta", 1.0)
    y = y if alpha == 1 else alpha * y
    if c is None:
        return y
    return y + (c if beta == 1 else beta * c)


@operator("Einsum")
def einsum(call: Call, *operands: Tensor) -> Tensor:
    """A sum over indices."""
    return torch.einsum(call.get("equation"), *operands)


# -------------------------------------------------------------------- attention
@operator("Attention")
def attention(
    call: Call, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None,
    past_key: Tensor | None = None, past_value: Tensor | None = None, *more: Value,
) -> Any:  # fmt: skip
    """Scaled dot-product attention (Vaswani et al., 2017), grouped heads included."""
    windowed = call.get("left_window_size", -1) >= 0 or call.get("right_window_size", -1) >= 0
    if any(value is not None for value in more) or call.outputs > 3 or windowed:
        raise unsupported(call, "padded keys, a window, or scores as a result")
    flat = q.dim() == 3
    if flat:
        q = _heads(q, call.get("q_num_heads"))
        k, v = (_heads(x, call.get("kv_num_heads")) for x in (k, v))
    if past_key is not None and past_value is not None:
        k, v = torch.cat([past_key, k], 2), torch.cat([past_value, v], 2)
    groups = q.shape[1] // k.shape[1]
    keys, values = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    scores = q @ keys.transpose(-1, -2) * call.get("scale", q.shape[-1] ** -0.5)
    cap = call.get("softcap", 0.0)
    scores = torch.tanh(scores / cap) * cap if cap else scores
    past = 0 if past_key is None else past_key.shape[2]
    y = _softmax(_masked(call, scores, mask, past)) @ values
    y = y.transpose(1, 2).flatten(2) if flat else y
    return y if call.outputs == 1 else (y, k, v)


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _softmax(scores: Tensor) -> Tensor:
    """Shares of the keys; all zero where every key is masked out."""
    return torch.softmax(scores, -1).masked_fill((scores == float("-inf")).all(-1, True), 0.0)


def _masked(call: Call, scores: Tensor, mask: Tensor | None, past: int) -> Tensor:
    if call.get("is_causal", 0):
        queries, keys = scores.shape[-2:]
        before = torch.ones(queries, keys, dtype=torch.bool, device=scores.device)
        scores = scores.masked_fill(~before.tril(past), float("-inf"))
    if mask is None:
        return scores
    return scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask


@operator("RotaryEmbedding")
def rotary(
    call: Call, x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor | None = None
) -> Tensor:
    """Pairs of features turned by angles that grow with the position (Su et al., 2021)."""
    flat = x.dim() == 3
    heads = _heads(x, call.get("num_heads")) if flat else x
    if positions is not None:
        cos, sin = cos[positions], sin[positions]
    cos, sin = cos.unsqueeze(-3), sin.unsqueeze(-3)
    turned = call.get("rotary_embedding_dim", 0) or heads.shape[-1]
    part, rest = heads[..., :turned], heads[..., turned:]
    if call.get("interleaved", 0):
        first, second = part[..., 0::2], part[..., 1::2]
    else:
        first, second = part.chunk(2, -1)
    real, imaginary = first * cos - second * sin, first * sin + second * cos
    if call.get("interleaved", 0):
        part = torch.stack([real, imaginary], -1).flatten(-2)
    else:
        part = torch.cat([real, imaginary], -1)
    y = torch.cat([part, rest], -1)
    return y.transpose(1, 2).flatten(2) if flat else y
