"""Proxies that are read off the graph: no weights, no data, no forward pass.

They are the yardstick for all others: a proxy that ranks architectures worse than their number of
trainable layers earns nothing. Higher is better for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.graph import ComputeGraph
from archcast.encoders.ops import GROUPS, OP_ID

FloatArray = NDArray[np.float64]

_TRAINABLE: Final = [
    OP_ID[op] for group in ("conv", "linear", "recurrent", "embedding") for op in GROUPS[group]
]


def params(graph: ComputeGraph) -> float:
    """Elements of all kernels and matrices, the same however norms and biases are stored."""
    return float(graph.op_weights.sum())


def macs(graph: ComputeGraph) -> float:
    """Multiply-accumulate operations for one sample."""
    return float(graph.macs)


def trainable_layers(graph: ComputeGraph) -> float:
    """Convolutions, linear, recurrent and embedding layers on a path from input to output."""
    return float(np.isin(graph.op, _TRAINABLE).sum())


#: Name -> proxy.
STATIC: Final[dict[str, Callable[[ComputeGraph], float]]] = {
    "params": params,
    "macs": macs,
    "trainable_layers": trainable_layers,
}


def score(
    graphs: Sequence[ComputeGraph], proxies: Sequence[str] = tuple(STATIC)
) -> dict[str, FloatArray]:
    """Score architectures.

    Args:
        graphs: N architectures.
        proxies: names in :data:`STATIC`.

    Returns:
        Name -> (N,) scores.

    Raises:
        KeyError: no such proxy.
    """
    return {name: np.array([STATIC[name](graph) for graph in graphs]) for name in proxies}
