"""The families of columns; each takes a union of G graphs and yields ``name -> (G,)``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from archcast.encoders.tabular._paths import sweep
from archcast.encoders.tabular._union import KINDS, WEIGHTED, BoolArray, FloatArray, Union

Column = tuple[str, FloatArray]

_CONVOLUTION = ("spatial", "grouped", "depthwise")
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
#: Sets of kinds that paths are measured in.
_SETS: dict[str, tuple[str, ...]] = {
    "weighted": WEIGHTED,
    "window": _CONVOLUTION,
    "spatial": ("spatial",),
    "depthwise": ("depthwise",),
    "pointwise": ("pointwise",),
    "attention": ("attention",),
    "norm": ("norm",),
    "activation": ("activation",),
    "pool": ("pool",),
    "window_pool": (*_CONVOLUTION, "pool"),
    "pointwise_pool": ("pointwise", "pool"),
    "conv_pool": (*_CONVOLUTION, "pointwise", "pool"),
    "mul": ("mul",),
    "join": ("add", "concat"),
}
_FEEDING = (
    *_CONVOLUTION,
    "pointwise",
    "attention",
    "norm",
    "activation",
    "pool",
    "add",
    "concat",
    "mul",
)
STAGES = 7


def ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """``part / whole``, 0 where the whole is 0."""
    return part / np.where(whole == 0, 1.0, whole)


def log(values: FloatArray) -> FloatArray:
    """log2(1 + values)."""
    return np.log2(1.0 + values)


def sizes(union: Union) -> Iterator[Column]:
    """Weights, operations, activations, memory, and their ratios."""
    weighted = union.are(*WEIGHTED, "embedding")
    conv_or_linear = union.are(*_CONVOLUTION, "pointwise", "fc")
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
    point, conv = union.are("pointwise"), union.are(*_CONVOLUTION)
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


def stages(union: Union) -> Iterator[Column]:
    """What happens at each resolution; stage s works at 1 / 2^s of the input's side."""
    stage = np.clip(np.rint(union.fold), 0, STAGES - 2)
    stage = np.where(union.area == 1, STAGES - 1, stage)
    weighted, attention = union.are(*WEIGHTED), union.are("attention")
    window, width = union.are(*_CONVOLUTION), np.log2(np.maximum(union.leave, 1))
    at = [stage == s for s in range(STAGES)]
    layers = union.sums([m & weighted for m in at])
    macs = union.sums([union.macs * m for m in at])
    weights = union.sums([union.weights * m for m in at])
    windows = union.sums([m & window for m in at])
    attentions = union.sums([m & attention for m in at])
    widest = union.maxima([width * (m & weighted) for m in at])
    elements = union.sums([union.elements * m for m in at])
    for s in range(STAGES):
        yield f"stage{s}_layers", log(layers[s])
        yield f"stage{s}_macs", ratio(macs[s], macs.sum(0))
        yield f"stage{s}_weights", ratio(weights[s], weights.sum(0))
        yield f"stage{s}_elements", ratio(elements[s], elements.sum(0))
        yield f"stage{s}_width", widest[s]
        if s < STAGES - 1:
            yield f"stage{s}_windows", ratio(windows[s], layers[s])
            yield f"stage{s}_attention", ratio(attentions[s], layers[s])
    busy = np.arange(STAGES)[:, None]
    yield "mean_stage_by_macs", ratio((macs * busy).sum(0), macs.sum(0))
    yield "mean_stage_by_layers", ratio((layers * busy).sum(0), layers.sum(0))
    yield "stages_used", (layers[:-1] > 0).sum(0).astype(np.float64)
    yield "depth_imbalance", ratio(layers[:-1].max(0), layers[:-1].sum(0))
    at_once = union.maxima([np.where(union.area > 1, union.fold, 0.0)])[0]
    yield "total_fold", at_once
    yield "log_final_area", np.log2(union.inputs[:, 0]) - 2 * at_once


def ends(union: Union) -> Iterator[Column]:
    """The stem (first layer with weights) and the head (last one)."""
    weighted = union.are(*WEIGHTED, "embedding")
    for name, sign in (("stem", 1), ("head", -1)):
        node = _extreme(union, sign * union.depth, weighted)
        found = weighted[node].astype(np.float64)
        if name == "stem":
            yield "stem_kernel", union.reach[node] * found
            yield "stem_stride", union.step[node] * found
            yield "stem_overlap", ratio(union.reach[node], union.step[node]) * found
        yield f"{name}_log_enter", log(union.enter[node] * found)
        yield f"{name}_log_leave", log(union.leave[node] * found)
        yield f"{name}_weights", ratio(union.weights[node] * found, union.sums([union.weights])[0])
        yield f"{name}_log_area", np.log2(union.area[node]) * found


def _extreme(union: Union, key: FloatArray | np.ndarray, mask: BoolArray) -> np.ndarray:
    """(G,) the node of least key among the masked ones of each graph, ties to the widest."""
    key = np.where(mask, key, np.iinfo(np.int32).max)
    order = np.lexsort((-union.macs, key, union.graph))
    return order[union.starts]


