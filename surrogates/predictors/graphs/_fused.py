"""Activations as attributes of the operators before or after them: fewer nodes, same network."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.graph import ComputeGraph
from archcast.encoders.ops import GROUPS, OP_ID

IntArray = NDArray[np.int64]

#: Elementwise and without weights.
_PLAIN: Final = np.array(
    [OP_ID[op] for op in GROUPS["activation"] if op not in {"prelu", "softmax", "glu"}]
)


def fuse(graph: ComputeGraph) -> tuple[IntArray, IntArray, IntArray]:
    """Take activations out of a graph, without losing which and where they were.

    An activation that alone uses its input becomes that operator's ``after``; one whose users have
    no other input becomes the ``before`` of all of them; any other stays a node. A third of a
    typical convolutional network's operators go, and messages reach a third farther.

    Args:
        graph: N operators, E edges.

    Returns:
        The (n,) operators that stay, (e, 2) edges between them (numbered from 0 to n - 1), and
        (n, 2) operator ids plus one of the activations before and after each; 0 for none.
    """
    count = len(graph)
    edges = graph.edges.astype(np.int64)
    into = np.bincount(edges[:, 1], minlength=count)
    out = np.bincount(edges[:, 0], minlength=count)
    plain = np.isin(graph.op, _PLAIN) & (into == 1) & (out > 0)
    source = np.zeros(count, np.int64)
    source[edges[:, 1]] = edges[:, 0]  # of nodes with one input
    after = plain & (out[source] == 1) & ~plain[source]
    # Users that cannot carry it: they have other inputs, or go themselves.
    unfit = np.zeros(count, np.int64)
    np.add.at(unfit, edges[:, 0], (into[edges[:, 1]] != 1) | plain[edges[:, 1]])
    before = plain & ~after & (unfit == 0) & ~plain[source]
    gone = after | before
    fused = np.zeros((count, 2), np.int64)
    fused[source[after], 1] = graph.op[after] + 1
    carriers = edges[before[edges[:, 0]]]
    fused[carriers[:, 1], 0] = graph.op[carriers[:, 0]] + 1
    stay = np.flatnonzero(~gone)
    number = np.cumsum(~gone) - 1
    kept = edges[~gone[edges[:, 1]]]
    kept[:, 0] = np.where(gone[kept[:, 0]], source[kept[:, 0]], kept[:, 0])
    return stay, number[kept], fused[stay]
