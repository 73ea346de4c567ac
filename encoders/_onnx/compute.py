"""ONNX operators that carry the arithmetic: windows, products, attention, recurrence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from archcast.encoders._geometry import Dims, triple
from archcast.encoders._onnx.call import Call, Rule, Value, axis_of, broadcast, positive
from archcast.encoders._trace import Tensor
from archcast.encoders.errors import ShapeError, UnreadableModelError


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
    return positive(call.op, after)


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
        sizes = zip(x.shape[2:], strides, dilations, kernel, strict=True)
        after = [
            n * s if same else (n - 1) * s - pads[k] - pads[k + rank] + d * (w - 1) + 1 + extra[k]
            for k, (n, s, d, w) in enumerate(sizes)
        ]
    shape = (x.shape[0], weight.shape[1] * groups, *positive(call.op, after[-rank:]))
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
        middle = x.shape[len(head) : len(x.shape) - len(tail)] if "..." in term else ()
        dots = max(dots, middle, key=len)
    if not arrow:
        kept = "".join(sorted(c for c in sizes if terms.count(c) == 1))
    head, _, tail = kept.partition("...")
    shape = (*(sizes[c] for c in head), *(dots if "..." in kept else ()), *(sizes[c] for c in tail))
    return call.trace.einsum(equation, operands, shape)


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
    result = call.trace.recurrent(
        call.op.lower(),
        x,
        [w, r],
        [bias] if bias else [],
        (steps, directions, batch, hidden),
        (x.shape[-1], directions * hidden),
        steps,
    )
    last = call.trace.part(result, (directions, batch, hidden))
    results: list[Value] = [result, last, last]
    return results[: max(len(call.outputs), 1)]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), global_pool),
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    **dict.fromkeys(("RoiAlign", "MaxRoiPool"), _roi),
    **dict.fromkeys(("MatMul", "MatMulInteger"), _matmul),
    **dict.fromkeys(("RNN", "GRU", "LSTM"), _recurrent),
    "Attention": attention,
    "Conv": _conv,
    "ConvInteger": _conv_integer,
    "ConvTranspose": _conv_transpose,
    "Einsum": _einsum,
    "Gemm": _gemm,
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
}
