"""Operators that look numbers up, or write them, by their places."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from archcast.zero_cost.source.operators._call import Call, Value, ints, number, operator


def _positive(places: Tensor, length: int) -> Tensor:
    places = places.long()
    return torch.where(places < 0, places + length, places)


@operator("Gather")
def gather(call: Call, x: Tensor, places: Tensor) -> Tensor:
    """Rows along an axis, in any shape of places."""
    axis = call.get("axis", 0) % x.dim()
    flat = _positive(places, x.shape[axis]).reshape(-1)
    y = x.index_select(axis, flat)
    return y.reshape((*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]))


@operator("GatherElements")
def gather_elements(call: Call, x: Tensor, places: Tensor) -> Tensor:
    """One number for each place along an axis."""
    axis = call.get("axis", 0)
    return x.gather(axis, _positive(places, x.shape[axis]))


@operator("GatherND")
def gather_nd(call: Call, x: Tensor, places: Tensor) -> Tensor:
    """Parts whose leading places are given."""
    batch, depth = call.get("batch_dims", 0), places.shape[-1]
    lead = x.shape[:batch]
    rows, where = x.flatten(0, batch - 1) if batch else x[None], places
    where = where.reshape(rows.shape[0], -1, depth)
    index = [_positive(where[..., i], rows.shape[1 + i]) for i in range(depth)]
    first = torch.arange(rows.shape[0], device=x.device)[:, None].expand_as(index[0])
    y = rows[(first, *index)]
    return y.reshape((*lead, *places.shape[batch:-1], *x.shape[batch + depth :]))


_SCATTERED = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@operator("ScatterElements", "Scatter")
def scatter_elements(call: Call, x: Tensor, places: Tensor, updates: Tensor) -> Tensor:
    """Numbers written at places along an axis."""
    axis = call.get("axis", 0)
    where, how = _positive(places, x.shape[axis]), call.get("reduction", "none")
    if how == "none":
        return x.scatter(axis, where, updates)
    return x.scatter_reduce(axis, where, updates, _SCATTERED[how])


@operator("ScatterND")
def scatter_nd(call: Call, x: Tensor, places: Tensor, updates: Tensor) -> Tensor:
    """Parts written where their leading places say."""
    depth = places.shape[-1]
    index = [_positive(places[..., i], x.shape[i]) for i in range(depth)]
    how = call.get("reduction", "none")
    if how in ("none", "add"):
        return x.index_put(tuple(index), updates.to(x.dtype), accumulate=how == "add")
    flat = torch.zeros_like(index[0])
    for i, part in enumerate(index):
        flat = flat * x.shape[i] + part
    rows = x.reshape(-1, *x.shape[depth:])
    values = updates.reshape(-1, *x.shape[depth:])
    where = flat.reshape(-1, *[1] * (x.dim() - depth)).expand_as(values)
    return rows.scatter_reduce(0, where, values, _SCATTERED[how]).reshape(x.shape)


@operator("OneHot")
def one_hot(call: Call, places: Tensor, depth: Value, values: Tensor) -> Tensor:
    """One number at each place, another elsewhere."""
    count = int(number(depth, 1))
    axis = call.get("axis", -1) % (places.dim() + 1)
    where = places.long()
    where = torch.where(where < 0, where + count, where).unsqueeze(axis)
    shape = [1] * (places.dim() + 1)
    shape[axis] = count
    hot = where == torch.arange(count, device=places.device).reshape(shape)
    return torch.where(hot, values[1], values[0])


@operator("NonZero")
def non_zero(_: Call, x: Tensor) -> Tensor:
    """Where numbers are not zero, one row an axis."""
    return torch.nonzero(x if x.dim() else x.reshape(1)).transpose(0, 1)


@operator("Compress")
def compress(call: Call, x: Tensor, condition: Tensor) -> Tensor:
    """The parts along an axis for which a condition holds."""
    axis = call.get("axis")
    x, axis = (x.flatten(), 0) if axis is None else (x, axis)
    return x.index_select(axis, torch.nonzero(condition.bool()).flatten())


@operator("Unique")
def unique(call: Call, x: Tensor) -> Any:
    """Different numbers in order, where each is first, what is where, and how often."""
    y, inverse, counts = torch.unique(
        x, sorted=True, return_inverse=True, return_counts=True, dim=call.get("axis")
    )
    first = torch.full((counts.numel(),), x.numel(), dtype=torch.int64, device=x.device)
    where = torch.arange(inverse.numel(), device=x.device)
    first = first.scatter_reduce(0, inverse.flatten(), where, "amin")
    return y, first, inverse.flatten(), counts


@operator("ReverseSequence")
def reverse_sequence(call: Call, x: Tensor, lengths: Tensor) -> Tensor:
    """The first so many steps of each sample backwards."""
    batch, time = call.get("batch_axis", 1), call.get("time_axis", 0)
    rows = x.movedim((batch, time), (0, 1))
    steps = torch.arange(rows.shape[1], device=x.device)[None]
    size = lengths.to(x.device).long()[:, None]
    places = torch.where(steps < size, size - 1 - steps, steps)
    y = rows[torch.arange(rows.shape[0], device=x.device)[:, None], places]
    return y.movedim((0, 1), (batch, time))


@operator("CenterCropPad")
def centre(call: Call, x: Tensor, dims: Value) -> Tensor:
    """Axes cut or padded about their middle."""
    wanted = ints(dims)
    axes = call.get("axes", list(range(x.dim())))
    for axis, n in zip(axes, wanted, strict=True):
        have = x.shape[axis]
        if have > n:
            x = x.narrow(axis, (have - n) // 2, n)
        elif have < n:
            shape = list(x.shape)
            shape[axis] = (n - have) // 2
            after = list(x.shape)
            after[axis] = n - have - shape[axis]
            x = torch.cat([x.new_zeros(shape), x, x.new_zeros(after)], axis)
    return x
