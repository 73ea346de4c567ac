"""All cells of NAS-Bench-101 with the benchmark's hash of each, made once and kept."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from archcast.datasets._derived import derived
from archcast.encoders import _canonical
from archcast.encoders._fingerprint import fingerprint
from archcast.encoders.spaces import _nasbench101_cells
from archcast.encoders.spaces._nasbench101_cells import (
    MAX_VERTICES,
    CellTable,
    module_hashes,
    unique_cells,
)
from archcast.encoders.spaces.nasbench101 import NASBench101

_INNER: Final = MAX_VERTICES - 2


def cell_table() -> dict[str, NDArray[Any]]:
    """All N = 423,624 cells, in the benchmark's order; made in a minute where they are not kept.

    Returns:
        ``hashes`` (N, 16) bytes, ``vertices`` (N,), ``matrices`` (N,) adjacency as bits of an
        integer row by row, and ``labels`` (N, 5) operators, zero behind the last one.

    Raises:
        StorageError: the cache folder cannot be written.
    """
    sources = (__file__, _canonical.__file__, _nasbench101_cells.__file__)
    version = fingerprint([Path(name) for name in sources])
    with np.load(derived("nasbench101-cells.npz", version, _archive), allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}


def _archive() -> bytes:
    out = BytesIO()
    np.savez(out, allow_pickle=False, **_hashed_cells())
    return out.getvalue()


def _hashed_cells() -> dict[str, NDArray[Any]]:
    parts = []
    with tqdm(total=NASBench101.size, desc="NAS-Bench-101 cells", disable=None) as bar:
        for table in unique_cells():
            for start in range(0, len(table.matrices), 20_000):
                rows = slice(start, start + 20_000)
                part = CellTable(table.matrices[rows], table.labels[rows])
                parts.append(_packed(part))
                bar.update(len(part.matrices))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _packed(cells: CellTable) -> dict[str, NDArray[Any]]:
    count, vertices = cells.matrices.shape[:2]
    bits = np.int64(1) << np.arange(vertices**2)
    labels = np.zeros((count, _INNER), np.int8)
    labels[:, : vertices - 2] = cells.labels
    digests = b"".join(bytes.fromhex(text) for text in module_hashes(cells))
    return {
        "hashes": np.frombuffer(digests, np.uint8).reshape(count, 16),
        "vertices": np.full(count, vertices, np.int8),
        "matrices": cells.matrices.reshape(count, -1).astype(np.int64) @ bits,
        "labels": labels,
    }
