"""Shapes and meaning of ONNX's own operators, one small rule each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from archcast.encoders._onnx_call import Call, Value, axis_of, broadcast, first_tensor, reshaped
from archcast.encoders._trace import SMALL, Dims, Tensor, triple
from archcast.encoders.errors import ShapeError, UnreadableModelError

Rule = Callable[[Call], Value | list[Any]]

#: ONNX operator -> operator of the vocabulary, for those that keep the shape.
UNARY = {
    "Relu": "relu",
    "LeakyRelu": "leaky_relu",
    "ThresholdedRelu": "relu",
    "Elu": "elu",
    "Selu": "selu",
    "Celu": "celu",
    "Gelu": "gelu",
    "Swish": "silu",
    "Mish": "mish",
    "HardSwish": "hard_swish",
    "HardSigmoid": "hard_sigmoid",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softplus": "softplus",
    "Softsign": "tanh",
    "Softmax": "softmax",
    "LogSoftmax": "softmax",
    "Hardmax": "softmax",
    "Exp": "exp",
    "Log": "log",
    "Sqrt": "sqrt",
    "Abs": "abs",
    "Sign": "sign",
    "Erf": "erf",
    "Shrink": "clip",
    "LRN": "local_response_norm",
    "LpNormalization": "l2_norm",
    "MeanVarianceNormalization": "group_norm",
    **dict.fromkeys(
        ("Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh"),
        "trigonometry",
    ),
}
_VIEWS = (
    "Identity", "Dropout", "Cast", "CastLike", "QuantizeLinear", "DequantizeLinear", "BitCast",
    "DynamicQuantizeLinear", "Trilu", "Round", "Floor", "Ceil", "ReverseSequence", "CumSum",
    "RotaryEmbedding", "Optional", "OptionalGetElement",
)  # fmt: skip
_BINARY = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Mod": "div"}
_REDUCE = {
    "ReduceMean": "mean",
    "ReduceSum": "sum",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceProd": "prod",
    "ReduceL1": "l1",
    "ReduceL2": "l2",
    "ReduceLogSum": "sum",
    "ReduceLogSumExp": "sum",
    "ReduceSumSquare": "sum",
    "ArgMax": "argmax",
    "ArgMin": "argmax",
}


def unknown(call: Call) -> list[Value]:
    """An operator outside the vocabulary keeps its name."""
    operands = call.tensors()
    shapes = _guess(call, operands)
    label = f"{call.node.domain}.{call.op}" if call.node.domain else call.op
    first = call.trace.add("other", operands, shapes[0], label=label)
    return [first, *(Tensor(shape, first.node, sources=first.sources) for shape in shapes[1:])]


def _guess(call: Call, operands: Sequence[Tensor]) -> list[Dims]:
    """Shapes of results without a rule: stated in the file, inferred by onnx, or the operand's."""
    inferred = _infer(call, operands) if any(o not in call.hints for o in call.outputs) else {}
    live = [t.shape for t in operands if not t.constant] or [t.shape for t in operands] or [()]
    shapes = [call.hint(k) or inferred.get(o) or live[0] for k, o in enumerate(call.outputs)]
    return shapes or [live[0]]


def _infer(call: Call, operands: Sequence[Tensor]) -> dict[str, Dims]:
    """What onnx's own shape inference says of one operator; nothing where it gives up."""
    if call.node.domain not in ("", "ai.onnx"):
        return {}
    import onnx  # noqa: PLC0415

    try:
        schema = onnx.defs.get_schema(call.op, call.opset, "")
        names = [name for name in call.node.input if name]
        types = {
            name: onnx.helper.make_tensor_type_proto(1 if t.floating else 7, t.shape)
            for name, t in zip(names, operands, strict=True)
        }
        found = onnx.shape_inference.infer_node_outputs(schema, call.node, types)
    except Exception:  # noqa: BLE001  (inference raises many kinds; a guess is all that is asked)
        return {}
    shapes = {}
    for name, proto in found.items():
        dims = proto.tensor_type.shape.dim
        if proto.tensor_type.HasField("shape"):
            shapes[name] = tuple(d.dim_value if d.dim_value > 0 else 1 for d in dims)
    return shapes


