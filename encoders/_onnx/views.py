"""ONNX operators that move, cut, join or name numbers without computing any."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from archcast.encoders._geometry import Dims
from archcast.encoders._onnx.call import Call, Rule, Value, axis_of, broadcast, positive, reshaped
from archcast.encoders._trace import SMALL, Tensor
from archcast.encoders.errors import ShapeError, UnreadableModelError


def _constant(call: Call) -> Tensor:
    value = call.get("value")
    if isinstance(value, Tensor):
        sources = ((call.outputs[0], value.size),) if value.sources else ()
        return replace(value, sources=sources)
    for name in ("value_float", "value_int", "value_floats", "value_ints"):
        if name in call.attributes:
            data = np.array(call.attributes[name])
            return Tensor(data.shape, data=data, floating="float" in name)
    sparse = call.get("sparse_value")
    shape = tuple(sparse.dims) if sparse is not None else ()
    sources = ((call.outputs[0], math.prod(shape)),) if sparse is not None else ()
    return Tensor(shape, sources=sources)


def _shape(call: Call) -> Tensor:
    dims = np.array(call.x().shape, np.int64)[call.get("start", 0) : call.get("end")]
    return Tensor(dims.shape, data=dims, floating=False)


def _size(call: Call) -> Tensor:
    return Tensor((), data=np.array(call.x().size, np.int64), floating=False)


def _constant_of_shape(call: Call) -> Tensor:
    shape = call.integers("shape", 0)
    if shape is None:
        return Tensor(call.hint() or ())
    size = math.prod(shape)
    return Tensor(tuple(shape), sources=((call.outputs[0], size),) if size > 1 else ())


def _random(call: Call) -> Tensor:
    shape = tuple(call.get("shape", ())) or (call.x().shape if call.inputs else ())
    return Tensor(shape)


def view(call: Call) -> list[Value]:
    """The first operand as it is; further results are constants nobody counts."""
    return [replace(call.x()), *(Tensor(()) for _ in call.outputs[1:])]


def _dynamic_quantize(call: Call) -> list[Value]:
    return [replace(call.x()), Tensor((), data=np.array(1.0)), Tensor((), data=np.array(0))]


def _reshape(call: Call) -> Tensor:
    x = call.x()
    target = call.integers("shape", 1)
    if target is None:
        return call.trace.view(x, call.hint() or _rest(x, call))
    return call.trace.view(x, reshaped(x.shape, target, bool(call.get("allowzero", 0))))


def _rest(x: Tensor, call: Call) -> Dims:
    """A reshape to a shape that only a run would tell: the batch, and everything else."""
    target = call.maybe(1)
    rank = target.shape[0] if target is not None and target.shape else 2
    lead = x.shape[:1] if rank > 1 and x.shape else ()
    return (*lead, *([1] * (rank - len(lead) - 1)), x.size // max(math.prod(lead), 1))


def _flatten(call: Call) -> Tensor:
    x = call.x()
    axis = call.get("axis", 1)
    axis = len(x.shape) if axis == len(x.shape) else axis_of(axis, len(x.shape))
    return call.trace.view(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def _transpose(call: Call) -> Tensor:
    x = call.x()
    order = call.get("perm") or list(range(len(x.shape)))[::-1]
    if sorted(order) != list(range(len(x.shape))):
        raise ShapeError(f"cannot transpose {x.shape} by {order}; check the input shape")
    view = call.trace.view(x, tuple(x.shape[i] for i in order))
    view.data = None
    return view


def _squeeze(call: Call) -> Tensor:
    x = call.x()
    axes = call.integers("axes", 1)
    if axes is None:
        return call.trace.view(x, tuple(d for d in x.shape if d != 1))
    chosen = {axis_of(a, len(x.shape)) for a in axes}
    return call.trace.view(x, tuple(d for i, d in enumerate(x.shape) if i not in chosen or d != 1))


def _unsqueeze(call: Call) -> Tensor:
    x = call.x()
    axes = call.integers("axes", 1) or []
    rank = len(x.shape) + len(axes)
    chosen = {axis_of(a, rank) for a in axes}
    rest = iter(x.shape)
    return call.trace.view(x, tuple(1 if i in chosen else next(rest) for i in range(rank)))


def _expand(call: Call) -> Tensor:
    x = call.x()
    target = call.integers("shape", 1)
    shape = broadcast(x.shape, tuple(target)) if target is not None else call.hint() or x.shape
    return call.trace.part(x, shape)


def _tile(call: Call) -> Tensor:
    x = call.x()
    repeats = call.integers("repeats", 1)
    if repeats is None or len(repeats) != len(x.shape):
        return call.trace.part(x, call.hint() or x.shape)
    return call.trace.part(x, tuple(d * r for d, r in zip(x.shape, repeats, strict=True)))


def _pad(call: Call) -> Tensor:
    x = call.x()
    pads = call.integers("pads" if "pads" in call.attributes else "paddings", 1)
    axes = call.integers("axes", 3)
    if pads is None:
        return call.trace.part(x, call.hint() or x.shape)
    chosen = axes or list(range(len(pads) // 2))
    shape = list(x.shape)
    for k, axis in enumerate(chosen):
        shape[axis_of(axis, len(shape))] += pads[k] + pads[k + len(chosen)]
    return call.trace.part(x, positive(call.op, shape))


def _depth_to_space(call: Call) -> Tensor:
    n, c, h, w = call.x().shape
    block = call.get("blocksize", 1)
    if call.op == "SpaceToDepth":
        return call.trace.view(call.x(), (n, c * block * block, h // block, w // block))
    return call.trace.view(call.x(), (n, c // (block * block), h * block, w * block))


def _slice(call: Call) -> Tensor:
    x = call.x()
    starts, ends = call.integers("starts", 1), call.integers("ends", 2)
    if starts is None or ends is None:
        return call.trace.part(x, call.hint() or x.shape)
    axes = call.integers("axes", 3) or list(range(len(starts)))
    steps = call.integers("steps", 4) or [1] * len(starts)
    shape = list(x.shape)
    for place, start, end, step in zip(axes, starts, ends, steps, strict=True):
        axis = axis_of(place, len(shape))
        shape[axis] = len(range(*slice(start, end, step or 1).indices(shape[axis])))
    return call.trace.part(x, tuple(shape))


def _split(call: Call) -> list[Any]:
    x = call.x()
    axis = axis_of(call.get("axis", 0), len(x.shape))
    sizes = call.integers("split", 1)
    if sizes is None:
        count = call.get("num_outputs", len(call.outputs))
        step = -(-x.shape[axis] // max(count, 1))
        sizes = [min(step, max(x.shape[axis] - k * step, 0)) for k in range(count)]
    shapes = [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in sizes]
    return [call.trace.part(x, shape) for shape in shapes]


def _gather(call: Call) -> Tensor:
    x, indices = call.x(), call.x(1)
    axis = axis_of(call.get("axis", 0), len(x.shape))
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    return _indexed(call, x, indices, shape)


def _gather_elements(call: Call) -> Tensor:
    return _indexed(call, call.x(), call.x(1), call.x(1).shape)


def _gather_nd(call: Call) -> Tensor:
    x, indices = call.x(), call.x(1)
    skipped = call.get("batch_dims", 0) + (indices.shape[-1] if indices.shape else 0)
    return _indexed(call, x, indices, (*indices.shape[:-1], *x.shape[skipped:]))


def _indexed(call: Call, x: Tensor, indices: Tensor, shape: Dims) -> Tensor:
    """Constant indices cut a part out; live ones choose rows of a table, or of an activation."""
    if indices.constant:
        return call.trace.part(x, shape)
    if x.constant:
        return call.trace.embedding(x, indices, shape) if x.shape else Tensor(shape)
    return call.trace.add("gather", [x, indices], shape)


def _concat(call: Call) -> Tensor:
    parts = call.tensors()
    if len(parts) == 1 and isinstance(call.inputs[0], list):
        parts = call.inputs[0]
    if not parts:
        raise UnreadableModelError("a Concat without operands; export the model again")
    axis = axis_of(call.get("axis", 1), len(parts[0].shape))
    if any(len(p.shape) != len(parts[0].shape) for p in parts):
        raise ShapeError("operands of a Concat differ in rank; check the input shape")
    shape = list(parts[0].shape)
    shape[axis] = sum(p.shape[axis] for p in parts)
    return call.trace.concat([p for p in parts if p.size], tuple(shape))


def _where(call: Call) -> Tensor:
    condition, a, b = call.x(), call.x(1), call.x(2)
    shape = broadcast(condition.shape, broadcast(a.shape, b.shape))
    return call.trace.select([a, b], shape)


def _scatter(call: Call) -> Tensor:
    updates = call.maybe(2)
    return call.trace.select([call.x(), *([updates] if updates else [])], call.x().shape)


def _sequence(call: Call) -> list[Any]:
    return [call.tensors()]


def _sequence_insert(call: Call) -> list[Any]:
    sequence = call.inputs[0]
    return [[*(sequence if isinstance(sequence, list) else []), call.x(1)]]


def _sequence_at(call: Call) -> Tensor:
    sequence = call.inputs[0]
    place = call.x(1).scalar()
    if not isinstance(sequence, list) or not sequence:
        return call.x()
    return sequence[int(place or 0) % len(sequence)]


def _sequence_length(call: Call) -> Tensor:
    sequence = call.inputs[0]
    count = len(sequence) if isinstance(sequence, list) else 1
    return Tensor((), data=np.array(count), floating=False)


def _split_to_sequence(call: Call) -> list[Any]:
    """Without sizes one item a position; a scalar is the size of every item but the last."""
    x, given = call.x(), call.maybe(1)
    axis = axis_of(call.get("axis", 0), len(x.shape))
    length = x.shape[axis]
    if given is None or given.data is None:
        sizes = [1] * min(length, SMALL)
    elif given.shape:
        sizes = [int(size) for size in given.data.reshape(-1)]
    else:
        step = max(int(given.data.reshape(-1)[0]), 1)
        sizes = [min(step, length - start) for start in range(0, min(length, SMALL * step), step)]
    keep = given is not None or bool(call.get("keepdims", 1))
    ends = x.shape[:axis], x.shape[axis + 1 :]
    shapes = [(*ends[0], *((size,) if keep else ()), *ends[1]) for size in sizes]
    return [[call.trace.part(x, shape) for shape in shapes]]


_UNCHANGED = (
    "Identity", "Dropout", "Cast", "CastLike", "QuantizeLinear", "DequantizeLinear", "BitCast",
    "Trilu", "Round", "Floor", "Ceil", "ReverseSequence", "CumSum", "RotaryEmbedding", "Optional",
    "OptionalGetElement",
)  # fmt: skip

RULES: dict[str, Rule] = {
    **dict.fromkeys(_UNCHANGED, view),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), _depth_to_space),
    **dict.fromkeys(("ScatterND", "ScatterElements", "Scatter", "TensorScatter"), _scatter),
    **dict.fromkeys(
        ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike"), _random
    ),
    **dict.fromkeys(("Concat", "ConcatFromSequence"), _concat),
    **dict.fromkeys(("SequenceConstruct", "SequenceEmpty"), _sequence),
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "DynamicQuantizeLinear": _dynamic_quantize,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Pad": _pad,
    "Reshape": _reshape,
    "SequenceAt": _sequence_at,
    "SequenceInsert": _sequence_insert,
    "SequenceLength": _sequence_length,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Split": _split,
    "SplitToSequence": _split_to_sequence,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