def topology(union: Union) -> Iterator[Column]:
    """Degrees, skips and spans."""
    n = len(union.op)
    source, target = union.edges.T
    out = np.bincount(source, minlength=n).astype(np.float64)
    into = np.bincount(target, minlength=n).astype(np.float64)
    span = np.bincount(target, union.depth[target] - union.depth[source] - 1, minlength=n)
    add, concat, mul = union.are("add"), union.are("concat"), union.are("mul")
    inner = union.kind != KINDS.index("io")
    entry, leave = union.is_op("input"), union.is_op("output")
    total = union.sums(
        [
            inner, out * inner, into * inner, (out > 1) & inner, span, span > 0,
            add, into * add, span * add, concat, into * concat, span * concat,
            mul, span * mul, entry, leave, out * entry, into * leave,
        ]
    )  # fmt: skip
    top = union.maxima([out * inner, into * add, into * concat, span])
    yield "mean_out_degree", ratio(total[1], total[0])
    yield "mean_in_degree", ratio(total[2], total[0])
    yield "branching", ratio(total[3], total[0])
    yield "mean_span", ratio(total[4], total[5])
    yield "add_operands", ratio(total[7], total[6])
    yield "add_span", ratio(total[8], total[6])
    yield "concat_operands", ratio(total[10], total[9])
    yield "concat_span", ratio(total[11], total[9])
    yield "mul_span", ratio(total[13], total[12])
    yield "inputs", total[14]
    yield "outputs", total[15]
    yield "input_degree", total[16]
    yield "output_degree", total[17]
    yield "largest_out_degree", log(top[0])
    yield "largest_add", top[1]
    yield "largest_concat", log(top[2])
    yield "longest_span", log(top[3])


def pairs(union: Union) -> Iterator[Column]:
    """What flows into joins, and what branches feed: mean number of edges between two kinds."""
    k = len(KINDS)
    source, target = union.kind[union.edges.T].astype(np.int64)
    code = (union.graph[union.edges[:, 1]] * k + source) * k + target
    edges = np.bincount(code, minlength=union.count * k * k).reshape(-1, k, k).astype(np.float64)
    number = union.sums([union.kind == index for index in range(k)])
    for into in ("add", "concat", "mul"):
        for name in _FEEDING:
            share = ratio(edges[:, KINDS.index(name), KINDS.index(into)], number[KINDS.index(into)])
            yield f"{name}_into_{into}", share
    for name in ("add", "activation", "pool"):
        for into in ("spatial", "pointwise", "pool", "add"):
            share = ratio(edges[:, KINDS.index(name), KINDS.index(into)], number[KINDS.index(name)])
            yield f"{name}_feeds_{into}", share


def paths(union: Union) -> Iterator[Column]:
    """Longest, shortest and mean path of every set of kinds, receptive field, number of paths."""
    mask = np.array([union.are(*kinds) for kinds in _SETS.values()], np.float64).T
    field = _field(union)
    longest = np.concatenate([mask, -mask, field[:, None], np.ones((len(field), 1))], 1)
    weighted, active = mask[:, 0], mask[:, list(_SETS).index("activation")]
    pool, pointwise = union.are("pool"), union.are("pointwise")
    runs = np.stack([weighted, active, pool, pointwise], 1, dtype=np.float64)
    breaks = np.stack([active, weighted, weighted, union.are(*_CONVOLUTION)], 1) > 0
    result = sweep(union, longest, runs, breaks, np.concatenate([mask, field[:, None]], 1))
    k = mask.shape[1]
    leave = union.is_op("output")
    closed = np.where(leave[:, None], result.longest, -np.inf).T
    best = union.maxima(list(closed))
    best[~np.isfinite(best)] = 0.0
    walk = union.sums(list((result.walk * leave[:, None]).T)) / np.maximum(union.sums([leave]), 1)
    side = np.sqrt(union.inputs[:, 0])
    for i, name in enumerate(_SETS):
        yield f"longest_{name}", log(np.maximum(best[i], 0))
        yield f"shortest_{name}", log(np.maximum(-best[k + i], 0))
        yield f"walk_{name}", log(walk[i])
    yield "log_field", log(best[2 * k])
    yield "field_per_side", ratio(best[2 * k], side)
    yield "walk_field_per_side", ratio(walk[k], side)
    yield "log_depth", log(best[2 * k + 1])
    yield "shortcut", ratio(-best[k], best[0])
    run = union.maxima(list(result.runs.T))
    for i, name in enumerate(("linear", "activation", "pool", "pointwise")):
        yield f"longest_{name}_run", log(run[i])
    yield "log_paths", log(union.maxima([np.where(leave, result.log_count, 0.0)])[0])


def _field(union: Union) -> FloatArray:
    """(n,) how far a node looks beyond its own position, in input pixels along one side."""
    side = np.sqrt(union.inputs[union.graph, 0])
    jump = np.minimum(2.0**union.fold / union.step, side)
    look = (union.reach - 1) * union.dilation * jump
    whole = union.are("attention", "global_pool")
    return np.minimum(np.where(whole, side, look), side)


FAMILIES = (sizes, counts, widths, stages, ends, topology, pairs, paths)
