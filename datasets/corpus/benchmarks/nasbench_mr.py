"""NAS-Bench-MR: 2,507 multi-resolution networks on eight settings of three vision tasks."""

from __future__ import annotations

from functools import cache, partial
from typing import Any, Final

import numpy as np

from archcast.datasets._benchmark import Benchmark, FloatArray
from archcast.datasets._fetch import fetch
from archcast.datasets._unpickle import load_pickle
from archcast.encoders.spaces.nasbench_mr import NASBenchMR

_TOP: Final = {"top1": "top1", "top5": "top5"}
_SEGMENTATION: Final = {
    "miou": "mIoU",
    "mean_class_accuracy": "mAcc",
    "pixel_accuracy": "aAcc",
}
#: Name of a setting here -> its file, and metric -> the file's name of it.
_SETTINGS: Final = {
    "imagenet_50_1000": ("cls-50-1000", _TOP),
    "imagenet_50_100": ("cls-50-100", _TOP),
    "imagenet_10_1000": ("cls-10-1000", _TOP),
    "imagenet_10c": ("cls-10c", _TOP),
    "cityscapes": ("seg", _SEGMENTATION),
    "cityscapes_4x": ("seg-4x", _SEGMENTATION),
    "hmdb51": ("video", _TOP),
    "hmdb51_p": ("video-p", _TOP),
}


def load() -> Benchmark:
    """The benchmark, in the order of its files, which is one for all.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    space = NASBenchMR()
    specs = [space.text(space.parse(row)) for row in _rows("seg")]
    columns = {
        f"{setting}/{metric}": (file, key)
        for setting, (file, metrics) in _SETTINGS.items()
        for metric, key in metrics.items()
    }
    return Benchmark(
        "nasbench_mr",
        specs,
        {task: partial(_column, *column) for task, column in columns.items()},
        lambda rows: space.graphs([specs[row] for row in rows]),
        key=space.parse,
        recipes={task: _recipe(task) for task in columns},
        proxies={
            "imagenet_50_1000/params": lambda: _column("cls-50-1000", "params") * 1e6,
            "imagenet_50_1000/flops": lambda: _column("cls-50-1000", "flops") * 1e9,
        },
    )


def _recipe(task: str) -> dict[str, Any]:
    """What is known of the training; see the card for what is not."""
    setting = task.partition("/")[0]
    return {"image_size": 128} if setting.startswith("imagenet") else {}


def _column(file: str, key: str) -> FloatArray:
    return np.array([row[key] for row in _rows(file)], np.float64)


@cache
def _rows(file: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = load_pickle(fetch(f"nasbench_mr/{file}.pickle"))
    return rows