# ------------------------------------------------------------------ constants
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
    return Tensor(shape, sources=((call.outputs[0], math.prod(shape)),) if sparse is not None else ())


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


# ---------------------------------------------------------------------- views
def _view(call: Call) -> list[Value]:
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
    return call.trace.part(x, _positive(call, shape))


def _depth_to_space(call: Call) -> Tensor:
    n, c, h, w = call.x().shape
    block = call.get("blocksize", 1)
    if call.op == "SpaceToDepth":
        return call.trace.view(call.x(), (n, c * block * block, h // block, w // block))
    return call.trace.view(call.x(), (n, c // (block * block), h * block, w * block))


# ---------------------------------------------------------------------- parts
def _slice(call: Call) -> Tensor:
    x = call.x()
    starts, ends = call.integers("starts", 1), call.integers("ends", 2)
    if starts is None or ends is None:
        return call.trace.part(x, call.hint() or x.shape)
    axes = call.integers("axes", 3) or list(range(len(starts)))
    steps = call.integers("steps", 4) or [1] * len(starts)
    shape = list(x.shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        axis = axis_of(axis, len(shape))
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


# ------------------------------------------------------------------- sequences
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
    x = call.x()
    axis = axis_of(call.get("axis", 0), len(x.shape))
    keep = call.get("keepdims", 1) or call.maybe(1) is not None
    size = (*x.shape[:axis], *((1,) if keep else ()), *x.shape[axis + 1 :])
    return [[call.trace.part(x, size) for _ in range(min(x.shape[axis], SMALL))]]


# -------------------------------------------------------------------- windows
def windows(call: Call, before: Dims, kernel: Sequence[int], *, ceil: bool = False) -> Dims:
    """Positions of a convolution or pooling, from the attributes of its window.

    Raises:
        ShapeError: the window does not fit into the input.
    """
    rank = len(kernel)
    strides = call.get("strides") or [1] * rank
    dilations = call.get("dilations") or [1] * rank
    pads = call.get("pads") or [0] * (2 * rank)
    if min(len(strides), len(dilations), len(pads) // 2, len(before)) < rank or 0 in strides:
        raise UnreadableModelError(f"{call.op} has contradictory window attributes; export again")
    auto = call.get("auto_pad", "NOTSET")
    after = []
    for k in range(rank):
        span = dilations[k] * (kernel[k] - 1) + 1
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            after.append(-(-before[k] // strides[k]))
            continue
        room = before[k] - span + (0 if auto == "VALID" else pads[k] + pads[k + rank])
        steps = -(-room // strides[k]) if ceil else room // strides[k]
        if ceil and steps * strides[k] >= before[k] + pads[k] and steps > 0:
            steps -= 1  # the last window must start inside the input or its left padding
        after.append(steps + 1)
    return _positive(call, after)


def _positive(call: Call, shape: Sequence[int]) -> Dims:
    if min(shape, default=1) < 1:
        raise ShapeError(
            f"the input is too small for {call.op}: a result would have shape {tuple(shape)}; "
            "give a larger --input-shape"
        )
    return tuple(shape)


def _conv(call: Call) -> Tensor:
    weight = call.x(1)
    return conv(call, call.x(), weight, call.maybe(2))


def _conv_integer(call: Call) -> Tensor:
    return conv(call, call.x(), call.x(1), None)


def _qlinear_conv(call: Call) -> Tensor:
    return conv(call, call.x(), call.x(3), call.maybe(8))


def conv(call: Call, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution with ONNX's attributes."""
    rank = len(weight.shape) - 2
    if rank < 1 or len(x.shape) != rank + 2:
        raise ShapeError(
            f"{call.op} on a tensor of shape {x.shape} with weights {weight.shape}; "
            "check the input shape"
        )
    kernel = weight.shape[2:]
    groups = max(call.get("group", 1), 1)
    if weight.shape[1] * groups != x.shape[1]:
        raise ShapeError(
            f"{call.op} expects {weight.shape[1] * groups} channels, not {x.shape[1]}; "
            "check the input shape"
        )
    shape = (x.shape[0], weight.shape[0], *windows(call, x.shape[2:], kernel))
    return call.trace.conv(
        x, weight, bias, shape, stride=call.get("strides") or [1] * rank,
        dilation=call.get("dilations") or [1] * rank, groups=groups,
    )  # fmt: skip


def _conv_transpose(call: Call) -> Tensor:
    x, weight = call.x(), call.x(1)
    rank = len(weight.shape) - 2
    kernel, groups = weight.shape[2:], call.get("group", 1)
    strides = call.get("strides") or [1] * rank
    dilations = call.get("dilations") or [1] * rank
    pads = call.get("pads") or [0] * (2 * rank)
    extra = call.get("output_padding") or [0] * rank
    after = call.get("output_shape")
    if after is None:
        same = call.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER")
        after = [
            n * s if same else (n - 1) * s - pads[k] - pads[k + rank] + d * (w - 1) + 1 + extra[k]
            for k, (n, s, d, w) in enumerate(zip(x.shape[2:], strides, dilations, kernel, strict=True))
        ]
    shape = (x.shape[0], weight.shape[1] * groups, *_positive(call, after[-rank:]))
    return call.trace.conv(
        x, weight, call.maybe(2), shape, stride=strides, dilation=dilations, groups=groups,
        transposed=True,
    )  # fmt: skip


def pool(call: Call) -> list[Value]:
    """Max, average and Lp pooling over a window."""
    x = call.x()
    kernel = call.get("kernel_shape") or []
    rank = len(kernel)
    if not rank or len(x.shape) != rank + 2:
        raise ShapeError(f"{call.op} with window {kernel} on a tensor of shape {x.shape}")
    ceil = bool(call.get("ceil_mode", 0))
    shape = (*x.shape[:2], *windows(call, x.shape[2:], kernel, ceil=ceil))
    op = "max_pool" if "Max" in call.op else "avg_pool"
    result = call.trace.pool(
        op, x, shape, kernel, call.get("strides") or [1] * rank, call.get("dilations") or []
    )
    return [result, *(Tensor(shape) for _ in call.outputs[1:])]


def global_pool(call: Call) -> Tensor:
    """Pooling over every position."""
    x = call.x()
    shape = (*x.shape[:2], *([1] * (len(x.shape) - 2)))
    return call.trace.reduce("max" if "Max" in call.op else "mean", x, shape)


def _resize(call: Call) -> Tensor:
    x = call.x()
    shape = _resized_shape(call, x) or call.hint() or x.shape
    if shape == x.shape:
        return x
    if len(shape) < 3:
        return call.trace.add("resize", [x], shape)
    return call.trace.add("resize", [x], shape, channels=shape[1], extent=triple(shape[2:]))


def _resized_shape(call: Call, x: Tensor) -> Dims | None:
    sizes = call.maybe(3)
    if sizes is not None and sizes.data is not None and sizes.size:
        given = tuple(int(d) for d in sizes.data.reshape(-1))
        axes = call.get("axes")
        if axes is None:
            return given
        shape = list(x.shape)
        for axis, size in zip(axes, given, strict=True):
            shape[axis_of(axis, len(shape))] = size
        return tuple(shape)
    place = 1 if call.op == "Upsample" or call.opset < 11 else 2
    scales = call.get("scales")
    operand = call.maybe(place)
    if scales is None and operand is not None and operand.data is not None:
        scales = operand.data.reshape(-1).tolist()
    if not scales or len(scales) != len(x.shape):
        return None
    return tuple(int(d * s) for d, s in zip(x.shape, scales, strict=True))


def _roi(call: Call) -> Tensor:
    x, boxes = call.x(), call.x(1)
    pooled = call.get("pooled_shape") or [call.get("output_height", 1), call.get("output_width", 1)]
    shape = (boxes.shape[0] if boxes.shape else 1, x.shape[1], *pooled)
    return call.trace.add("other", [x, boxes], shape, label=call.op)


# -------------------------------------------------------------------- products
def _gemm(call: Call) -> Tensor:
    a, b, bias = call.x(), call.x(1), call.maybe(2)
    return gemm(call, a, b, bias, bool(call.get("transA", 0)), bool(call.get("transB", 0)))


def gemm(
    call: Call, a: Tensor, b: Tensor, bias: Tensor | None, transpose_a: bool, transpose_b: bool
) -> Tensor:
    """A matrix product of two matrices and a bias."""
    if call.opset < 7 and len(a.shape) > 2:
        a = call.trace.view(a, (a.shape[0], math.prod(a.shape[1:])))
    a = _turned(call, a) if transpose_a else a
    b = _turned(call, b) if transpose_b else b
    product = matmul(call, a, b)
    if bias is None:
        return product
    return call.trace.binary("add", product, bias, broadcast(product.shape, bias.shape))


def _turned(call: Call, x: Tensor) -> Tensor:
    return call.trace.view(x, (*x.shape[:-2], *x.shape[-2:][::-1]))


def matmul(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """A product as NumPy's ``matmul`` has it.

    Raises:
        ShapeError: inner dimensions differ.
    """
    if not a.shape or not b.shape:
        raise ShapeError(f"{call.op} of a scalar; check the input shape")
    left = a.shape if len(a.shape) > 1 else (1, *a.shape)
    right = b.shape if len(b.shape) > 1 else (*b.shape, 1)
    if left[-1] != right[-2]:
        raise ShapeError(f"{call.op} of shapes {a.shape} and {b.shape}; check the input shape")
    shape = (*broadcast(left[:-2], right[:-2]), left[-2], right[-1])
    if len(a.shape) == 1:
        shape = (*shape[:-2], shape[-1])
    if len(b.shape) == 1:
        shape = shape[:-1]
    return call.trace.matmul(a, b, shape)


def _matmul(call: Call) -> Tensor:
    return matmul(call, call.x(), call.x(1))


def _qlinear_matmul(call: Call) -> Tensor:
    return matmul(call, call.x(), call.x(3))


def _einsum(call: Call) -> Tensor:
    equation = str(call.get("equation", "")).replace(" ", "")
    terms, arrow, kept = equation.partition("->")
    operands = call.tensors()
    sizes: dict[str, int] = {}
    dots: Dims = ()
    for term, x in zip(terms.split(","), operands, strict=True):
        head, _, tail = term.partition("...")
        sizes.update(zip(head, x.shape, strict=False))
        sizes.update(zip(tail, x.shape[len(x.shape) - len(tail) :], strict=True))
        dots = max(dots, x.shape[len(head) : len(x.shape) - len(tail)] if "..." in term else (), key=len)
    if not arrow:
        kept = "".join(sorted(c for c in sizes if terms.count(c) == 1))
    head, _, tail = kept.partition("...")
    shape = (*(sizes[c] for c in head), *(dots if "..." in kept else ()), *(sizes[c] for c in tail))
    return call.trace.einsum(equation, operands, shape)


# ----------------------------------------------------------------- elementwise
def _unary(call: Call) -> Tensor:
    return call.trace.unary(UNARY[call.op], call.x())


def _softmax(call: Call) -> Tensor:
    return call.trace.unary("softmax", call.x())


def _scalar(call: Call) -> Tensor:
    value = -1.0 if call.op == "Neg" else math.nan
    return call.trace.unary("scalar", call.x(), label="mul", value=value)


def _binary(call: Call) -> Tensor:
    a, b = call.x(), call.x(1)
    if call.opset < 7 and call.get("broadcast"):
        axis = call.get("axis")
        if axis is not None and len(b.shape) < len(a.shape):
            tail = len(a.shape) - axis_of(axis, len(a.shape)) - len(b.shape)
            b = call.trace.view(b, (*b.shape, *([1] * tail)))
    return call.trace.binary(_BINARY[call.op], a, b, broadcast(a.shape, b.shape))


def _variadic(call: Call) -> Tensor:
    op = {"Sum": "add", "Mean": "add", "Max": "maximum", "Min": "minimum"}[call.op]
    operands = call.tensors()
    total = operands[0]
    for other in operands[1:]:
        total = call.trace.binary(op, total, other, broadcast(total.shape, other.shape))
    return total


def _clip(call: Call) -> Tensor:
    low, high = call.get("min"), call.get("max")
    if call.opset >= 11 and low is None and high is None:
        bounds = [call.maybe(1), call.maybe(2)]
        if any(b is not None and b.scalar() is None for b in bounds):
            return call.trace.unary("clip", call.x())
        low, high = (b.scalar() if b is not None else None for b in bounds)
    return call.trace.clip(call.x(), low, high)


def _pow(call: Call) -> Tensor:
    x, exponent = call.x(), call.x(1)
    number = exponent.scalar()
    if x.constant:
        return call.trace.unary("exp", exponent)
    return x if number == 1 else call.trace.add("pow", [x], x.shape, value=number or 0.0)


def _reciprocal(call: Call) -> Tensor:
    return call.trace.unary("pow", call.x(), value=-1.0)


def _prelu(call: Call) -> Tensor:
    return call.trace.add("prelu", [call.x(), call.x(1)], call.x().shape)


def _compare(call: Call) -> Tensor:
    shape: Dims = ()
    for tensor in call.tensors():
        shape = broadcast(shape, tensor.shape)
    result = call.trace.add("other", call.tensors(), shape, label=call.op)
    result.floating = False
    return result


def _reduce(call: Call) -> Tensor:
    x = call.x()
    keep = bool(call.get("keepdims", 1))
    if call.op.startswith("Arg"):
        axes: list[int] | None = [call.get("axis", 0)]
    else:
        axes = call.integers("axes", 1)
    if not axes:
        if call.get("noop_with_empty_axes"):
            return x
        axes = list(range(len(x.shape)))
    chosen = {axis_of(a, len(x.shape)) for a in axes}
    shape = tuple(
        1 if i in chosen else d for i, d in enumerate(x.shape) if keep or i not in chosen
    )
    return call.trace.reduce(_REDUCE[call.op], x, shape)


def _top_k(call: Call) -> list[Value]:
    x = call.x()
    axis = axis_of(call.get("axis", -1), len(x.shape))
    count = call.integers("k", 1) if "k" not in call.attributes else [call.get("k")]
    size = min(count[0] if count else 1, x.shape[axis])
    shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
    result = call.trace.add("other", [x], shape, label="TopK")
    return [result, Tensor(shape, result.node, floating=False)]


# ----------------------------------------------------------------------- norms
def _batch_norm(call: Call) -> list[Value]:
    x = call.x()
    affine = [t for t in (call.maybe(1), call.maybe(2)) if t is not None]
    result = call.trace.add("affine", [x, *affine], x.shape, label="batch_norm")
    return [result, *(Tensor(x.shape[1:2]) for _ in call.outputs[1:])]


def layer_norm(call: Call) -> list[Value]:
    """Layer norm and root-mean-square norm over the last axes."""
    x = call.x()
    op = "layer_norm" if call.op == "LayerNormalization" else "rms_norm"
    axis = axis_of(call.get("axis", -1), len(x.shape))
    affine = (call.maybe(1), call.maybe(2))
    result = call.trace.norm(op, x, affine, channels=math.prod(x.shape[axis:]))
    return [result, *(Tensor(x.shape[:axis]) for _ in call.outputs[1:])]


def _instance_norm(call: Call) -> Tensor:
    """Also what exporters write for a group norm, on a tensor reshaped to (N, groups, rest)."""
    x = call.x()
    affine = [t for t in (call.maybe(1), call.maybe(2)) if t is not None]
    # The scale of an exporter's group norm is all ones and not trained.
    shaped = len(x.shape) == 3 and call.trace.nodes[x.node].channels != x.shape[1]
    return call.trace.norm("group_norm", x, () if shaped else affine, groups=x.shape[1])


def _group_norm(call: Call) -> Tensor:
    affine = (call.maybe(1), call.maybe(2))
    return call.trace.norm("group_norm", call.x(), affine, groups=call.get("num_groups", 1))


# ------------------------------------------------------- attention, recurrence
def attention(call: Call) -> list[Value]:
    """ONNX's attention on (N, heads, L, D) or (N, L, heads · D)."""
    q, k, v = call.x(), call.x(1), call.x(2)
    heads, shared = call.get("q_num_heads"), call.get("kv_num_heads")
    flat = len(q.shape) == 3
    if flat:
        q, k, v = (_heads(call, t, h or 1) for t, h in ((q, heads), (k, shared), (v, shared)))
    shape = (*q.shape[:-1], v.shape[-1])
    result = call.trace.attention(q, k, v, call.maybe(3), shape)
    if flat:
        result = call.trace.view(result, (shape[0], shape[2], shape[1] * shape[3]))
    return [result, *(Tensor(k.shape, k.node) for _ in call.outputs[1:])]


def _heads(call: Call, x: Tensor, heads: int) -> Tensor:
    n, length, width = x.shape
    return call.trace.view(x, (n, heads, length, width // heads))


def _recurrent(call: Call) -> list[Value]:
    x, w, r = call.x(), call.x(1), call.x(2)
    if len(x.shape) != 3:
        raise ShapeError(f"{call.op} on a tensor of shape {x.shape}, not (length, batch, features)")
    steps, batch = x.shape[:2] if not call.get("layout", 0) else x.shape[1::-1]
    directions, hidden = w.shape[0], r.shape[-1]
    bias = call.maybe(3)
    weights = [w, r, *([bias] if bias else [])]
    result = call.trace.recurrent(
        call.op.lower(), x, weights, (steps, directions, batch, hidden),
        (x.shape[-1], directions * hidden), steps,
    )  # fmt: skip
    last = call.trace.part(result, (directions, batch, hidden))
    return [result, last, last][: max(len(call.outputs), 1)]


RULES: dict[str, Rule] = {
    **dict.fromkeys(UNARY, _unary),
    **dict.fromkeys(_VIEWS, _view),
    **dict.fromkeys(_BINARY, _binary),
    **dict.fromkeys(_REDUCE, _reduce),
    **dict.fromkeys(("Sum", "Mean", "Max", "Min"), _variadic),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _softmax),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), global_pool),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), _depth_to_space),
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), layer_norm),
    **dict.fromkeys(("RNN", "GRU", "LSTM"), _recurrent),
    **dict.fromkeys(("ScatterND", "ScatterElements", "Scatter", "TensorScatter"), _scatter),
    **dict.fromkeys(("RoiAlign", "MaxRoiPool"), _roi),
    **dict.fromkeys(
        ("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "And", "Or", "Xor", "Not",
         "IsNaN", "IsInf", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", "BitShift"),
        _compare,
    ),
    **dict.fromkeys(
        ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike"), _random
    ),
    "Attention": attention,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Concat": _concat,
    "ConcatFromSequence": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Conv": _conv,
    "ConvInteger": _conv_integer,
    "ConvTranspose": _conv_transpose,
    "DynamicQuantizeLinear": _dynamic_quantize,
    "Einsum": _einsum,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Gemm": _gemm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "Neg": _scalar,
    "PRelu": _prelu,
    "Pad": _pad,
    "Pow": _pow,
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
    "Reciprocal": _reciprocal,
    "Reshape": _reshape,
    "SequenceAt": _sequence_at,
    "SequenceConstruct": _sequence,
    "SequenceEmpty": _sequence,
    "SequenceInsert": _sequence_insert,
    "SequenceLength": _sequence_length,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Split": _split,
    "SplitToSequence": _split_to_sequence,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "TopK": _top_k,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
