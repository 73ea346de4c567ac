"""Columns of shape and connection; like :mod:`archcast.encoders.tabular._columns`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from archcast.encoders.tabular._columns import CONVOLUTION, Column, log, ratio
from archcast.encoders.tabular._paths import sweep
from archcast.encoders.tabular._union import KINDS, WEIGHTED, BoolArray, FloatArray, Union

#: Sets of kinds that paths are measured in.
_SETS: dict[str, tuple[str, ...]] = {
    "weighted": WEIGHTED,
    "window": CONVOLUTION,
    "spatial": ("spatial",),
    "depthwise": ("depthwise",),
    "pointwise": ("pointwise",),
    "attention": ("attention",),
    "norm": ("norm",),
    "activation": ("activation",),
    "pool": ("pool",),
    "window_pool": (*CONVOLUTION, "pool"),
    "pointwise_pool": ("pointwise", "pool"),
    "conv_pool": (*CONVOLUTION, "pointwise", "pool"),
    "mul": ("mul",),
    "join": ("add", "concat"),
}
_FEEDING = (
    *CONVOLUTION,
    "pointwise",
    "attention",
    "norm",
    "activation",
    "pool",
    "add",
    "concat",
    "mul",
)
#: Resolutions told apart: full, 1/2, …, 1/32 and below, and a single position.
_STAGES = 7


def stages(union: Union) -> Iterator[Column]:
    """What happens at each resolution; stage s works at 1 / 2^s of the input's side."""
    stage = np.clip(np.rint(union.fold), 0, _STAGES - 2)
    stage = np.where(union.area == 1, _STAGES - 1, stage)
    weighted, attention = union.are(*WEIGHTED), union.are("attention")
    window, width = union.are(*CONVOLUTION), np.log2(np.maximum(union.leave, 1))
    at = [stage == s for s in range(_STAGES)]
    layers = union.sums([m & weighted for m in at])
    macs = union.sums([union.macs * m for m in at])
    weights = union.sums([union.weights * m for m in at])
    windows = union.sums([m & window for m in at])
    attentions = union.sums([m & attention for m in at])
    widest = union.maxima([width * (m & weighted) for m in at])
    elements = union.sums([union.elements * m for m in at])
    for s in range(_STAGES):
        yield f"stage{s}_layers", log(layers[s])
        yield f"stage{s}_macs", ratio(macs[s], macs.sum(0))
        yield f"stage{s}_weights", ratio(weights[s], weights.sum(0))
        yield f"stage{s}_elements", ratio(elements[s], elements.sum(0))
        yield f"stage{s}_width", widest[s]
        if s < _STAGES - 1:
            yield f"stage{s}_windows", ratio(windows[s], layers[s])
            yield f"stage{s}_attention", ratio(attentions[s], layers[s])
    busy = np.arange(_STAGES)[:, None]
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
    breaks = np.stack([active, weighted, weighted, union.are(*CONVOLUTION)], 1) > 0
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
