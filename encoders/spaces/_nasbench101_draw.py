"""Drawing cells of NAS-Bench-101, each of the 423,624 equally likely.

A cell can be written with its inner vertices in several orders, and a draw of random edges meets
cells of many orders more often. So the number of vertices is drawn first, by how many cells have
it; then edges and operators, all written forms alike; and of a cell that can be written in k ways
one draw in k is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.spaces._nasbench101_cells import OPERATORS, full_matrices

#: Number of vertices -> cells of the space that have it.
COUNTS: Final = {2: 1, 3: 6, 4: 84, 5: 2441, 6: 62_010, 7: 359_082}
#: Candidates at a time.
_BATCH: Final = 256
_NO_CODE: Final = np.iinfo(np.int64).max

#: Adjacency (V, V), labels (V - 2,), and a number that all written forms of the cell share.
Drawn = tuple[NDArray[np.int64], NDArray[np.int64], tuple[int, int]]


def draw(seed: int) -> Iterator[Drawn]:
    """Cells at random without end, uniformly and independently."""
    sizes, parts = list(COUNTS), np.random.default_rng(seed).spawn(len(COUNTS) + 1)
    cells = {size: cells_of(size, rng) for size, rng in zip(sizes, parts[1:], strict=True)}
    shares = np.array(list(COUNTS.values())) / sum(COUNTS.values())
    while True:
        for size in parts[0].choice(sizes, 64, p=shares).tolist():
            yield next(cells[size])


def cells_of(vertices: int, rng: np.random.Generator) -> Iterator[Drawn]:
    """Cells of one number of vertices at random without end, uniformly and independently."""
    inner = vertices - 2
    while True:
        matrices = rng.choice(_full(vertices), _BATCH)
        labels = rng.integers(0, len(OPERATORS), (_BATCH, inner))
        codes = written_forms(matrices, labels)
        ways = (np.diff(codes, axis=1) > 0).sum(1) + 1 - (codes[:, -1] == _NO_CODE)
        kept = rng.random(len(codes)) * ways < 1
        for at in np.flatnonzero(kept):
            yield matrices[at], labels[at], (vertices, int(codes[at, 0]))


@cache
def _full(vertices: int) -> NDArray[np.int64]:
    """(N, V, V) all adjacency with every vertex between input and output."""
    return full_matrices(vertices).astype(np.int64)


def written_forms(matrices: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers for all ways to write cells.

    Args:
        matrices: (N, V, V) upper triangular adjacency.
        labels: (N, V - 2) operators.

    Returns:
        (N, (V - 2)!) numbers in rising order, one for each order of the inner vertices, equal for
        orders that give the same form; the highest integer for those that are not upper triangular.
    """
    vertices = matrices.shape[1]
    orders = _orders(vertices)
    bits = np.int64(1) << np.arange(vertices**2, dtype=np.int64).reshape(vertices, vertices)
    codes = np.empty((len(matrices), len(orders)), np.int64)
    for at, order in enumerate(orders):
        moved = matrices[:, order[:, None], order]
        named = labels[:, order[1:-1] - 1] @ (len(OPERATORS) ** np.arange(vertices - 2))
        code = (moved * np.triu(bits)).sum((1, 2)) * len(OPERATORS) ** (vertices - 2) + named
        codes[:, at] = np.where(np.tril(moved).any((1, 2)), _NO_CODE, code)
    return np.sort(codes, 1)


@cache
def _orders(vertices: int) -> NDArray[np.int64]:
    inner = permutations(range(1, vertices - 1))
    return np.array([(0, *order, vertices - 1) for order in inner], np.int64)
