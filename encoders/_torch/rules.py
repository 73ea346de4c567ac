"""Meaning of ATen's operators, one small rule each; shapes are in the recording."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from archcast.encoders._geometry import triple
from archcast.encoders._torch.call import Call
from archcast.encoders._torch.capture import Ref, Shape
from archcast.encoders._trace import Tensor

#: ATen operator -> operator of the vocabulary, for those that keep the shape.
_UNARY = {
    "relu": "relu",
    "relu6": "relu6",
    "leaky_relu": "leaky_relu",
    "rrelu": "leaky_relu",
    "elu": "elu",
    "selu": "selu",
    "celu": "celu",
    "gelu": "gelu",
    "silu": "silu",
    "mish": "mish",
    "hardswish": "hard_swish",
    "hardsigmoid": "hard_sigmoid",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "softplus": "softplus",
    "log_sigmoid": "softplus",
    "softmax": "softmax",
    "_softmax": "softmax",
    "log_softmax": "softmax",
    "_log_softmax": "softmax",
    "exp": "exp",
    "log": "log",
    "log2": "log",
    "log1p": "log",
    "sqrt": "sqrt",
    "abs": "abs",
    "sign": "sign",
    "erf": "erf",
    "sin": "trigonometry",
    "cos": "trigonometry",
    "atan": "trigonometry",
    "square": "pow",
    "rsqrt": "pow",
    "reciprocal": "pow",
}
_POWER = {"square": 2.0, "rsqrt": -0.5, "reciprocal": -1.0}
_VIEWS = frozenset(
    ("view", "reshape", "reshape_as", "view_as", "flatten", "permute", "transpose", "t", "numpy_T",
     "contiguous", "unsqueeze", "squeeze", "alias", "clone", "detach", "dropout", "dropout2d",
     "feature_dropout", "alpha_dropout", "native_dropout", "to", "type_as", "_to_copy",
     "lift_fresh_copy",
     "movedim", "moveaxis", "swapaxes", "swapdims", "unflatten", "pixel_shuffle", "pixel_unshuffle",
     "channel_shuffle", "flip", "roll", "_unsafe_view", "float", "half", "double", "adjoint",
     "constant_pad_nd", "pad", "reflection_pad1d", "reflection_pad2d", "replication_pad2d",
     "expand", "expand_as", "repeat", "repeat_interleave", "tile", "broadcast_to", "unfold",
     "im2col", "as_strided", "view_as_real", "view_as_complex", "native_channel_shuffle", "tril",
     "triu", "masked_fill", "identity", "_conj", "real", "imag", "bernoulli", "cumsum")
)  # fmt: skip
PARTS = frozenset(
    ("slice", "select", "narrow", "split", "split_with_sizes", "chunk", "unbind", "tensor_split",
     "diagonal", "hsplit", "vsplit", "unsafe_split", "unsafe_chunk", "split_copy")
)  # fmt: skip
_BINARY = {
    "add": "add",
    "sub": "sub",
    "rsub": "sub",
    "subtract": "sub",
    "mul": "mul",
    "multiply": "mul",
    "div": "div",
    "divide": "div",
    "true_divide": "div",
    "maximum": "maximum",
    "minimum": "minimum",
}
_REDUCE = {
    "mean": "mean",
    "sum": "sum",
    "amax": "max",
    "amin": "min",
    "max": "max",
    "min": "min",
    "var": "var",
    "std": "var",
    "prod": "prod",
    "linalg_vector_norm": "l2",
    "norm": "l2",
    "logsumexp": "sum",
    "argmax": "argmax",
    "argmin": "argmax",
    "any": "max",
    "all": "min",
}


def _unary(call: Call) -> Tensor:
    return call.trace.unary(_UNARY[call.op], call.x(), value=_POWER.get(call.op, 0.0))


def _part(call: Call) -> Tensor:
    return call.trace.part(call.x(), call.shape)


def constants(call: Call, operands: list[Tensor]) -> Any:
    """Results of an operator over constants; numbers are kept where others may depend on them."""

    def one(shape: Shape | None) -> Tensor:
        dims, floating = shape or Shape((), True)
        constant = call.trace.constant(dims, operands, floating)
        if call.op in ("full", "scalar_tensor", "full_like") and math.prod(dims) == 1:
            value = call.get(0 if call.op == "scalar_tensor" else 1)
            constant.data = np.array(value) if isinstance(value, (int, float)) else None
        if call.op in ("zeros", "zeros_like", "new_zeros") and math.prod(dims) <= 4096:
            constant.data = np.zeros(dims)
        if call.op in _VIEWS and operands and operands[0].size == 1:
            constant.data = operands[0].data
        return constant

    result = call.step.result
    return [one(r) for r in result] if isinstance(result, list) else one(result)


def _resized(call: Call) -> Tensor:
    """Views keep their numbers; padding and tiling change how many there are."""
    x = call.x()
    if x.constant:
        return Tensor(call.shape, sources=x.sources)
    if math.prod(call.shape) == x.size:
        return call.trace.view(x, call.shape)
    return call.trace.add("slice", [x], call.shape)


def unknown(call: Call, operands: list[Tensor]) -> Any:
    """An operator outside the vocabulary keeps its name."""
    label = call.step.target.removesuffix(".default").removesuffix(".Tensor")
    results = call.step.result if isinstance(call.step.result, list) else [call.step.result]
    shapes = [r.dims if r is not None else () for r in results]
    first = call.trace.add("other", operands, shapes[0], label=label)
    if not isinstance(call.step.result, list):
        return first
    return [first, *(Tensor(s, first.node) for s in shapes[1:])]


def _binary(call: Call) -> Tensor:
    a, b = call.tensor(0), call.tensor(1, "other")
    if a is None or b is None:
        return _resized(call)
    return call.trace.binary(_BINARY[call.op], a, b, call.shape)


def _reduced(call: Call) -> Any:
    if call.op in ("max", "min") and len(call.tensors()) == 2:
        return call.trace.binary(call.op + "imum", call.x(), call.tensors()[1], call.shape)
    result = call.trace.reduce(_REDUCE[call.op], call.x(), call.shape)
    return [result, result] if isinstance(call.step.result, list) else result


def _conv(call: Call) -> Tensor:
    weight, bias = call.need(1), call.tensor(2, "bias")
    rank = len(weight.shape) - 2
    transposed = call.op.startswith("conv_transpose")
    if call.op in ("convolution", "_convolution"):
        transposed, groups = bool(call.get(6)), call.get(8, "groups", 1)
        dilation = call.numbers(5, "dilation", rank)
    elif transposed:
        groups, dilation = call.get(6, "groups", 1), call.numbers(7, "dilation", rank)
    else:
        groups, dilation = call.get(6, "groups", 1), call.numbers(5, "dilation", rank)
    return call.trace.conv(
        call.x(), weight, bias, call.shape, stride=call.numbers(3, "stride", rank),
        dilation=dilation, groups=groups, transposed=transposed,
    )  # fmt: skip


def _linear(call: Call) -> Tensor:
    weight, bias = call.need(1, "weight"), call.tensor(2, "bias")
    if not weight.constant:
        return call.trace.matmul(call.x(), weight, call.shape)
    leave, enter = weight.shape if len(weight.shape) == 2 else (1, weight.shape[0])
    return call.trace.linear(call.x(), weight, bias, call.shape, (enter, leave))


def _addmm(call: Call) -> Tensor:
    product = call.trace.matmul(call.need(1), call.need(2), call.shape)
    return call.trace.binary("add", product, call.x(), call.shape)


def _matmul(call: Call) -> Tensor:
    other = call.tensor(1, "mat2") or call.need(1, "other")
    return call.trace.matmul(call.x(), other, call.shape)


def _einsum(call: Call) -> Tensor:
    return call.trace.einsum(str(call.get(0)), call.tensors(), call.shape)


def _attention(call: Call) -> Tensor:
    mask = call.tensor(3, "attn_mask")
    return call.trace.attention(call.need(0), call.need(1), call.need(2), mask, call.shape)


def _batch_norm(call: Call) -> Tensor:
    affine = [t for t in (call.tensor(1, "weight"), call.tensor(2, "bias")) if t is not None]
    x = call.trace.add("affine", [call.x(), *affine], call.shape, label="batch_norm")
    if "batch_norm" in call.op and isinstance(call.step.result, list):
        return [x] * len(call.step.result)  # type: ignore[return-value]
    return x


def _layer_norm(call: Call) -> Any:
    rms = "rms" in call.op
    shape = call.get(1, "normalized_shape") or [1]
    affine = (call.tensor(2, "weight"), None if rms else call.tensor(3, "bias"))
    x = call.x()
    op = "rms_norm" if rms else "layer_norm"
    x = call.trace.norm(op, x, affine, channels=math.prod(shape))
    return [x] * len(call.step.result) if isinstance(call.step.result, list) else x


def _group_norm(call: Call) -> Tensor:
    if call.op == "instance_norm":
        affine, groups = (call.tensor(1), call.tensor(2)), call.x().shape[1]
    else:
        affine, groups = (call.tensor(2, "weight"), call.tensor(3, "bias")), call.get(1)
    return call.trace.norm("group_norm", call.x(), affine, groups=groups)


def _prelu(call: Call) -> Tensor:
    weight = call.tensor(1)
    operands = [call.x()] + ([weight] if weight else [])
    return call.trace.add("prelu", operands, call.shape)


def _hardtanh(call: Call) -> Tensor:
    return call.trace.clip(call.x(), call.get(1, "min_val", -1.0), call.get(2, "max_val", 1.0))


def _clamp(call: Call) -> Tensor:
    if call.op == "clamp_min":
        low, high = call.get(1), None
    elif call.op == "clamp_max":
        low, high = None, call.get(1)
    else:
        low, high = call.get(1, "min"), call.get(2, "max")
    bounds = [b if isinstance(b, (int, float)) else None for b in (low, high)]
    if any(isinstance(b, Ref) for b in (low, high)):
        return call.trace.unary("clip", call.x())
    return call.trace.clip(call.x(), *bounds)


def _threshold(call: Call) -> Tensor:
    return call.trace.clip(call.x(), 0 if call.get(1) == 0 else None, None)


def _pow(call: Call) -> Tensor:
    exponent = call.get(1)
    x = call.x()
    if x.constant:
        exponential = call.tensor(1, "exponent")
        return call.trace.unary("exp", exponential) if exponential else x
    if exponent == 1:
        return x
    return call.trace.unary("pow", x, value=exponent if isinstance(exponent, (int, float)) else 0.0)


def _neg(call: Call) -> Tensor:
    return call.trace.unary("scalar", call.x(), label="mul", value=-1.0)


def _pool(call: Call) -> Any:
    rank = int(call.op.split("pool")[1][0])
    op = "max_pool" if "max" in call.op else "avg_pool"
    kernel = call.numbers(1, "kernel_size", rank)
    stride = call.numbers(2, "stride", rank) if call.get(2, "stride") else kernel
    dilation = call.numbers(4, "dilation", rank) if op == "max_pool" else []
    result = call.trace.pool(op, call.x(), call.shape, kernel, stride, dilation)
    return [result, result] if isinstance(call.step.result, list) else result


def _adaptive_pool(call: Call) -> Any:
    rank = int(call.op.split("pool")[1][0])
    op = "max_pool" if "max" in call.op else "avg_pool"
    result = call.trace.adaptive_pool(op, call.x(), call.shape, rank)
    return [result, result] if isinstance(call.step.result, list) else result


def _cat(call: Call) -> Tensor:
    parts = [t for item in call.get(0, "tensors") if (t := call.lookup(item)) is not None]
    return call.trace.concat([t for t in parts if t.size], call.shape)


def _embedding(call: Call) -> Tensor:
    return call.trace.embedding(call.need(0), call.need(1), call.shape)


def _index(call: Call) -> Tensor:
    """Indexing by constants is a slice, of a table by an activation an embedding."""
    x = call.x()
    chosen = call.get(2 if call.op in ("gather", "index_select") else 1)
    refs = chosen if isinstance(chosen, list) else [chosen]
    indices = [t for item in refs if isinstance(item, Ref) and (t := call.lookup(item)) is not None]
    if all(t.constant for t in indices):
        return call.trace.part(x, call.shape)
    if x.constant and x.sources:
        live = next(t for t in indices if not t.constant)
        return call.trace.embedding(x, live, call.shape)
    return call.trace.add("gather", [x, *indices], call.shape)


def _where(call: Call) -> Tensor:
    condition, a, b = call.tensor(0), call.tensor(1), call.tensor(2)
    choices = [t for t in (a, b) if t is not None]
    if call.op == "masked_fill":
        condition, choices = call.tensor(1), [call.x()]
    if condition is not None and not condition.constant and len(choices) > 1:
        live = [t for t in choices if not t.constant]
        if len(live) > 1:
            return call.trace.add("select", live, call.shape)
    return call.trace.select(choices, call.shape)


def _addcmul(call: Call) -> Tensor:
    product = call.trace.binary("mul", call.need(1), call.need(2), call.shape)
    return call.trace.binary("add", call.x(), product, call.shape)


def _lerp(call: Call) -> Tensor:
    return call.trace.binary("add", call.x(), call.need(1), call.shape)


def _resize(call: Call) -> Tensor:
    x = call.x()
    if call.shape == x.shape:
        return x
    return call.trace.add(
        "resize", [x], call.shape, channels=call.shape[1], extent=triple(call.shape[2:])
    )


def _copy(call: Call) -> Tensor:
    """Nothing of what was there before is left."""
    source = call.tensor(1, "src")
    if source is None or source.constant:
        return constants(call, [source] if source else [])
    if source.size == math.prod(call.shape):
        return call.trace.view(source, call.shape)
    return call.trace.add("slice", [source], call.shape)


def _glu(call: Call) -> Tensor:
    return call.trace.add("glu", [call.x()], call.shape)


def _recurrent(call: Call) -> list[Tensor]:
    """Arguments: input, states, weights, biases, layers, dropout, training, directions, order."""
    weights = [t for item in call.get(2) if (t := call.lookup(item)) is not None]
    matrices = [t for t in weights if len(t.shape) > 1]
    shapes = [s.dims if s is not None else () for s in call.step.result]
    x = call.x()
    batch_first = isinstance(call.get(8), bool) and call.get(8)
    op = call.op.split("_")[0]
    result = call.trace.recurrent(
        op if op in ("lstm", "gru") else "rnn",
        x,
        matrices,
        [t for t in weights if len(t.shape) == 1],
        call.shape,
        (x.shape[-1], call.shape[-1]),
        x.shape[1 if batch_first else 0],
    )
    return [result, *(call.trace.part(result, s) for s in shapes[1:])]


def _factory(call: Call) -> Tensor:
    """Tensors made like another one do not depend on its numbers."""
    return constants(call, [])


def _nothing(call: Call) -> None:
    return None


RULES: dict[str, Callable[[Call], Any]] = {
    **dict.fromkeys(_UNARY, _unary),
    **dict.fromkeys(_VIEWS, _resized),
    **dict.fromkeys(PARTS, _part),
    **dict.fromkeys(_BINARY, _binary),
    **dict.fromkeys(_REDUCE, _reduced),
    **dict.fromkeys(
        ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
         "convolution", "_convolution"), _conv),
    **dict.fromkeys(("bmm", "matmul", "mm", "mv", "linalg_matmul", "dot"), _matmul),
    **dict.fromkeys(("addmm", "baddbmm"), _addmm),
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training", "native_batch_norm",
                     "cudnn_batch_norm"), _batch_norm),
    **dict.fromkeys(("layer_norm", "native_layer_norm", "rms_norm", "_fused_rms_norm"),
                    _layer_norm),
    **dict.fromkeys(("group_norm", "instance_norm"), _group_norm),
    **dict.fromkeys(("clamp", "clip", "clamp_min", "clamp_max"), _clamp),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d",
                     "max_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices"), _pool),
    **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
                     "_adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d"),
                    _adaptive_pool),
    **dict.fromkeys(("cat", "stack", "concat", "concatenate", "hstack", "vstack"), _cat),
    **dict.fromkeys(("index", "index_select", "gather", "take", "take_along_dim"), _index),
    **dict.fromkeys(("where", "masked_fill"), _where),
    **dict.fromkeys(("upsample_nearest1d", "upsample_nearest2d", "upsample_bilinear2d",
                     "upsample_bicubic2d", "upsample_nearest3d", "upsample_trilinear3d",
                     "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", "upsample_linear1d",
                     "_upsample_nearest_exact2d"), _resize),
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), _recurrent),
    **dict.fromkeys(("_assert_tensor_metadata", "_assert_async", "_assert_scalar", "sym_size",
                     "_log_api_usage_once"), _nothing),
    **dict.fromkeys(("new_zeros", "new_ones", "new_full", "new_empty", "zeros_like", "ones_like",
                     "full_like", "empty_like", "rand_like", "randn_like"), _factory),
    "linear": _linear,
    "einsum": _einsum,
    "scaled_dot_product_attention": _attention,
    "prelu": _prelu,
    "_prelu_kernel": _prelu,
    "hardtanh": _hardtanh,
    "threshold": _threshold,
    "pow": _pow,
    "neg": _neg,
    "embedding": _embedding,
    "addcmul": _addcmul,
    "lerp": _lerp,
    **dict.fromkeys(("copy", "fill", "zero", "normal", "uniform"), _copy),
    "glu": _glu,
}  # fmt: skip
