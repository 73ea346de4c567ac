"""What the Transformers of several spaces have in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.spaces._net import Net, Value


def project(net: Net, x: Value, parts: int, width: int, *, bias: bool = True) -> list[Value]:
    """Several linear maps of equal width in one, such as queries, keys and values."""
    joined = net.linear(x, parts * width, bias=bias)
    return [net.slice(joined, k * width, (k + 1) * width, axis=1) for k in range(parts)]


def self_attention(
    net: Net,
    x: Value,
    heads: int,
    inner: int,
    *,
    bias: bool = True,
    causal: bool = False,
    rotated: float = 0.0,
) -> Value:
    """Self-attention whose queries, keys and values come of one projection.

    Args:
        net: takes the operators.
        x: (length, features).
        heads: number of heads.
        inner: features of all heads.
        bias: whether the projections have one.
        causal: whether a position sees only those before it.
        rotated: share of a head's features with a rotary position embedding.
    """
    q, k, v = project(net, x, 3, inner, bias=bias)
    if rotated:
        q, k = net.rotary(q, heads, rotated), net.rotary(k, heads, rotated)
    return net.linear(net.attention(q, k, v, heads, causal=causal), x.shape[-1], bias=bias)


def sinusoids(length: int, features: int) -> NDArray[np.float64]:
    """The fixed position embedding of Vaswani et al. (2017): (length, features) numbers."""
    half = features // 2
    speeds = np.exp(-np.log(10000.0) * np.arange(half) / max(half - 1, 1))
    angles = np.outer(np.arange(length), speeds)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def gated_mlp(net: Net, x: Value, hidden: int, *, bias: bool = True, joined: bool = False) -> Value:
    """A SwiGLU MLP (Shazeer, 2020): a SiLU of one linear map times another, and a map back.

    Args:
        net: takes the operators.
        x: (length, features).
        hidden: features between.
        bias: whether the linear maps have one.
        joined: whether the first two maps are one matrix.
    """
    if joined:
        gate, value = project(net, x, 2, hidden, bias=bias)
    else:
        gate, value = (net.linear(x, hidden, bias=bias) for _ in range(2))
    return net.linear(net.mul(net.act("silu", gate), value), x.shape[-1], bias=bias)
