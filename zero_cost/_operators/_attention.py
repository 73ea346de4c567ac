"""Products of activations: attention and matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt

import torch
from torch import Tensor

from archcast.zero_cost._operators._call import Call
from archcast.zero_cost._operators._fit import fit, fit_channels
from archcast.zero_cost._operators._simple import multiplied
from archcast.zero_cost._program import Instruction


def attention(call: Call, values: Sequence[Tensor], *, constant: bool = False) -> Tensor:
    """Softmax attention; which operand is which, the graph does not say.

    One operand of three times the width is split. Of several, the one with as many positions as
    the result asks; what is left stands in canonical order. ``constant`` takes what the softmax
    gives as a constant of derivatives.
    """
    step = call.step
    query, key, value = roles(step, values)
    heads = max(step.heads, 1)
    heads = heads if query.shape[1] % heads == 0 else 1
    key, value = (repeated(x, query.shape[1], heads) for x in (key, value))
    q, k, v = (x.flatten(2).unflatten(1, (heads, -1)).transpose(2, 3) for x in (query, key, value))
    span, length = step.span, q.shape[2]
    if 0 < span < k.shape[2] and k.shape[2] == length and length % span == 0:
        q, k, v = (x.unflatten(2, (-1, span)).transpose(1, 2).flatten(0, 1) for x in (q, k, v))
    count = length // q.shape[2]
    scores = torch.softmax(q @ k.transpose(2, 3) / sqrt(q.shape[3]), -1)
    scores = scores.detach() if constant else scores
    mixed = scores @ v
    if count > 1:
        mixed = mixed.unflatten(0, (-1, count)).transpose(1, 2).flatten(2, 3)
    return mixed.transpose(2, 3).flatten(1, 2).reshape(*query.shape)


def roles(step: Instruction, values: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values among the operands, in their own parts or together in one."""
    width = step.channels
    for x in values:  # all three in one
        rest = (x.shape[1] - width) // 2
        if rest > 0 and width + 2 * rest == x.shape[1] and width % rest == 0:
            query, key, value = x.split((width, rest, rest), 1)
            return query, key, value
    asks = [x for x in values if x.shape[1] == width and prod(x.shape[2:]) == step.positions]
    query = asks[0] if asks else fit(values[0], width, step.extent)
    others = [x for x in values if x is not (asks[0] if asks else values[0])]
    for x in others:  # keys and values in one
        if x.shape[1] == 2 * width:
            key, value = x.chunk(2, 1)
            return query, key, value
    others = [x for x in others if x.shape[1] > 1] or [query]  # a mask has no channels
    key, value = others[0], others[min(1, len(others) - 1)]
    return query, key, value if value.shape[2:] == key.shape[2:] else key


def repeated(x: Tensor, channels: int, heads: int) -> Tensor:
    """Keys or values of fewer heads than ask, each used by several."""
    if x.shape[1] == channels:
        return x
    width = channels // heads
    if x.shape[1] < channels and x.shape[1] % width == 0 and heads % (x.shape[1] // width) == 0:
        groups = x.shape[1] // width
        return x.unflatten(1, (groups, width)).repeat_interleave(heads // groups, 1).flatten(1, 2)
    return fit_channels(x, channels, 0)


def matmul(call: Call, values: Sequence[Tensor]) -> Tensor:
    """A product of two activations, along whichever axes give the size that is wanted."""
    step = call.step
    if len(values) < 2:
        x = values[0]
        return torch.einsum("ncl,nkl->nck", x.flatten(2), x.flatten(2)).unsqueeze(3) / sqrt(
            prod(x.shape[2:])
        )
    a, b = (x.flatten(2) for x in values[:2])
    turned = a.transpose(1, 2), b.transpose(1, 2)
    pairs = ((turned[0], b), (a, turned[1]), (a, b), (b, a))
    for left, right in pairs:
        agree = left.shape[2] == right.shape[1]
        if agree and left.shape[1] * right.shape[2] == step.size:
            result = left @ right / sqrt(left.shape[2])
            across = result.shape[1] != step.channels and result.shape[2] == step.channels
            return (result.transpose(1, 2) if across else result).unsqueeze(3)
    return multiplied(call, values)
