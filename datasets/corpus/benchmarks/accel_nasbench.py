"""Accel-NASBench: 5,138 networks of the MnasNet space, on ImageNet and on six accelerators."""

from __future__ import annotations

import gzip
import json
import tarfile
from functools import cache, partial
from io import BytesIO
from typing import Any, Final

import numpy as np

from archcast.datasets._benchmark import Benchmark, FloatArray, Reader
from archcast.datasets._fetch import fetch
from archcast.encoders.spaces.mnasnet import MnasNet

_FILE: Final = "accel_nasbench/jsons.tar.gz"
#: Task -> group and field of a row, and what brings the value to the task's unit.
_TABLE: Final = {
    "imagenet1k/top1": ("metrics", "val_top1", 1.0),
    "imagenet1k/top5": ("metrics", "val_top5", 1.0),
    "imagenet1k/train_seconds": ("metrics", "train_time", 1.0),
}
#: What the table says of the networks themselves, at 224 pixels.
_SIZES: Final = {
    "imagenet1k/macs": ("model_info", "macs", 1e6),
    "imagenet1k/params": ("model_info", "params", 1e6),
}
#: Task -> its measurement in a row.
_DEVICES: Final = {
    "a100/images_per_second": ("throughput_a100", "throughput"),
    "rtx3090/images_per_second": ("throughput_3090", "throughput"),
    "tpuv2/images_per_second": ("throughput_tpuv2", "throughput"),
    "tpuv3/images_per_second": ("throughput_tpuv3", "throughput"),
    "zcu102/images_per_second": ("throughput_zcu102", "throughput"),
    "vck190/images_per_second": ("throughput_vck190", "throughput"),
    "zcu102/latency_ms": ("latency_zcu102", "latency"),
    "vck190/latency_ms": ("latency_vck190", "latency"),
}
#: As the published scripts that trained random networks have it.
_RECIPE: Final[dict[str, Any]] = {
    "epochs": 16,
    "optimizer": "sgd",
    "batch_size": 512,
    "lr": 0.425,
    "weight_decay": 1e-4,
    "label_smoothing": 0.1,
    "train_size": 192,
    "image_size": 256,
    "pretrain": None,
    "inherited": False,
}


def load() -> Benchmark:
    """The benchmark; rows are in the order of the numbers in its files' names.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    space = MnasNet()
    specs = [_spec(row["architecture"]) for row in _rows()]
    labels: dict[str, Reader] = {task: partial(_column, *where) for task, where in _TABLE.items()}
    labels |= {task: partial(_device, *where, "mean") for task, where in _DEVICES.items()}
    recipes: dict[str, dict[str, Any]] = dict.fromkeys(_TABLE, _RECIPE)
    recipes |= {task: {"device": task.partition("/")[0]} for task in _DEVICES}
    return Benchmark(
        "accel_nasbench",
        specs,
        labels,
        lambda rows: space.graphs([specs[row] for row in rows]),
        space=space.name,
        key=space.parse,
        recipes=recipes,
        proxies={name: partial(_column, *where) for name, where in _SIZES.items()},
        # The FPGAs were timed once.
        stds={
            task: partial(_device, *where, "std")
            for task, where in _DEVICES.items()
            if task.startswith(("a100", "rtx3090", "tpu"))
        },
    )


@cache
def _rows() -> list[dict[str, Any]]:
    # Unpacked at once: 10 MB, and seeking in a compressed stream is slow.
    archive = BytesIO(gzip.decompress(fetch(_FILE).read_bytes()))
    found: dict[int, dict[str, Any]] = {}
    with tarfile.open(fileobj=archive, mode="r:") as members:
        for member in members:
            file = members.extractfile(member) if member.isfile() else None
            if file is not None:
                number = member.name.rpartition("_")[2].removesuffix(".json")
                found[int(number)] = json.loads(file.read())
    return [found[number] for number in sorted(found)]


def _spec(choices: dict[str, Any]) -> str:
    """What :meth:`MnasNet.text` writes of a row's architecture, without checking it."""
    stages = []
    for stage in range(7):
        e, k, n, se = (choices[f"block{stage}_{name}"] for name in ("e", "k", "l", "se"))
        stages.append(f"e{e}k{k}l{n}{'se' if se else ''}")
    return "-".join(stages)


def _column(group: str, field: str, factor: float) -> FloatArray:
    values = np.array([row[group][field] for row in _rows()], np.float64) * factor
    return np.rint(values) if factor > 1 else values


def _device(measurement: str, kind: str, moment: str) -> FloatArray:
    values = [row["platform_perf"][measurement][f"{kind}_{moment}"] for row in _rows()]
    return np.array(values, np.float64)  # None becomes NaN
