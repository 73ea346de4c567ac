"""Proxies that are read off the graph: no weights, no data, no forward pass.

They are the yardstick for all others: a proxy that ranks architectures worse than their number of
trainable layers earns nothing. Higher is better for each.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from archcast.encoders.graph import ComputeGraph
from archcast.encoders.ops import GROUPS, OP_ID

_TRAINABLE: Final = [
    OP_ID[op] for group in ("conv", "linear", "recurrent", "embedding") for op in GROUPS[group]
]


def params(graph: ComputeGraph) -> float:
    """Elements of all kernels and matrices, the same however norms and biases are stored.

    Tables that attention or a product reads, such as relative positions, do not count: a graph
    has them as large as they are when spread over all pairs of positions.
    """
    return float(graph.op_weights[np.isin(graph.op, _TRAINABLE)].sum())


def flops(graph: ComputeGraph) -> float:
    """Floating-point operations for one sample: two for each multiply-accumulate."""
    return 2.0 * graph.macs


def trainable_layers(graph: ComputeGraph) -> float:
    """Convolutions, linear, recurrent and embedding layers on a path from input to output."""
    return float(np.isin(graph.op, _TRAINABLE).sum())
