"""Operators that reduce, sort or accumulate along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor

from archcast.zero_cost.source.operators._call import Call, Value, axes_of, number, operator


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _mean(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.mean(axes, keep) if x.is_floating_point() else x.double().mean(axes, keep).to(x.dtype)


_REDUCE: Final[dict[str, Callable[[Tensor, list[int], bool], Tensor]]] = {
    "ReduceL1": lambda x, axes, keep: x.abs().sum(axes, keep),
    "ReduceL2": lambda x, axes, keep: (x * x).sum(axes, keep).sqrt(),
    "ReduceLogSum": lambda x, axes, keep: x.sum(axes, keep).log(),
    "ReduceLogSumExp": torch.logsumexp,
    "ReduceMax": torch.amax,
    "ReduceMean": _mean,
    "ReduceMin": torch.amin,
    "ReduceProd": _product,
    "ReduceSum": lambda x, axes, keep: x.sum(axes, keep),
    "ReduceSumSquare": lambda x, axes, keep: (x * x).sum(axes, keep),
}


@operator(*_REDUCE)
def reduced(call: Call, x: Tensor, axes: Value = None) -> Tensor:
    """One number for all along some axes, all of them by default."""
    given = axes_of(call, axes, x.dim())
    if not given:
        if call.get("noop_with_empty_axes", 0) or not x.dim():
            return x
        given = list(range(x.dim()))
    y = _REDUCE[call.op](x, given, bool(call.get("keepdims", 1)))
    return y if y.dtype == x.dtype or x.is_floating_point() else y.to(x.dtype)


@operator("ArgMax", "ArgMin")
def extreme(call: Call, x: Tensor) -> Tensor:
    """Where the largest or smallest number is along an axis: the first of equals, or the last."""
    axis, keep = call.get("axis", 0), bool(call.get("keepdims", 1))
    find = torch.argmax if call.op == "ArgMax" else torch.argmin
    if call.get("select_last_index", 0):
        return x.shape[axis] - 1 - find(x.flip(axis), axis, keep)
    return find(x, axis, keep)


@operator("TopK")
def top_k(call: Call, x: Tensor, k: Value = None) -> Any:
    """The largest or smallest numbers along an axis and where they are."""
    count = int(number(k, call.get("k", 1)))
    largest, ordered = bool(call.get("largest", 1)), bool(call.get("sorted", 1))
    return tuple(torch.topk(x, count, call.get("axis", -1), largest, ordered))


@operator("CumSum", "CumProd")
def cumulated(call: Call, x: Tensor, axis: Value) -> Tensor:
    """Sums or products of all up to each position, itself left out if ``exclusive``."""
    at = int(number(axis, 0))
    backwards, product = call.get("reverse", 0), call.op == "CumProd"
    x = x.flip(at) if backwards else x
    y = (torch.cumprod if product else torch.cumsum)(x, at, dtype=x.dtype)
    if call.get("exclusive", 0):
        first = torch.full_like(y.narrow(at, 0, 1), float(product))
        y = torch.cat([first, y.narrow(at, 0, y.shape[at] - 1)], at)
    return y.flip(at) if backwards else y
