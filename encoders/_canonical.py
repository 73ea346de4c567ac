"""Colours, canonical order and content hash of a directed acyclic graph.

Every node gets a 64-bit colour from its attributes, everything that leads to it and everything
that follows it (a Weisfeiler-Lehman refinement that is complete after one pass each way on a
DAG's unfolding). The multiset of colours names the graph, whatever order its nodes came in.

Colours are plain modular arithmetic, so the same numbers come out of Python integers here and
of numpy ``uint64`` arrays in the batched builders of :mod:`archcast.encoders.spaces`.
"""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

MASK = (1 << 64) - 1
FORWARD = 0x9E3779B97F4A7C15
BACKWARD = 0xC2B2AE3D27D4EB4F
_M1 = 0xBF58476D1CE4E5B9
_M2 = 0x94D049BB133111EB


def mix(x: int) -> int:
    """The 64-bit finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    x = ((x ^ (x >> 30)) * _M1) & MASK
    x = ((x ^ (x >> 27)) * _M2) & MASK
    return x ^ (x >> 31)


def mix_array(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """:func:`mix` over an array of ``uint64``."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(_M1)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(_M2)
    return x ^ (x >> np.uint64(31))


def attribute_colours(columns: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Colour rows of node attributes.

    Args:
        columns: (nodes, attributes) integers.

    Returns:
        (nodes,) colours.
    """
    colours = np.zeros(len(columns), np.uint64)
    for k, column in enumerate(columns.T.astype(np.uint64)):
        colours = mix_array(colours + column * np.uint64(FORWARD) + np.uint64(k + 1))
    return colours


def refine(
    attributes: NDArray[np.uint64], edges: NDArray[np.integer]
) -> tuple[list[int], list[int]]:
    """Colour and depth of every node of a DAG.

    Args:
        attributes: (nodes,) colours of the attributes.
        edges: (edges, 2) source and target; nodes must be numbered topologically.

    Returns:
        (nodes,) colours and (nodes,) lengths of the longest path from a source.
    """
    own = attributes.tolist()
    pairs = edges.tolist()
    ahead, depth = [0] * len(own), [0] * len(own)
    forward = own.copy()
    # Sorted by target, every predecessor is final before it is read; by source backwards likewise.
    incoming: list[list[int]] = [[] for _ in own]
    outgoing: list[list[int]] = [[] for _ in own]
    for source, target in pairs:
        incoming[target].append(source)
        outgoing[source].append(target)
    for node, sources in enumerate(incoming):
        total = own[node] + sum(mix(forward[s] ^ FORWARD) for s in sources)
        forward[node] = mix(total & MASK)
        depth[node] = 1 + max((depth[s] for s in sources), default=-1)
    for node in range(len(own) - 1, -1, -1):
        total = own[node] + sum(mix(ahead[t] ^ BACKWARD) for t in outgoing[node])
        ahead[node] = mix(total & MASK)
    return [mix((f + 3 * b) & MASK) for f, b in zip(forward, ahead, strict=True)], depth


def content_hash(colours: NDArray[np.uint64], edges: int) -> str:
    """32 hexadecimal digits that name a graph by its colours and number of edges."""
    data = np.sort(colours).astype("<u8").tobytes()
    return blake2b(data, digest_size=16, salt=edges.to_bytes(8, "little")).hexdigest()
