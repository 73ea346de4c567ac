"""The operators of a program in torch; several architectures in one call where they agree.

Values are (K·B, channels, height, width), with depth before height where there is any: K copies
(architectures, or weights) of a batch of B samples, one after the other. Tokens stand in height.
Weights are shared by all copies, or *separate*: (K, …), one for each, so that each copy has its
own gradient.

Every operator gives the shape its node has, whatever it was given: what a graph does not say
(views, parts, orders of operands) is filled in by :func:`fit`. Nothing is random.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from archcast.zero_cost._program import Instruction, Triple

_EPS: Final = 1e-5


@dataclass(frozen=True)
class Call:
    """One execution of an instruction.

    Attributes:
        step: what to do.
        copies: K, how many architectures stand in the batch.
        weight: shared weights, or (K, …) separate ones.
        separate: which of the two.
    """

    step: Instruction
    copies: int = 1
    weight: Tensor | None = None
    separate: bool = False


def apply(call: Call, values: Sequence[Tensor]) -> Tensor:
    """The operator's result, before a norm that follows it.

    Args:
        call: what to do.
        values: what its inputs hold.

    Returns:
        (K·B, channels, *positions) as the instruction says.
    """
    step = call.step
    return fit(_OPERATORS.get(step.op, _passed)(call, values), step.channels, step.extent)


def batch_norm(x: Tensor, copies: int) -> Tensor:
    """Standardise each channel over the samples and positions of each copy.

    A channel with one number only is left as it is.
    """
    samples = x.shape[0] // copies
    if samples * prod(x.shape[2:]) == 1:
        return x
    if copies == 1:
        return F.batch_norm(x, None, None, training=True, eps=_EPS)
    parts = x.unflatten(0, (copies, samples))
    axes = (1, *range(3, parts.dim()))
    variance, mean = torch.var_mean(parts, axes, correction=0, keepdim=True)
    return ((parts - mean) * torch.rsqrt(variance + _EPS)).flatten(0, 1)


def channel_deviation(x: Tensor, copies: int) -> Tensor:
    """(K, C) standard deviations of each channel over the samples and positions of a copy."""
    parts = x.unflatten(0, (copies, x.shape[0] // copies))
    return parts.std((1, *range(3, parts.dim())), correction=0)


# --------------------------------------------------------------------- shapes
def fit(x: Tensor, channels: int, extent: Triple, part: int = 0) -> Tensor:
    """A value in another shape, by the mildest means that give it.

    The same number of elements is a view; fewer positions or channels are a part, or for one
    position their mean; more are repetitions.

    Args:
        x: (N, C, *positions).
        channels: wanted.
        extent: wanted, as depth, height, width.
        part: which of the parts, counted round.
    """
    shape = (channels, *(extent if extent[0] > 1 else extent[1:]))
    if x.shape[1:] == shape:
        return x
    size = x[0].numel()
    if size == prod(shape):
        if x.shape[1] == channels or x.shape[1] == 1 or channels == 1:
            return x.reshape(-1, *shape)
        if x.shape[1] == prod(shape[1:]) and prod(x.shape[2:]) == channels:
            return x.flatten(2).transpose(1, 2).reshape(-1, *shape)
        return x.reshape(-1, *shape)
    return _fit_channels(_fit_positions(x, shape[1:]), channels, part)


def _fit_positions(x: Tensor, wanted: tuple[int, ...]) -> Tensor:
    have = tuple(x.shape[2:])
    if have == wanted:
        return x
    if prod(have) == prod(wanted):
        return x.reshape(*x.shape[:2], *wanted)
    if prod(wanted) == 1:
        return x.flatten(2).mean(2).reshape(*x.shape[:2], *wanted)
    if prod(have) == 1:
        return x.reshape(*x.shape[:2], *[1] * len(wanted)).expand(*x.shape[:2], *wanted)
    if len(have) == len(wanted) and all(a % b == 0 for a, b in zip(have, wanted, strict=True)):
        for axis, (a, b) in enumerate(zip(have, wanted, strict=True), 2):
            x = x.unflatten(axis, (b, a // b)).select(axis + 1, 0)
        return x
    flat = x.flatten(2)
    count = prod(wanted)
    if flat.shape[2] < count:  # tokens that the graph does not show: a class token, say
        flat = F.pad(flat, (count - flat.shape[2], 0)) if count < 2 * flat.shape[2] else flat
        flat = flat.repeat(1, 1, -(-count // flat.shape[2]))
    return flat[:, :, :count].reshape(*x.shape[:2], *wanted)


def _fit_channels(x: Tensor, wanted: int, part: int) -> Tensor:
    have = x.shape[1]
    if have == wanted:
        return x
    if have > wanted:
        start = part % (have // wanted) * wanted
        return x[:, start : start + wanted]
    return x.repeat(1, -(-wanted // have), *[1] * (x.dim() - 2))[:, :wanted]


def _spatial(x: Tensor) -> Triple:
    """The extent of a value."""
    sizes = tuple(x.shape[2:])
    return (1, *sizes) if len(sizes) == 2 else sizes  # type: ignore[return-value]


def _operand(call: Call, values: Sequence[Tensor], index: int) -> Tensor:
    """An operand as the sum or product needs it: of the result's shape, or broadcast to it."""
    step, x = call.step, values[index]
    wanted = (step.channels, *(step.extent if step.extent[0] > 1 else step.extent[1:]))
    if x.shape[1:] == wanted:
        return x
    if x.dim() == len(wanted) + 1 and all(
        a in (1, b) for a, b in zip(x.shape[1:], wanted, strict=True)
    ):
        return x
    return fit(x, step.channels, step.extent, step.parts[index])


