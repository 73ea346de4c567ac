"""The 423,624 unique cells of NAS-Bench-101, and the hash it names them by.

The space is walked as the benchmark walked it (vertices, then adjacency, then labels), because
isomorphic cells may differ in how channels are split, and the first one met is the one trained.
Twins are found by refining 64-bit colours of all labelled graphs at once, which draws the same
distinctions as the benchmark's MD5 colours at a hundredth of the cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import md5
from itertools import product
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from archcast.encoders import _canonical

MAX_VERTICES: Final = 7
MAX_EDGES: Final = 9
#: Labels of the operators in the hash are their positions here; input is -1, output -2.
OPERATORS: Final = ("conv3x3", "conv1x1", "maxpool3x3")


class CellTable(NamedTuple):
    """Cells with the same number of vertices.

    Attributes:
        matrices: (N, V, V) upper triangular adjacency.
        labels: (N, V - 2) positions in :data:`OPERATORS` of the inner vertices.
    """

    matrices: NDArray[np.uint8]
    labels: NDArray[np.int8]


def unique_cells() -> Iterator[CellTable]:
    """All unique cells, by number of vertices from 2 to 7, in the benchmark's order."""
    for vertices in range(2, MAX_VERTICES + 1):
        matrices = full_matrices(vertices)
        labels = np.array(list(product(range(len(OPERATORS)), repeat=vertices - 2)), np.int8)
        _, first = np.unique(_colours(matrices, labels), return_index=True)
        matrix, label = np.divmod(np.sort(first), len(labels))
        yield CellTable(matrices[matrix], labels[label])


def module_hashes(cells: CellTable) -> list[str]:
    """The benchmark's own names of cells.

    Every vertex starts from its degrees and label and takes in its neighbours' hashes as many
    times as there are vertices; the sorted outcome is hashed once more.

    Args:
        cells: N cells.

    Returns:
        (N,) MD5 sums in hexadecimal.

    Reference:
        Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search", ICML 2019,
        supplement S1.
    """
    known: dict[bytes, tuple[list[list[int]], list[list[int]]]] = {}
    hashes = []
    for matrix, labels in zip(cells.matrices, cells.labels.tolist(), strict=True):
        key = matrix.tobytes()
        if key not in known:
            known[key] = (
                [np.flatnonzero(column).tolist() for column in matrix.T],
                [np.flatnonzero(row).tolist() for row in matrix],
            )
        hashes.append(_module_hash(*known[key], [-1, *labels, -2]))
    return hashes


def _module_hash(
    before: Sequence[Sequence[int]], after: Sequence[Sequence[int]], labels: Sequence[int]
) -> str:
    vertices = range(len(labels))
    colours = [
        _hexdigest(str((len(after[v]), len(before[v]), labels[v])).encode()) for v in vertices
    ]
    for _ in vertices:
        colours = [
            _hexdigest(
                b"".join(sorted([colours[w] for w in before[v]]))
                + b"|"
                + b"".join(sorted([colours[w] for w in after[v]]))
                + b"|"
                + colours[v]
            )
            for v in vertices
        ]
    return md5(str(sorted(c.decode() for c in colours)).encode(), usedforsecurity=False).hexdigest()


def _hexdigest(text: bytes) -> bytes:
    return md5(text, usedforsecurity=False).hexdigest().encode()


def full_matrices(vertices: int) -> NDArray[np.uint8]:
    """(N, V, V) adjacency of at most nine edges, every vertex between input and output.

    Args:
        vertices: number of vertices, input and output included.
    """
    pairs = [(x, y) for y in range(vertices) for x in range(y)]
    bits = np.arange(2 ** len(pairs), dtype=np.uint32)
    edges = sum((bits >> np.uint32(k)) & np.uint32(1) for k in range(len(pairs)))
    bits = bits[edges <= MAX_EDGES]
    matrices = np.zeros((len(bits), vertices, vertices), np.uint8)
    for k, (x, y) in enumerate(pairs):
        matrices[:, x, y] = (bits >> np.uint32(k)) & np.uint32(1)
    leaves = np.all(matrices[:, :-1].max(2) > 0, axis=1)
    arrives = np.all(matrices[:, :, 1:].max(1) > 0, axis=1)
    return matrices[leaves & arrives]


def _colours(matrices: NDArray[np.uint8], labels: NDArray[np.int8]) -> NDArray[np.uint64]:
    """(N * L,) one colour for each matrix with each labelling, equal for isomorphic ones."""
    vertices = matrices.shape[1]
    ends = np.full((len(labels), 1), 4)
    named = np.concatenate([ends, labels, ends + 1], 1).astype(np.uint64)
    degrees = (matrices.sum(2) * 8 + matrices.sum(1)).astype(np.uint64)
    colours = _canonical.mix_array(degrees[:, None, :] * np.uint64(8) + named[None])
    ahead = matrices.astype(np.uint64)
    behind = ahead.transpose(0, 2, 1)
    for _ in range(vertices):
        from_before = _canonical.mix_array(colours ^ np.uint64(_canonical.FORWARD)) @ ahead
        from_after = _canonical.mix_array(colours ^ np.uint64(_canonical.BACKWARD)) @ behind
        colours = _canonical.mix_array(
            colours + np.uint64(3) * from_before + np.uint64(5) * from_after
        )
    return _canonical.mix_array(colours).sum(2).reshape(-1)
