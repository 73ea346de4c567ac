"""The families of columns; each takes a union of G graphs and yields ``name -> (G,)``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from archcast.encoders.tabular._union import KINDS, WEIGHTED, FloatArray, Union

Column = tuple[str, FloatArray]

CONVOLUTION = ("spatial", "grouped", "depthwise")
_COUNTED_OPS = (
    ("relu",),
    ("relu6",),
    ("hard_swish", "hard_sigmoid"),
    ("leaky_relu", "prelu", "elu", "selu", "celu"),
    ("gelu",),
    ("silu", "mish"),
    ("sigmoid",),
    ("tanh",),
    ("softmax",),
    ("glu",),
    ("affine",),
    ("layer_norm",),
    ("rms_norm", "l2_norm"),
    ("group_norm",),
    ("local_response_norm",),
    ("max_pool",),
    ("avg_pool",),
    ("matmul",),
    ("resize",),
)


def ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """``part / whole``, 0 where the whole is 0."""
    return part / np.where(whole == 0, 1.0, whole)


def log(values: FloatArray) -> FloatArray:
    """log2(1 + values)."""
    return np.log2(1.0 + values)


def sizes(union: Union) -> Iterator[Column]:
    """Weights, operations, activations, memory, and their ratios."""
    weighted = union.are(*WEIGHTED, "embedding")
    conv_or_linear = union.are(*CONVOLUTION, "pointwise", "fc")
    total = union.sums(
        [
            union.weights,
            union.macs,
            union.elements * conv_or_linear,
            union.elements,
            weighted,
            np.ones(len(union.op)),
        ]
    )
    weights, macs, written, moved, layers, nodes = total
    peak, widest, largest, busiest = union.maxima(
        [union.elements, union.leave * weighted, union.weights, union.macs]
    )
    area, channels = union.inputs.T
    yield "log_weights", log(weights)
    yield "log_macs", log(macs)
    yield "log_written", log(written)
    yield "log_moved", log(moved)
    yield "log_peak", log(peak)
    yield "log_layers", log(layers)
    yield "log_nodes", log(nodes)
    yield "log_widest", log(widest)
    yield "largest_layer", ratio(largest, weights)
    yield "busiest_layer", ratio(busiest, macs)
    yield "log_macs_per_weight", log(macs) - log(weights)
    yield "log_written_per_mac", log(written) - log(macs)
    yield "log_macs_per_pixel", log(macs) - np.log2(area)
    yield "log_written_per_pixel", log(written) - np.log2(area)
    yield "log_weights_per_layer", log(weights) - log(layers)
    yield "log_macs_per_layer", log(macs) - log(layers)
    yield "log_input_side", 0.5 * np.log2(area)
    yield "input_channels", channels


def counts(union: Union) -> Iterator[Column]:
    """How many operators there are of each kind, and their shares of the totals."""
    masks = [union.kind == index for index in range(len(KINDS) - 1)]
    number = union.sums(masks)
    macs = union.sums([union.macs * m for m in masks[:6]])
    weights = union.sums([union.weights * m for m in masks[:6]])
    elements = union.sums([union.elements * m for m in masks])
    for k, name in enumerate(KINDS[:-1]):
        yield f"count_{name}", log(number[k])
        yield f"elements_{name}", ratio(elements[k], elements.sum(0))
    for k, name in enumerate(KINDS[:6]):
        yield f"macs_{name}", ratio(macs[k], macs.sum(0))
        yield f"weights_{name}", ratio(weights[k], weights.sum(0))
    layers = number[: len(WEIGHTED)].sum(0)
    for name in ("norm", "activation", "pool", "add", "mul", "concat", "attention"):
        yield f"{name}_per_layer", ratio(number[KINDS.index(name)], layers)
    of_op = union.sums([union.is_op(*ops) for ops in _COUNTED_OPS])
    for k, ops in enumerate(_COUNTED_OPS):
        yield f"count_{ops[0]}", log(of_op[k])
        yield f"{ops[0]}_per_layer", ratio(of_op[k], layers)


def widths(union: Union) -> Iterator[Column]:
    """Channels: how wide, how they grow, how blocks widen and narrow inside."""
    weighted = union.are(*WEIGHTED)
    point, conv = union.are("pointwise"), union.are(*CONVOLUTION)
    grouped, attention = union.are("grouped"), union.are("attention")
    depthwise = union.are("depthwise")
    change = np.log2(np.maximum(union.leave, 1) / np.maximum(union.enter, 1))
    width = np.log2(np.maximum(union.leave, 1))
    per_group = np.log2(np.maximum(union.enter / np.maximum(union.groups, 1), 1))
    head_size = np.log2(np.maximum(union.leave / union.heads, 1))
    tokens = np.log2(union.area)
    total = union.sums(
        [
            weighted, union.macs * weighted, width * weighted, width * union.macs * weighted,
            point, change * point, np.abs(change) * point,
            conv, union.reach * conv, union.reach * union.macs * conv, union.macs * conv,
            grouped, per_group * grouped,
            attention, union.heads * attention, head_size * attention, tokens * attention,
            depthwise, union.reach * depthwise, (union.dilation > 1) * conv,
        ]
    )  # fmt: skip
    top = union.maxima(
        [
            change * point, -change * point, union.reach * conv, union.reach * depthwise,
            union.heads * attention, tokens * attention, union.groups * grouped,
        ]
    )  # fmt: skip
    yield "mean_width", ratio(total[2], total[0])
    yield "mean_width_by_macs", ratio(total[3], total[1])
    yield "mean_change", ratio(total[5], total[4])
    yield "mean_abs_change", ratio(total[6], total[4])
    yield "largest_expansion", top[0]
    yield "largest_squeeze", top[1]
    yield "mean_kernel", ratio(total[8], total[7])
    yield "mean_kernel_by_macs", ratio(total[9], total[10])
    yield "largest_kernel", top[2]
    yield "largest_depthwise_kernel", top[3]
    yield "mean_depthwise_kernel", ratio(total[18], total[17])
    yield "mean_group_width", ratio(total[12], total[11])
    yield "largest_groups", log(top[6])
    yield "mean_heads", ratio(total[14], total[13])
    yield "largest_heads", top[4]
    yield "mean_head_size", ratio(total[15], total[13])
    yield "mean_tokens", ratio(total[16], total[13])
    yield "largest_tokens", top[5]
    yield "dilated", ratio(total[19], total[7])
