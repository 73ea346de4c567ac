"""What a network's latency and energy are about linear in: its operators, by kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.graph import ComputeGraph
from archcast.encoders.ops import GROUPS, OP_ID, OPS

FloatArray = NDArray[np.float64]

#: Kinds of operators that run alike on a device. Convolutions are told apart by window and groups.
KINDS: Final = (
    "conv_point", "conv_window", "conv_grouped", "conv_depthwise", "linear", "attention",
    "norm", "activation", "pool", "add", "mul", "other",
)  # fmt: skip
#: What is summed over the operators of a kind.
AMOUNTS: Final = ("count", "elements", "macs", "weights")
_SAME: Final = ("linear", "attention", "norm", "activation", "pool", "add", "mul")
_CONV: Final = tuple(OP_ID[op] for op in GROUPS["conv"])
_IO: Final = tuple(OP_ID[op] for op in GROUPS["io"])


def _kind_of() -> NDArray[np.intp]:
    found = np.full(len(OPS), KINDS.index("other"))
    for group in _SAME:
        for op in GROUPS[group]:
            found[OP_ID[op]] = KINDS.index(group)
    return found


_KIND_OF: Final = _kind_of()


def operator_costs(graphs: Sequence[ComputeGraph]) -> FloatArray:
    """Numbers, written elements, multiply-accumulates and weights of the operators of each kind.

    Args:
        graphs: n architectures.

    Returns:
        (n, K) sums, kind by kind in the order of :data:`KINDS`, each in the order of
        :data:`AMOUNTS`; for one sample.
    """
    width = len(KINDS) * len(AMOUNTS)
    if not graphs:
        return np.zeros((0, width))
    op, groups, inside, outside, macs, weights = (
        np.concatenate([getattr(g, name) for g in graphs])
        for name in ("op", "groups", "channels_in", "channels_out", "op_macs", "op_weights")
    )
    kernel, extent = (
        np.concatenate([getattr(g, name) for g in graphs]).astype(np.float64)
        for name in ("kernel", "extent")
    )
    kind = _KIND_OF[op]
    conv = np.isin(op, _CONV)
    depthwise, grouped = (groups > 1) & (groups >= inside), groups > 1
    window = kernel.prod(1) > 1
    kind[conv] = np.select([depthwise, grouped, window], [3, 2, 1], 0)[conv]
    # Operators without weights pass their channels on, some spaces leave one of the two out.
    elements = np.maximum(inside, outside).astype(np.float64)
    elements = np.where(outside > 0, outside, elements) * extent.prod(1)
    row = np.repeat(np.arange(len(graphs)), [len(g) for g in graphs])
    real = ~np.isin(op, _IO)
    place = (row * len(KINDS) + kind)[real]
    amounts = (np.ones(len(op)), elements, macs, weights)
    sums = [
        np.bincount(place, np.asarray(amount, np.float64)[real], len(graphs) * len(KINDS))
        for amount in amounts
    ]
    return np.stack(sums, 1).astype(np.float64).reshape(len(graphs), width)
