"""Columns of what reaches the output: operators count by how much of the signal goes through them.

A network at random initialisation is followed without weights: signals that meet in a sum add
their variances, an operator with weights and a norm starts again at variance one, and going back
from the output, every operator gets the share of the output's variance that passed through it (its
*influence*). A 3x3 convolution beside a strong shortcut then counts less than one without, which
plain counts cannot say, and the numbers mean the same in every search space.

The picture is the mean-field one of Schoenholz et al., "Deep Information Propagation", ICLR 2017,
and of Yang and Schoenholz, "Mean Field Residual Networks: On the Edge of Chaos", NeurIPS 2017;
independent branches and the fixed factors below are our simplification.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from archcast.encoders.tabular._columns import CONVOLUTION, Column, log, ratio
from archcast.encoders.tabular._paths import Levels, levels
from archcast.encoders.tabular._union import WEIGHTED, FloatArray, Union

#: What an activation, or the mean over a window, leaves of a signal's variance.
_KEPT: Final = 0.5
#: Stages told apart; as in the columns of stages, without the single position.
_STAGES: Final = 6
_TINY: Final = 1e-300


def flow(union: Union) -> Iterator[Column]:
    """Influence-weighted counts, sizes and receptive field."""
    power, influence = _influence(union)
    window, pointwise = union.are(*CONVOLUTION), union.are("pointwise")
    weighted, pool = union.are(*WEIGHTED), union.are("pool")
    active = union.are("activation")
    totals: dict[str, FloatArray] = {}
    kinds = {"weighted": weighted, "window": window, "pointwise": pointwise,
             "activation": active, "pool": pool}  # fmt: skip
    for name, mask in kinds.items():
        count, total, root = union.sums([mask, influence * mask, np.sqrt(influence) * mask])
        totals[name] = total
        yield f"flow_{name}", log(total)
        yield f"flow_root_{name}", log(root)
        yield f"flow_{name}_share", ratio(total, count)
    yield from _sizes(union, influence)
    yield from _stages(union, influence, window, window | pointwise)
    yield "flow_add", log(union.sums([influence * union.are("add")])[0])
    yield "flow_effective_layers", log(_effective(union, influence * (window | pointwise)))
    yield from _field(union, influence, window, pool)
    yield "flow_activation_per_layer", ratio(totals["activation"], totals["weighted"])
    layers = totals["window"] + totals["pointwise"]
    yield "flow_pool_ratio", ratio(totals["pool"], layers + totals["pool"])
    yield "flow_window_ratio", ratio(totals["window"], layers)
    loudest = np.where(union.are("add"), np.log2(np.maximum(power, 1e-9)), -30.0)
    yield "flow_loudest_add", union.maxima([loudest])[0]


def _sizes(union: Union, influence: FloatArray) -> Iterator[Column]:
    used, weights = union.sums([influence * union.weights, union.weights])
    work, macs = union.sums([influence * union.macs, union.macs])
    yield "flow_log_weights", log(used)
    yield "flow_log_macs", log(work)
    yield "flow_weights_share", ratio(used, weights)
    yield "flow_macs_share", ratio(work, macs)


def _stages(
    union: Union, influence: FloatArray, window: np.ndarray, layers: np.ndarray
) -> Iterator[Column]:
    """The stage through whose layers least, and most, of the signal goes."""
    stage = np.clip(np.rint(union.fold), 0, _STAGES - 1)
    at = [stage == s for s in range(_STAGES)]
    there = union.sums([m & layers for m in at]) > 0
    for name, mask in (("layers", layers), ("window", window)):
        total = union.sums([influence * (m & mask) for m in at])
        least = np.where(there, total, np.inf).min(0)
        yield f"flow_least_stage_{name}", log(np.where(np.isfinite(least), least, 0.0))
        yield f"flow_most_stage_{name}", log(total.max(0))


def _effective(union: Union, influence: FloatArray) -> FloatArray:
    """(G,) exponential of the entropy of the layers' influence; 0 where there is none."""
    total = union.sums([influence])[0]
    share = influence / np.maximum(total[union.graph], _TINY)
    entropy = union.sums([-share * np.log(np.maximum(share, _TINY))])[0]
    return np.where(total > 0, np.exp(entropy), 0.0)


def _field(
    union: Union, influence: FloatArray, window: np.ndarray, pool: np.ndarray
) -> Iterator[Column]:
    """Spread of the effective receptive field (Luo et al., NeurIPS 2016), in input pixels."""
    jump = 2.0 ** np.maximum(union.fold, 0) / union.step
    variance = (union.reach**2 - 1) / 12 * (union.dilation * jump) ** 2 * influence
    both, alone = union.sums([variance * (window | pool), variance * window])
    yield "flow_field", log(np.sqrt(both))
    yield "flow_window_field", log(np.sqrt(alone))


def _influence(union: Union) -> tuple[FloatArray, FloatArray]:
    """(n,) variance of every operator's output, and its share of the output's variance."""
    order = levels(union)
    power, share = _forward(union, order)
    influence = union.is_op("output")[order.order].astype(np.float64)
    for low, _, first, last in reversed(order.slices):
        if last - first == 1:  # a chain in one graph: no array to speak of
            influence[order.source[first]] += influence[low] * share[first]
            continue
        edges = slice(first, last)
        given = influence[order.target[edges]] * share[edges]
        sources = order.source[edges]
        start = int(sources.min())
        passed = np.bincount(sources - start, given)
        influence[start : start + len(passed)] += passed
    return power[order.place], influence[order.place]


def _forward(union: Union, order: Levels) -> tuple[FloatArray, FloatArray]:
    """Variances in level order, and the share that every edge has in its target."""
    anew = union.are(*WEIGHTED, "norm", "embedding")[order.order]
    added = union.are("add")[order.order]
    joined = union.are("concat")[order.order]
    halved = (union.are("activation") | union.is_op("avg_pool"))[order.order]
    channels = np.maximum(union.leave[order.order], 1.0)
    # A sum adds, a concatenation averages by channels, anything else by operand.
    divisor = np.where(joined, channels, np.where(added, 1.0, np.maximum(order.degree, 1)))
    gain = np.where(halved, _KEPT, 1.0) / divisor
    factor = np.where(joined[order.target], channels[order.source], 1.0)
    power, source = np.ones(len(anew)), order.source
    for low, high, first, last in order.slices:
        if last - first == 1:
            if not anew[low]:
                power[low] = power[source[first]] * factor[first] * gain[low]
            continue
        part = power[source[first:last]] * factor[first:last]
        total = np.add.reduceat(part, order.first[low:high] - first)
        power[low:high] = np.where(anew[low:high], 1.0, total * gain[low:high])
    return power, _shares(power[source] * factor, order)


def _shares(part: FloatArray, order: Levels) -> FloatArray:
    """(e,) what each edge brings to its target, of all that comes there."""
    if not len(part):
        return part
    total = np.ones(len(order.degree))
    fed = order.degree > 0
    total[fed] = np.add.reduceat(part, order.first[fed])
    return part / np.maximum(total[order.target], _TINY)
