"""The timm model zoo: published weights, their ImageNet accuracies and their recipes."""

from __future__ import annotations

import re
from functools import cache, partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.datasets._benchmark import Benchmark, FloatArray
from archcast.datasets._csv_tables import numbers, read_columns
from archcast.datasets._fetch import fetch
from archcast.datasets._zoo_graphs import ZooGraphs
from archcast.encoders.spaces.zoos import family

#: Data set -> file with its accuracies.
_SETS: Final = {
    "imagenet1k": "timm_zoo/imagenet.csv",
    "imagenet-real": "timm_zoo/imagenet-real.csv",
    "imagenet-v2": "timm_zoo/imagenet-v2.csv",
    "imagenet-r": "timm_zoo/imagenet-r.csv",
    "imagenet-sketch": "timm_zoo/imagenet-sketch.csv",
}
#: Device -> file with its throughputs.
_DEVICES: Final = {
    "rtx4090": "timm_zoo/throughput-rtx4090.csv",
    "i9-10940x": "timm_zoo/throughput-i9.csv",
}
#: Data beyond ImageNet-1k as tags name it. The two distilled stages saw unlabelled images too.
_EXTRA: Final = re.compile(
    r"in21k|in22k|in12k|laion2b|laiona|jft|ig1b|yfcc100m|webli|openai|clip|m30m|m38m|swag|seer"
    r"|ssld_stage2|ssld_6m"
)


def load() -> Benchmark:
    """The benchmark; a row is ``<architecture>.<tag>@<evaluation size>``.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    rows = _rows(_SETS["imagenet1k"])
    labels = {
        f"{data}/{metric}": partial(_accuracy, file, metric)
        for data, file in _SETS.items()
        for metric in ("top1", "top5")
    }
    recipe = _recipe()
    recipes = dict.fromkeys(labels, recipe)
    labels |= {f"{name}/images_per_second": partial(_speed, f) for name, f in _DEVICES.items()}
    builder = ZooGraphs("timm")
    keys = [(_architecture(model), size) for model, size in rows]
    return Benchmark(
        "timm_zoo",
        [f"{model}@{size}" for model, size in rows],
        labels,
        lambda indices: builder.graphs([keys[i] for i in indices]),
        space="timm",
        recipes=recipes,
        families=lambda: [family(name) for name, _ in keys],
    )


def architectures() -> list[str]:
    """(1,556,) architecture of every row; rows of one name and image size share their graph."""
    return [_architecture(model) for model, _ in _rows(_SETS["imagenet1k"])]


def extra_data(tag: str) -> str:
    """The data beyond ImageNet-1k that weights have seen, as their tag tells; empty if none."""
    match = _EXTRA.search(tag)
    return match.group() if match else ""


def plain_224() -> NDArray[np.int64]:
    """Rows without extra training data, trained and evaluated at 224 x 224.

    Returns:
        (636,) row numbers, of 538 architectures.
    """
    recipe = _recipe()
    plain = recipe["extra_data"] == ""
    sized = (recipe["train_size"] == 224) & (recipe["image_size"] == 224)
    return np.flatnonzero(plain & sized)


@cache
def _recipe() -> dict[str, Any]:
    table = _rows(_SETS["imagenet1k"])
    tags = [model.partition(".")[2] for model, _ in table]
    smallest: dict[str, int] = {}
    for model, size in table:
        smallest[model] = min(size, smallest.get(model, size))
    fields = table.values()
    return {
        "tag": np.array(tags),
        "extra_data": np.array([extra_data(tag) for tag in tags]),
        # The smallest size weights are evaluated at is the one they were trained at, for all.
        "train_size": np.array([smallest[model] for model, _ in table]),
        "image_size": np.array([size for _, size in table]),
        "crop": np.array([float(row["crop_pct"]) for row in fields]),
        "interpolation": np.array([row["interpolation"] for row in fields]),
    }


@cache
def _rows(file: str) -> dict[tuple[str, int], dict[str, str]]:
    """(model, evaluation size) -> the fields of the table."""
    columns = read_columns(fetch(file))
    rows = (
        dict(zip(columns, fields, strict=True)) for fields in zip(*columns.values(), strict=True)
    )
    return {(row["model"], int(row["img_size"])): row for row in rows}


def _accuracy(file: str, metric: str) -> FloatArray:
    table = _rows(file)
    missing = {metric: "nan"}
    return np.array([float(table.get(k, missing)[metric]) for k in _rows(_SETS["imagenet1k"])])


def _speed(file: str) -> FloatArray:
    columns = read_columns(fetch(file))
    measured = zip(columns["model"], map(int, columns["infer_img_size"]), strict=True)
    found = dict(zip(measured, numbers(columns["infer_samples_per_sec"]), strict=True))
    keys = [(_architecture(model), size) for model, size in _rows(_SETS["imagenet1k"])]
    return np.array([found.get(key, np.nan) for key in keys])


def _architecture(model: str) -> str:
    return model.partition(".")[0]
