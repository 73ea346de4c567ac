"""The rows of NAS-Bench-201, and tables of other sources brought into their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.datasets._benchmark import FloatArray
from archcast.datasets._csv_tables import numbers, read_columns
from archcast.datasets._fetch import fetch
from archcast.datasets.benchmarks._naslib import naslib_codes
from archcast.encoders.spaces.nasbench201 import CONV1, CONV3, NONE, POOL, SKIP, NASBench201

#: A cell, as the space parses it.
Cell = tuple[int, ...]
#: NASLib's code of an operator, and where each of its edges stands in the text.
_NASLIB_OPERATORS: Final = (SKIP, NONE, CONV3, CONV1, POOL)
_NASLIB_EDGES: Final = (0, 1, 3, 2, 4, 5)


@cache
def table() -> dict[str, Sequence[str]]:
    """Columns of the table of test accuracies, whose rows are the benchmark's own index."""
    return read_columns(fetch("nasbench201/test.csv"))


def specs() -> list[str]:
    """(15,625,) cell strings."""
    return list(table()["ArchitectureString"])


@cache
def rows() -> dict[Cell, int]:
    """Parsed cell -> its row."""
    space = NASBench201()
    return {space.parse(text): row for row, text in enumerate(specs())}


def from_codes(codes: Sequence[int], operators: Sequence[int], edges: Iterable[int]) -> Cell:
    """A cell of another source's codes.

    Args:
        codes: its operators, in its order of edges.
        operators: the position here of each of its codes.
        edges: where each of its edges stands in the text.
    """
    cell = [0] * 6
    for edge, code in zip(edges, codes, strict=True):
        cell[edge] = operators[code]
    return tuple(cell)


def from_naslib(text: str) -> Cell:
    """A cell written as NASLib does, such as ``(4, 0, 3, 1, 4, 3)``."""
    return from_codes(naslib_codes(text), _NASLIB_OPERATORS, _NASLIB_EDGES)


def aligned(values: Mapping[Cell, Any], *width: int) -> FloatArray:
    """Values of some cells in the benchmark's order.

    Args:
        values: cell -> its number, or its row of ``width`` numbers.
        width: length of such a row.

    Returns:
        (15,625, *width) values, NaN for cells without one.
    """
    found = np.full((len(specs()), *width), np.nan)
    found[[rows()[cell] for cell in values]] = list(values.values())
    return found


@cache
def naslib_columns(file: str) -> dict[str, FloatArray]:
    """A CSV file of numbers whose column ``net`` names the cells as NASLib does.

    Args:
        file: name in the registry.

    Returns:
        Column -> (15,625,) numbers, NaN for cells without a row.
    """
    columns = read_columns(fetch(file))
    where = [rows()[from_naslib(text)] for text in columns["net"]]
    found: dict[str, FloatArray] = {}
    for name, texts in columns.items():
        if name not in ("net", "net_str"):
            found[name] = np.full(len(specs()), np.nan)
            found[name][where] = numbers(texts)
    return found


def by_index(index: NDArray[np.int64], values: FloatArray) -> FloatArray:
    """Numbers of rows named by the benchmark's own index, in its order."""
    found = np.full(len(specs()), np.nan)
    found[index] = values
    return found
