"""Latencies of 5,000 networks of the FBNet space on 17 devices, as HELP has them."""

from __future__ import annotations

from functools import cache, partial
from typing import Any, Final

import numpy as np

from archcast.datasets._benchmark import Benchmark, FloatArray
from archcast.datasets._fetch import fetch
from archcast.datasets._unpickle import load_torch
from archcast.datasets.benchmarks._help import on_gpus, on_others
from archcast.encoders.spaces.fbnet import OPERATORS, FBNet

_BATCHES: Final = (1, 32, 64)
#: Devices HW-NAS-Bench has; their latencies are sums over a table of blocks.
TABLED: Final = ("eyeriss", "fpga", "pixel3", "raspi4")


def load() -> Benchmark:
    """The benchmark, in the order of its files.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    space, specs = FBNet(), _specs()
    recipes: dict[str, dict[str, Any]] = {}
    files: dict[str, str] = {}
    for task, file, recipe in (*on_gpus(_BATCHES), *on_others(TABLED)):
        measured = {} if "batch_size" in recipe else {"measured": file not in TABLED}
        files[task], recipes[task] = file, recipe | measured
    return Benchmark(
        "fbnet",
        specs,
        {task: partial(_latency, file) for task, file in files.items()},
        lambda rows: space.graphs([specs[row] for row in rows]),
        key=space.parse,
        recipes=recipes,
    )


@cache
def _specs() -> list[str]:
    rows = load_torch(fetch("help/fbnet/arch.pt"))
    return [",".join([OPERATORS[place] for place in row]) for row in rows]


def _latency(file: str) -> FloatArray:
    return np.array(load_torch(fetch(f"help/fbnet/{file}.pt")), np.float64)
