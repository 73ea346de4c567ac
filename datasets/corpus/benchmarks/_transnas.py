"""What the two benchmarks of TransNAS-Bench-101 share: tasks, recipes, and NASLib's files."""

from __future__ import annotations

import json
from functools import cache, partial
from typing import Any, Final, NamedTuple
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from archcast.datasets._benchmark import Benchmark, FloatArray, Reader, Recipe
from archcast.datasets._fetch import fetch
from archcast.encoders.spaces._transnas import HEADS, TransNAS

#: What NASLib writes for a score that could not be computed.
_FAILED: Final = -1e8
_SGD: Final = {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 5e-4, "lr": 0.1,
               "schedule": "cosine", "batch_size": 128}  # fmt: skip
_ADAM: Final = {"optimizer": "adam", "weight_decay": 1e-4, "schedule": "constant",
                "batch_size": 128, "adversarial": True}  # fmt: skip


class Label(NamedTuple):
    """One label of every network.

    Attributes:
        metric: what was measured.
        recipe: how the networks were trained, without the size of their input.
    """

    metric: str
    recipe: Recipe


#: Task, as the benchmark calls it -> its label.
LABELS: Final = {
    "class_object": Label("val_accuracy", {"epochs": 25, **_SGD}),
    "class_scene": Label("val_accuracy", {"epochs": 25, **_SGD}),
    "jigsaw": Label("val_accuracy", {"epochs": 10, **_SGD}),
    "room_layout": Label("val_negative_mse", {"epochs": 25, **_SGD}),
    "segmentsemantic": Label("val_pixel_accuracy", {"epochs": 30, **_SGD}),
    "normal": Label("val_ssim", {"epochs": 30, "lr": 1e-4, **_ADAM}),
    "autoencoder": Label("val_ssim", {"epochs": 30, "lr": 5e-4, **_ADAM}),
}


class _Columns(NamedTuple):
    labels: FloatArray
    zen: FloatArray


def load_table(space: TransNAS, proxies: dict[str, Reader] | None = None) -> Benchmark:
    """The benchmark of a space; rows are in the order the space enumerates them.

    Args:
        space: the space.
        proxies: published scores beside zen.
    """
    specs = tuple(space.enumerate())

    def column(task: str, at: int) -> FloatArray:
        return _columns(type(space), task)[at]

    tasks = {task: f"taskonomy-{task}/{label.metric}" for task, label in LABELS.items()}
    zen = {f"taskonomy-{task}/zen": partial(column, task, 1) for task in LABELS}
    return Benchmark(
        space.name,
        specs,
        {name: partial(column, task, 0) for task, name in tasks.items()},
        lambda rows: space.graphs([specs[row] for row in rows]),
        key=space.parse,
        recipes={
            name: {**LABELS[task].recipe, "image_size": HEADS[task].pixels}
            for task, name in tasks.items()
        },
        proxies=zen | (proxies or {}),
    )


def scores(raw: list[Any]) -> NDArray[np.float64]:
    """Scores, NaN where NASLib's mark says that there is none."""
    values = np.array(raw, np.float64)
    return np.where(values == _FAILED, np.nan, values)


@cache
def _columns(kind: type[TransNAS], task: str) -> _Columns:
    space = kind()
    rows: dict[str, dict[str, Any]] = {}
    with ZipFile(fetch(f"{space.name}/zen.zip")) as archive:
        for name in archive.namelist():
            if f"--{task}--" in name:
                for row in json.loads(archive.read(name)):
                    rows[space.text(space.parse(row["arch"]))] = row
    ordered = [rows[spec] for spec in space.enumerate()]
    return _Columns(
        np.array([row["val_accuracy"] for row in ordered]),
        scores([row["zen"]["score"] for row in ordered]),
    )