# ----------------------------------------------------------- weighted operators
def _entering(call: Call, x: Tensor) -> Tensor:
    """What a weighted operator reads, with the channels its weights have."""
    step = call.step
    wanted = step.channels_in
    if x.shape[1] == wanted:
        return x
    size, positions = x[0].numel(), prod(x.shape[2:])
    if size == wanted * step.positions or positions == wanted:
        if positions == wanted and x.shape[1] == step.positions:
            return x.flatten(2).transpose(1, 2).unsqueeze(3)
        if size == wanted * step.positions:
            return fit(x, wanted, step.extent if step.op == "linear" else _spatial(x))
    if positions == wanted:  # mixing tokens: positions are the features
        return x.flatten(2).transpose(1, 2).unsqueeze(3)
    return _fit_channels(x, wanted, step.parts[0])


def _grouped(x: Tensor, copies: int) -> Tensor:
    """(K·B, C, …) as (B, K·C, …): copies as groups of channels."""
    if copies == 1:
        return x
    return x.unflatten(0, (copies, -1)).transpose(0, 1).flatten(1, 2)


def _ungrouped(x: Tensor, copies: int) -> Tensor:
    if copies == 1:
        return x
    return x.unflatten(1, (copies, -1)).transpose(0, 1).flatten(0, 1)


