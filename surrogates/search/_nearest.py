"""Which measured architectures are nearest to one, where a table is a sample of its space."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.spaces import Space
from archcast.encoders.spaces.nasbench101 import Cell101, NASBench101

__all__ = ["Codes"]

_WORD: Final = re.compile(r"[A-Za-z][\w]*|\d+")
#: Vertices of the largest cell of NAS-Bench-101.
_VERTICES: Final = 7


class Codes:
    """Architectures as rows of choices; the distance is the number of choices that differ.

    A choice is a word or a number of the text, at its place. Cells of NAS-Bench-101 are laid out
    on seven vertices first, so that one more vertex does not move all the others.

    Args:
        space: the search space.
        specs: (N,) texts of it.
    """

    def __init__(self, space: Space[Any], specs: Sequence[str]) -> None:
        self._space = space
        words = [self._words(spec) for spec in specs]
        self._width = max(map(len, words), default=0)
        self._numbers: dict[str, int] = {"": 0}
        self._table: NDArray[np.int32] = np.array(
            [self._code(found) for found in words], np.int32
        ).reshape(len(words), self._width)

    def nearest(self, spec: str, n: int) -> list[int]:
        """Row numbers of the n nearest architectures, nearest first, itself left out.

        Args:
            spec: any text of the space.
            n: how many.
        """
        distance = self.distances(spec)
        order = np.argsort(distance, kind="stable")[: n + 1]
        return [int(row) for row in order if distance[row] > 0][:n]

    def distances(self, spec: str) -> NDArray[np.intp]:
        """(N,) in how many choices each architecture differs from one."""
        return (self._table != self._code(self._words(spec))).sum(1)

    def _code(self, words: Sequence[str]) -> NDArray[np.int32]:
        found = [self._numbers.setdefault(word, len(self._numbers)) for word in words]
        padded = (found + [0] * self._width)[: self._width]
        return np.array(padded, np.int32)

    def _words(self, spec: str) -> list[str]:
        if isinstance(self._space, NASBench101):
            return _laid_out(self._space.parse(spec))
        return _WORD.findall(spec)


def _laid_out(cell: Cell101) -> list[str]:
    """Edges of the upper triangle, then operators; unused vertices stand before the output."""
    vertices = len(cell.matrix)
    places = [*range(vertices - 1), _VERTICES - 1]
    matrix = np.zeros((_VERTICES, _VERTICES), int)
    matrix[np.ix_(places, places)] = cell.matrix
    edges = matrix[np.triu_indices(_VERTICES, 1)].astype(str).tolist()
    operators = [f"op{op}" for op in cell.operators]
    return [*edges, *operators, *["none"] * (_VERTICES - vertices)]
