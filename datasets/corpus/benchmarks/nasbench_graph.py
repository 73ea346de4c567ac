"""NAS-Bench-Graph: 26,206 graph neural networks on eight data sets, 2,021 of them on a ninth."""

from __future__ import annotations

from functools import cache, partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.datasets._benchmark import Benchmark, FloatArray, Reader
from archcast.datasets._fetch import fetch
from archcast.encoders.errors import UnreadableModelError
from archcast.encoders.spaces.nasbench_graph import DATA, LINKS, OPERATORS, NASBenchGraph

#: Name of a data set in the file -> its name here.
_NAMES: Final = {
    "cora": "cora",
    "citeseer": "citeseer",
    "pubmed": "pubmed",
    "cs": "coauthor_cs",
    "physics": "coauthor_physics",
    "photo": "amazon_photo",
    "computers": "amazon_computers",
    "arxiv": "ogbn_arxiv",
    "proteins": "ogbn_proteins",
}


def load() -> Benchmark:
    """The benchmark, in the order of its tables.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    space = NASBenchGraph()
    specs = [
        f"link={LINKS[link]};ops={','.join(OPERATORS[op] for op in ops)}"
        for link, *ops in _column("cora", "arch").tolist()
    ]
    labels: dict[str, Reader] = {}
    recipes: dict[str, dict[str, Any]] = {}
    for data, name in _NAMES.items():
        metric = "roc_auc" if data == "proteins" else "accuracy"
        columns = {
            f"{name}/test_{metric}": ("perf", 100.0),
            f"{name}/val_{metric}": ("valid_perf", 100.0),
            f"{name}/latency_ms": ("latency", 1000.0),
        }
        for task, (column, unit) in columns.items():
            labels[task] = partial(_labels, data, column, unit)
            recipes[task] = {"width": DATA[data].width}
    return Benchmark(
        "nasbench_graph",
        specs,
        labels,
        lambda rows: space.graphs([specs[row] for row in rows]),
        key=space.parse,
        recipes=recipes,
        proxies={
            f"{name}/params": partial(_labels, data, "para", 1e6) for data, name in _NAMES.items()
        },
    )


def _labels(data: str, column: str, unit: float) -> FloatArray:
    """(26,206,) values in the order of the rows, NaN where the data set has none."""
    values = np.full(len(_column("cora", "arch")), np.nan)
    values[_rows(data)] = _column(data, column).astype(np.float64) * unit
    return values


def _rows(data: str) -> NDArray[np.int64]:
    """The row of each architecture of a data set.

    Raises:
        UnreadableModelError: it has architectures that are not in the first table.
    """
    codes, own = (
        _column(name, "arch").astype(np.int64) @ 9 ** np.arange(5) for name in ("cora", data)
    )
    order = np.argsort(codes)
    rows = order[np.searchsorted(codes, own, sorter=order).clip(max=len(order) - 1)]
    if not np.array_equal(codes[rows], own):
        raise UnreadableModelError(f"nasbench_graph: {data} has architectures that Cora has not")
    return rows


@cache
def _column(data: str, column: str) -> NDArray[Any]:
    with np.load(fetch("nasbench_graph/light.npz"), allow_pickle=False) as table:
        return table[f"{data}_{column}"]
