"""Latencies of 5,000 subnetworks of Once-for-All's MobileNetV3, whose architectures are missing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from archcast.datasets._benchmark import Benchmark, FloatArray
from archcast.datasets._fetch import fetch
from archcast.datasets._unpickle import load_torch
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.graph import ComputeGraph

ROWS: Final = 5000
_GPUS: Final = {"2080ti": "2080ti", "titan_rtx": "titan-rtx", "titan_xp": "titanxp", "v100": "v100"}
_BATCHES: Final = (1, 32, 64)


def load() -> Benchmark:
    """The benchmark; row 7 of its files is called ``row 7``, and no row has a graph."""
    files: dict[str, str] = {}
    recipes: dict[str, dict[str, Any]] = {}
    for gpu, name in _GPUS.items():
        for batch in _BATCHES:
            task = f"{name}-batch{batch}/latency_ms"
            files[task], recipes[task] = f"{gpu}_{batch}", {"device": gpu, "batch_size": batch}
    return Benchmark(
        "ofa_latency",
        [f"row {row}" for row in range(ROWS)],
        {task: partial(_latency, file) for task, file in files.items()},
        _graphs,
        space="ofa_mobilenetv3",
        recipes=recipes,
        with_graph=tuple,
    )


def _graphs(rows: Sequence[int]) -> list[ComputeGraph]:
    if rows:
        raise InvalidSpecError(
            f"ofa_latency: the architecture of row {rows[0]} is unknown; upstream keeps it in a "
            "file that is not registered"
        )
    return []


def _latency(file: str) -> FloatArray:
    return np.array(load_torch(fetch(f"help/ofa/{file}.pt")), np.float64)
