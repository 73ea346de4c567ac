"""NAS-Bench-Graph's tables from its Python package, for those without a mirror of them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.datasets._unpickle import PlainUnpickler, telling
from archcast.datasets._wheels import made_of, members

_PACKAGE: Final = "nas-bench-graph"
_TABLES: Final = "nas_bench_graph/light/"
#: Numbers of an architecture, as the tables call them.
_COLUMNS: Final = ("valid_perf", "perf", "latency", "para")


def graph_table() -> Path:
    """The columns of every data set as a numpy archive; made once from the package.

    Raises:
        DownloadError: the package is not here and cannot be fetched.
        UnreadableModelError: a table in it is damaged.
    """
    return made_of(_PACKAGE, "nasbench_graph.npz", _archive, __file__)


def _archive(path: Path) -> bytes:
    columns: dict[str, Any] = read_tables(path)
    out = BytesIO()
    np.savez_compressed(out, allow_pickle=False, **columns)
    return out.getvalue()


def read_tables(path: Path) -> dict[str, NDArray[Any]]:
    """The tables in a wheel, each a restricted pickle.

    Returns:
        ``<data set>_hash`` (N,), ``_arch`` (N, 5): the digits of the hash, which are positions of
        the link and the four operators, and (N,) ``_valid_perf``, ``_perf``, ``_latency`` and
        ``_para``; sorted by hash.
    """
    found: dict[str, NDArray[Any]] = {}
    for name, data in members(path, lambda n: n.startswith(_TABLES) and n.endswith(".bench")):
        with telling(path):
            rows: dict[int, dict[str, float]] = PlainUnpickler(BytesIO(data)).load()
            hashes = np.array(sorted(rows), np.int64)
            found |= _columns(Path(name).stem, hashes, rows)
    return found


def _columns(
    data: str, hashes: NDArray[np.int64], rows: dict[int, dict[str, float]]
) -> dict[str, NDArray[Any]]:
    digits = hashes[:, None] // 10 ** np.arange(4, -1, -1) % 10
    columns: dict[str, NDArray[Any]] = {
        f"{data}_hash": hashes,
        f"{data}_arch": digits.astype(np.int8),
    }
    for column in _COLUMNS:
        values = [rows[code][column] for code in hashes.tolist()]
        columns[f"{data}_{column}"] = np.array(values, np.float32)
    return columns
