"""Zen scores of 10,250 cells of NAS-Bench-101, as NASLib published them."""

from __future__ import annotations

import json
import zipfile
from collections import defaultdict
from functools import cache
from math import isqrt
from typing import Final

import numpy as np

from archcast.datasets._fetch import fetch
from archcast.datasets.benchmarks._naslib import naslib_codes
from archcast.encoders.spaces._nasbench101_cells import CellTable, module_hashes
from archcast.encoders.spaces.nasbench101 import Cell101, NASBench101

#: NASLib's codes of operators; 0 and 1 are a cell's input and output.
_OPERATORS: Final = {2: "maxpool3x3", 3: "conv1x1", 4: "conv3x3"}


@cache
def zen_scores() -> dict[str, float]:
    """Scores by the benchmark's own hash of a cell; hashing the cells takes a second or two.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    scores: dict[Cell101, float] = {}
    with zipfile.ZipFile(fetch("nasbench101/zen.zip")) as archive:
        for name in archive.namelist():
            for row in json.loads(archive.read(name)) if name.endswith(".json") else ():
                codes = naslib_codes(row["arch"])
                scores[_cell(codes)] = row["zen"]["score"]
    alike: dict[int, list[Cell101]] = defaultdict(list)
    for cell in scores:
        alike[len(cell.matrix)].append(cell)
    found: dict[str, float] = {}
    for vertices, cells in alike.items():
        matrices = np.array([cell.matrix for cell in cells], np.uint8)
        labels = np.array([cell.operators for cell in cells], np.int8)
        table = CellTable(matrices, labels.reshape(len(cells), vertices - 2))
        values = (scores[cell] for cell in cells)
        found |= dict(zip(module_hashes(table), values, strict=True))
    return found


def _cell(codes: list[int]) -> Cell101:
    """A cell of V vertices from V x V adjacency bits and V operators in one list."""
    vertices = (isqrt(4 * len(codes) + 1) - 1) // 2
    bits = "".join(map(str, codes[: vertices**2]))
    names = ",".join(_OPERATORS[code] for code in codes[vertices**2 + 1 : -1])
    return NASBench101().parse(f"{bits}:{names}")
