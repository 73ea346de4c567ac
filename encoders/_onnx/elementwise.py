"""ONNX operators on single numbers, reductions and norms."""

from __future__ import annotations

import math

from archcast.encoders._geometry import Dims
from archcast.encoders._onnx.call import Call, Rule, Value, axis_of, broadcast
from archcast.encoders._trace import Tensor

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


def _unary(call: Call) -> Tensor:
    return call.trace.unary(UNARY[call.op], call.x())


def _negate(call: Call) -> Tensor:
    return call.trace.unary("scalar", call.x(), label="mul", value=-1.0)


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
    shape = tuple(1 if i in chosen else d for i, d in enumerate(x.shape) if keep or i not in chosen)
    return call.trace.reduce(_REDUCE[call.op], x, shape)


def _top_k(call: Call) -> list[Value]:
    x = call.x()
    axis = axis_of(call.get("axis", -1), len(x.shape))
    count = call.integers("k", 1) if "k" not in call.attributes else [call.get("k")]
    size = min(count[0] if count else 1, x.shape[axis])
    shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
    result = call.trace.add("other", [x], shape, label="TopK")
    return [result, Tensor(shape, result.node, floating=False)]


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


RULES: dict[str, Rule] = {
    **dict.fromkeys(UNARY, _unary),
    **dict.fromkeys(_BINARY, _binary),
    **dict.fromkeys(_REDUCE, _reduce),
    **dict.fromkeys(("Sum", "Mean", "Max", "Min"), _variadic),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), layer_norm),
    **dict.fromkeys(
        ("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "And", "Or", "Xor", "Not",
         "IsNaN", "IsInf", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", "BitShift"),
        _compare,
    ),
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "Neg": _negate,
    "PRelu": _prelu,
    "Pow": _pow,
    "Reciprocal": _reciprocal,
    "TopK": _top_k,
}  # fmt: skip