def _padding(x: Tensor, step: Instruction) -> list[int]:
    """Padding of each axis of positions, so that at least the extent comes out.

    The larger half stands in front. Padding as much behind changes no position of the extent.
    """
    found = []
    for have, a in zip(x.shape[2:], range(5 - x.dim(), 3), strict=True):
        reach = step.dilation[a] * (step.kernel[a] - 1) + 1
        total = max((step.extent[a] - 1) * step.stride[a] + reach - have, 0)
        found.append(total - total // 2)
    return found


def _volume(x: Tensor, step: Instruction) -> Tensor:
    """The value with an axis of depth if the window or the result has one."""
    deep = step.extent[0] > 1 or step.kernel[0] > 1 or step.stride[0] > 1
    return x.unsqueeze(2) if deep and x.dim() == 4 else x


def _flattened(x: Tensor) -> Tensor:
    """Without an axis of depth that is one."""
    return x.squeeze(2) if x.dim() == 5 and x.shape[2] == 1 else x


def _convolved(call: Call, values: Sequence[Tensor]) -> Tensor:
    step, weight = call.step, call.weight
    assert weight is not None
    x = _volume(_entering(call, values[0]), step)
    rank = x.dim() - 2
    copies = call.copies if call.separate else 1
    kernel = weight.flatten(0, 1) if call.separate else weight
    if kernel.dim() < x.dim():
        kernel = kernel.unsqueeze(2)
    function: Any = F.conv2d if rank == 2 else F.conv3d
    result = function(
        _grouped(x, copies), kernel, None, step.stride[-rank:], _padding(x, step),
        step.dilation[-rank:], copies * step.groups,
    )  # fmt: skip
    result = _cut(_ungrouped(result, copies), step)
    return _flattened(result)


def _cut(x: Tensor, step: Instruction) -> Tensor:
    """Without positions beyond the extent."""
    for axis, size in enumerate(step.extent[5 - x.dim() :], 2):
        if x.shape[axis] > size:
            x = x.narrow(axis, 0, size)
    return x


def _transposed(call: Call, values: Sequence[Tensor]) -> Tensor:
    """A transposed convolution; its padding is what the extent leaves over, half at each end."""
    step, weight = call.step, call.weight
    assert weight is not None
    x = _volume(_entering(call, values[0]), step)
    rank, copies = x.dim() - 2, call.copies if call.separate else 1
    kernel = weight.flatten(0, 1) if call.separate else weight
    kernel = kernel.unsqueeze(2) if kernel.dim() < x.dim() else kernel
    groups = copies * step.groups
    kernel = kernel.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    function: Any = F.conv_transpose2d if rank == 2 else F.conv_transpose3d
    result = function(
        _grouped(x, copies), kernel, None, step.stride[-rank:], 0, 0, groups,
        step.dilation[-rank:],
    )  # fmt: skip
    for axis, size in enumerate(step.extent[3 - rank :], 2):
        have = result.shape[axis]
        if have >= size:
            result = result.narrow(axis, (have - size) // 2, size)
        else:
            short = [0, 0] * (rank + 1 - axis + 1) + [0, size - have]
            result = F.pad(result, short)
    return _flattened(_ungrouped(result, copies))


def _linear(call: Call, values: Sequence[Tensor]) -> Tensor:
    weight = call.weight
    assert weight is not None
    x = _entering(call, values[0]).movedim(1, -1)
    if not call.separate:
        return F.linear(x, weight).movedim(-1, 1)
    parts = x.unflatten(0, (call.copies, -1))
    flat = parts.reshape(call.copies, -1, x.shape[-1])
    result = torch.bmm(flat, weight.transpose(1, 2))
    return result.reshape(*parts.shape[:-1], -1).flatten(0, 1).movedim(-1, 1)


def _embedded(call: Call, values: Sequence[Tensor]) -> Tensor:
    weight = call.weight
    assert weight is not None
    ids = values[0].flatten(1).long()
    if not call.separate:
        return F.embedding(ids % weight.shape[0], weight).transpose(1, 2).unsqueeze(3)
    parts = ids.unflatten(0, (call.copies, -1)) % weight.shape[1]
    rows = torch.arange(call.copies, device=ids.device).reshape(-1, 1, 1)
    return weight[rows, parts].flatten(0, 1).transpose(1, 2).unsqueeze(3)


def _recurrent(call: Call, values: Sequence[Tensor]) -> Tensor:
    """One layer, forward in time, over the positions: RNN, GRU or LSTM."""
    step, weight = call.step, call.weight
    assert weight is not None
    x = _entering(call, values[0]).flatten(2)
    table = weight if call.separate else weight.unsqueeze(0)
    hidden = step.channels
    state = x.new_zeros(x.shape[0], hidden)
    memory = state
    states = []
    for t in range(x.shape[2]):
        state, memory = _CELLS[step.op](table, x[:, :, t], state, memory)
        states.append(state)
    return torch.stack(states, 2).unsqueeze(3)


def _product(table: Tensor, x: Tensor) -> Tensor:
    """(K or 1, out, in) weights on (K·B, in) vectors."""
    if table.shape[0] == 1:
        return F.linear(x, table[0])
    return torch.einsum("kbi,koi->kbo", x.unflatten(0, (table.shape[0], -1)), table).flatten(0, 1)


def _rnn_cell(w: Tensor, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    return torch.tanh(_product(w, torch.cat([x, h], 1))), c


def _gru_cell(w: Tensor, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    size = h.shape[1]
    reset, update = _product(w[:, : 2 * size], torch.cat([x, h], 1)).sigmoid().chunk(2, 1)
    new = torch.tanh(_product(w[:, 2 * size :], torch.cat([x, reset * h], 1)))
    return update * h + (1 - update) * new, c


def _lstm_cell(w: Tensor, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    enter, forget, new, leave = _product(w, torch.cat([x, h], 1)).chunk(4, 1)
    c = forget.sigmoid() * c + enter.sigmoid() * torch.tanh(new)
    return leave.sigmoid() * torch.tanh(c), c


_CELLS: Final = {"rnn": _rnn_cell, "gru": _gru_cell, "lstm": _lstm_cell}


# ----------------------------------------------------------------- attention
def _attention(call: Call, values: Sequence[Tensor]) -> Tensor:
    """Softmax attention; which operand is which, the graph does not say.

    One operand of three times the width is split. Of several, the one with as many positions as
    the result asks; all of equal size stand in canonical order.
    """
    step = call.step
    query, key, value = _roles(step, values)
    heads = max(step.heads, 1)
    heads = heads if query.shape[1] % heads == 0 else 1
    key, value = (_repeated(x, query.shape[1], heads) for x in (key, value))
    q, k, v = (x.flatten(2).unflatten(1, (heads, -1)).transpose(2, 3) for x in (query, key, value))
    span, length = step.span, q.shape[2]
    if 0 < span < k.shape[2] and k.shape[2] == length and length % span == 0:
        q, k, v = (x.unflatten(2, (-1, span)).transpose(1, 2).flatten(0, 1) for x in (q, k, v))
    count = length // q.shape[2]
    scores = torch.softmax(q @ k.transpose(2, 3) / sqrt(q.shape[3]), -1)
    mixed = scores @ v
    if count > 1:
        mixed = mixed.unflatten(0, (-1, count)).transpose(1, 2).flatten(2, 3)
    return mixed.transpose(2, 3).flatten(1, 2).reshape(*query.shape)


def _roles(step: Instruction, values: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    if len(values) == 1:
        x = values[0]
        rest = x.shape[1] - step.channels
        if rest > 0 and rest % 2 == 0:
            query, key, value = x.split((step.channels, rest // 2, rest // 2), 1)
            return query, key, value
        return x, x, x
    asks = [x for x in values if prod(x.shape[2:]) == step.positions and x.shape[1] > 1]
    query = fit(asks[0] if asks else values[0], step.channels, step.extent)
    others = [x for x in values if x is not (asks[0] if asks else values[0])]
    others = sorted(others, key=lambda x: -prod(x.shape[1:]))  # masks are small
    key, value = others[0], others[min(1, len(others) - 1)]
    if prod(key.shape[2:]) != prod(value.shape[2:]):
        value = key
    return query, key, value


def _repeated(x: Tensor, channels: int, heads: int) -> Tensor:
    """Keys or values of fewer heads than ask, each used by several."""
    if x.shape[1] == channels:
        return x
    width = channels // heads
    if x.shape[1] < channels and x.shape[1] % width == 0 and heads % (x.shape[1] // width) == 0:
        groups = x.shape[1] // width
        return x.unflatten(1, (groups, width)).repeat_interleave(heads // groups, 1).flatten(1, 2)
    return _fit_channels(x, channels, 0)


def _matmul(call: Call, values: Sequence[Tensor]) -> Tensor:
    """A product of two activations, along whichever axes give the size that is wanted."""
    step = call.step
    if len(values) < 2:
        x = values[0]
        return torch.einsum("ncl,nkl->nck", x.flatten(2), x.flatten(2)).unsqueeze(3) / sqrt(
            prod(x.shape[2:])
        )
    a, b = (x.flatten(2) for x in values[:2])
    candidates = []
    if a.shape[1] == b.shape[1]:
        candidates.append((a.transpose(1, 2) @ b, a.shape[1]))
    if a.shape[2] == b.shape[2]:
        candidates.append((a @ b.transpose(1, 2), a.shape[2]))
    if a.shape[2] == b.shape[1]:
        candidates.append((a @ b, a.shape[2]))
    if a.shape[1] == b.shape[2]:
        candidates.append((b @ a, a.shape[1]))
    for result, length in candidates:
        if result.shape[1] * result.shape[2] == step.size:
            result = result / sqrt(length)
            turned = result.shape[1] != step.channels and result.shape[2] == step.channels
            return (result.transpose(1, 2) if turned else result).unsqueeze(3)
    return _multiplied(call, values)


# ------------------------------------------------------ operators without weights
def _input(call: Call, values: Sequence[Tensor]) -> Tensor:
    return values[0]


def _passed(call: Call, values: Sequence[Tensor]) -> Tensor:
    if not values:
        raise AssertionError("an operator other than an input reads something")
    if len(values) > 1:
        return _added(call, values)
    return fit(values[0], call.step.channels, call.step.extent, call.step.parts[0])


def _added(call: Call, values: Sequence[Tensor]) -> Tensor:
    total = _operand(call, values, 0)
    for index in range(1, len(values)):
        total = total + _operand(call, values, index)
    return total


def _subtracted(call: Call, values: Sequence[Tensor]) -> Tensor:
    if len(values) == 1:  # a value and what is left of it without its mean
        x = values[0]
        return x - x.mean(tuple(range(2, x.dim())), keepdim=True)
    return _operand(call, values, 0) - _operand(call, values, 1)


def _multiplied(call: Call, values: Sequence[Tensor]) -> Tensor:
    total = _operand(call, values, 0)
    for index in range(1, len(values)):
        total = total * _operand(call, values, index)
    return total


def _divided(call: Call, values: Sequence[Tensor]) -> Tensor:
    if len(values) == 1:
        return values[0]
    return _operand(call, values, 0) / (_operand(call, values, 1).abs() + 1)


def _extreme(function: Callable[..., Tensor]) -> Callable[[Call, Sequence[Tensor]], Tensor]:
    def chosen(call: Call, values: Sequence[Tensor]) -> Tensor:
        total = _operand(call, values, 0)
        for index in range(1, len(values)):
            total = function(total, _operand(call, values, index))
        return total

    return chosen


def _joined(call: Call, values: Sequence[Tensor]) -> Tensor:
    """Along channels where they add up, else along positions."""
    step = call.step
    if sum(x.shape[1] for x in values) <= step.channels or len(values) == 1:
        parts = [_fit_positions(x, tuple(_positions(step))) for x in values]
        return torch.cat(parts, 1)
    parts = [_fit_channels(x, step.channels, 0).flatten(2) for x in values]
    return torch.cat(parts, 2).unsqueeze(3)


def _positions(step: Instruction) -> Triple | tuple[int, int]:
    return step.extent if step.extent[0] > 1 else step.extent[1:]


def _max_pooled(call: Call, values: Sequence[Tensor]) -> Tensor:
    return _pooled(call, values[0], (F.max_pool2d, F.max_pool3d), float("-inf"))


def _avg_pooled(call: Call, values: Sequence[Tensor]) -> Tensor:
    """The mean of what lies in the window, padding not counted."""

    def flat(x: Tensor, kernel: Any, stride: Any, padding: Any) -> Tensor:
        return F.avg_pool2d(x, kernel, stride, padding, count_include_pad=False)

    def deep(x: Tensor, kernel: Any, stride: Any, padding: Any) -> Tensor:
        return F.avg_pool3d(x, kernel, stride, padding, count_include_pad=False)

    return _pooled(call, values[0], (flat, deep), 0.0)


def _pooled(call: Call, x: Tensor, functions: tuple[Any, Any], value: float) -> Tensor:
    step = call.step
    x = _volume(_fit_channels(x, step.channels, step.parts[0]), step)
    rank = x.dim() - 2
    kernel = step.kernel[-rank:]
    if any(size <= 0 for size in kernel) or step.positions > prod(x.shape[2:]):
        return _flattened(x)
    sides = _padding(x, step)
    if any(side > size // 2 for side, size in zip(sides, kernel, strict=True)):
        flat = [side for side in reversed(sides) for _ in range(2)]
        x, sides = F.pad(x, flat, value=max(value, -1e30)), [0] * rank
    short = any(
        have + 2 * side < size for have, side, size in zip(x.shape[2:], sides, kernel, strict=True)
    )
    if short:
        return _flattened(x)
    result = functions[rank - 2](x, kernel, step.stride[-rank:], sides)
    return _flattened(_cut(result, step))


def _global_mean(call: Call, values: Sequence[Tensor]) -> Tensor:
    x = values[0]
    if call.step.positions > 1:  # of channels, or of some positions only
        return _reduced(call, values)
    return x.mean(tuple(range(2, x.dim())), keepdim=True).flatten(2).mean(2)[:, :, None, None]


def _global_max(call: Call, values: Sequence[Tensor]) -> Tensor:
    x = values[0]
    return x.amax(tuple(range(2, x.dim())))[:, :, None, None]


def _reduced(call: Call, values: Sequence[Tensor]) -> Tensor:
    """A mean over what the result has no more of."""
    step, x = call.step, values[0]
    if step.channels < x.shape[1] and x.shape[1] % step.channels == 0:
        x = x.unflatten(1, (step.channels, -1)).mean(2)
    have = prod(x.shape[2:])
    if step.positions < have and have % step.positions == 0:
        x = x.flatten(2).unflatten(2, (step.positions, -1)).mean(3)
    return fit(x if x.dim() > 3 else x.unsqueeze(3), step.channels, step.extent)


def _resized(call: Call, values: Sequence[Tensor]) -> Tensor:
    wanted = _positions(call.step)
    x = values[0]
    return F.interpolate(x, wanted, mode="nearest") if len(wanted) == x.dim() - 2 else x


def _gated(call: Call, values: Sequence[Tensor]) -> Tensor:
    step, x = call.step, values[0]
    if x.shape[1] == 2 * step.channels:
        return F.glu(x, 1)
    return x * torch.sigmoid(x)


# --------------------------------------------------------------------- norms
def _layer_norm(call: Call, values: Sequence[Tensor]) -> Tensor:
    x = values[0].movedim(1, -1)
    return F.layer_norm(x, x.shape[-1:], eps=_EPS).movedim(-1, 1)


def _rms_norm(call: Call, values: Sequence[Tensor]) -> Tensor:
    x = values[0]
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + _EPS)


def _group_norm(call: Call, values: Sequence[Tensor]) -> Tensor:
    x, groups = values[0], call.step.groups
    return F.group_norm(x, groups if x.shape[1] % groups == 0 else 1, eps=_EPS)


def _l2_norm(call: Call, values: Sequence[Tensor]) -> Tensor:
    return F.normalize(values[0], dim=1)


def _response_norm(call: Call, values: Sequence[Tensor]) -> Tensor:
    return F.local_response_norm(values[0], 5)


# --------------------------------------------------------------- one operand
def _one(function: Callable[[Tensor], Tensor]) -> Callable[[Call, Sequence[Tensor]], Tensor]:
    def changed(call: Call, values: Sequence[Tensor]) -> Tensor:
        return function(_passed(call, values))

    return changed


_ELEMENTWISE: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "prelu": lambda x: F.leaky_relu(x, 0.25),
    "elu": F.elu,
    "selu": F.selu,
    "celu": F.celu,
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "hard_swish": F.hardswish,
    "hard_sigmoid": F.hardsigmoid,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "softmax": lambda x: torch.softmax(x, 1),
    "exp": lambda x: torch.exp(x.clamp(max=10)),
    "log": lambda x: torch.log(x.abs() + 1),
    "sqrt": lambda x: torch.sqrt(x.abs() + _EPS),
    "pow": torch.square,
    "abs": torch.abs,
    "clip": lambda x: x.clamp(-1, 1),
    "trigonometry": torch.sin,
}

_OPERATORS: Final[dict[str, Callable[[Call, Sequence[Tensor]], Tensor]]] = {
    "input": _input,
    "conv": _convolved,
    "conv_transpose": _transposed,
    "linear": _linear,
    "embedding": _embedded,
    "rnn": _recurrent,
    "gru": _recurrent,
    "lstm": _recurrent,
    "attention": _attention,
    "matmul": _matmul,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
    "l2_norm": _l2_norm,
    "local_response_norm": _response_norm,
    "glu": _gated,
    "max_pool": _max_pooled,
    "avg_pool": _avg_pooled,
    "global_avg_pool": _global_mean,
    "global_max_pool": _global_max,
    "reduce": _reduced,
    "resize": _resized,
    "add": _added,
    "sub": _subtracted,
    "mul": _multiplied,
    "div": _divided,
    "maximum": _extreme(torch.maximum),
    "minimum": _extreme(torch.minimum),
    "concat": _joined,
    **{name: _one(function) for name, function in _ELEMENTWISE.items()},
}
