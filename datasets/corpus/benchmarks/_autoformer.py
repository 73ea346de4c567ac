"""What the three AutoFormer benchmarks have in common."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final

import numpy as np

from archcast.datasets._benchmark import Benchmark, FloatArray
from archcast.datasets._fetch import fetch
from archcast.encoders.spaces import get_space

#: Task -> where its value stands below ``performance``.
_TASKS: Final = {
    "imagenet1k/top1": ("Imagenet", "clean"),
    "imagenet-c/gaussian_noise_1_top1": ("Imagenet", "corruption", "Gaussian Noise", "1"),
}
_RECIPE: Final = {
    "inherited": True,
    "epochs": 500,
    "optimizer": "adamw",
    "batch_size": 1024,
    "image_size": 224,
    "pretrain": None,
}


def benchmark(size: str) -> Benchmark:
    """The benchmark of one supernet: tiny, small or base.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    name = f"autoformer_{size}"
    space, rows = get_space(name), _rows(size)
    specs = [space.text(space.parse(row["net_setting"])) for row in rows]
    tasks = [task for task, path in _TASKS.items() if not np.isnan(_value(rows[0], path))]
    readers: dict[str, Callable[[], FloatArray]] = {
        task: partial(_values, size, _TASKS[task]) for task in tasks
    }
    return Benchmark(
        name,
        specs,
        readers,
        lambda indices: space.graphs([specs[row] for row in indices]),
        key=space.parse,
        recipes=dict.fromkeys(tasks, _RECIPE),
        proxies={
            f"imagenet1k/{column}": partial(_cost, size, column) for column in ("params", "flops")
        },
    )


@cache
def _rows(size: str) -> list[dict[str, Any]]:
    return list(json.loads(fetch(f"autoformer/{size}.json").read_text("utf-8")).values())


def _value(row: dict[str, Any], path: tuple[str, ...]) -> float:
    found: Any = row["performance"]
    for key in path:
        found = found.get(key, {})
    return found if isinstance(found, float) else np.nan


def _values(size: str, path: tuple[str, ...]) -> FloatArray:
    return np.array([_value(row, path) for row in _rows(size)])


def _cost(size: str, column: str) -> FloatArray:
    """Parameters and multiplications; the file has millions."""
    return np.array([row[column] for row in _rows(size)]) * 1e6
