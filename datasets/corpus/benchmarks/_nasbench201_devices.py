"""Latency and energy of NAS-Bench-201's cells on devices, and what came with them."""

from __future__ import annotations

from functools import cache, partial
from typing import Any, Final

import numpy as np

from archcast.datasets._benchmark import FloatArray, Reader, Recipe
from archcast.datasets._fetch import fetch
from archcast.datasets._unpickle import load_torch
from archcast.datasets.benchmarks._help import on_gpus, on_others
from archcast.datasets.benchmarks._nasbench201_rows import by_index, naslib_columns, specs
from archcast.encoders.errors import MissingExtraError

#: Data set whose input size was measured -> the table of HW-NAS-Bench.
_HW_FILES: Final = {
    "cifar10": "nasbench201/hw-cifar10.csv",
    "imagenet16-120": "nasbench201/hw-imagenet16-120.csv",
}
#: Metric -> its columns of HW-NAS-Bench by device.
_HW_METRICS: Final = {
    "latency_ms": ("edgegpu", "raspi4", "edgetpu", "pixel3", "eyeriss", "fpga"),
    "energy_mj": ("edgegpu", "eyeriss", "fpga"),
    "arithmetic_intensity": ("eyeriss",),
}
_HW_COLUMNS: Final = {"latency_ms": "latency", "energy_mj": "energy"}
#: What HELP's GPUs were measured with. Four more of its files (eyeriss, fpga, pixel3, raspi4) are
#: HW-NAS-Bench's CIFAR-10 column number for number.
_BATCHES: Final = (1, 32, 256)
#: Device and runtime of HW-NAS-Bench-360; energy was measured on the first three.
_RUNTIMES: Final = (
    ("pi5", "litert"),
    ("pi5", "onnx"),
    ("pi5", "torchmobile"),
    ("pixel", "litert"),
)
#: Data set -> its name in HW-NAS-Bench-360, and the input there.
_SETS_360: Final = {
    "cifar100": ("cifar100", (3, 32, 32)),
    "ninapro": ("ninapro", (1, 52, 16)),
    "darcy-flow": ("darcy", (1, 88, 88)),
}
_ONE_SEED: Final = {
    "epochs": 200,
    "optimizer": "sgd",
    "pretrain": None,
    "inherited": False,
    "seed": 777,
}


def readers() -> dict[str, tuple[Reader, Recipe]]:
    """Task -> what reads its (15,625,) labels, and how they were measured."""
    return _hw_nas_bench() | _help() | _hw_nas_bench_360()


def stds() -> dict[str, Reader]:
    """Task -> what reads the (15,625,) standard deviations of a latency over its runs."""
    return {
        _task_360(device, runtime, data): partial(_deviation, device, runtime, data)
        for device, runtime in _RUNTIMES
        if device == "pi5"
        for data in _SETS_360
    }


def _hw_nas_bench() -> dict[str, tuple[Reader, Recipe]]:
    return {
        f"{device}-{data}/{metric}": (
            partial(_supported, file, f"{device}_{_HW_COLUMNS.get(metric, metric)}"),
            {"device": device, "measured_input": data},
        )
        for data, file in _HW_FILES.items()
        for metric, devices in _HW_METRICS.items()
        for device in devices
    }


def _supported(file: str, column: str) -> FloatArray:
    values = naslib_columns(file)[column]
    return np.where(values == -1, np.nan, values)


def _help() -> dict[str, tuple[Reader, Recipe]]:
    return {
        task: (partial(_latency, file), recipe)
        for task, file, recipe in (*on_gpus(_BATCHES), *on_others())
    }


def _latency(device: str) -> FloatArray:
    values = load_torch(fetch(f"help/nasbench201/{device}.pt"))
    index = _help_index()
    return np.array([values[index[text]] for text in specs()], np.float64)


@cache
def _help_index() -> dict[str, int]:
    return load_torch(fetch("help/nasbench201/index.pt"))


def _hw_nas_bench_360() -> dict[str, tuple[Reader, Recipe]]:
    found: dict[str, tuple[Reader, Recipe]] = {
        "ninapro/test_accuracy": (partial(accuracy_360, "ninapro"), _ONE_SEED),
        "darcy-flow/relative_l2_error": (_darcy_error, _ONE_SEED | {"batch_size": 16}),
    }
    for device, runtime in _RUNTIMES:
        for data, (_, shape) in _SETS_360.items():
            recipe = {
                "device": device,
                "runtime": runtime,
                "measured_input": "x".join(map(str, shape)),
            }
            task = _task_360(device, runtime, data)
            found[task] = partial(_column_360, device, runtime, data, "lat_ms_median"), recipe
            if device == "pi5":
                energy = task.replace("latency_ms", "energy_mj")
                found[energy] = partial(_column_360, device, runtime, data, "energy_mj"), recipe
    return found


def accuracy_360(data: str) -> FloatArray:
    """(15,625,) accuracies as HW-NAS-Bench-360 has them; it repeats them for every device."""
    return _column_360("pi5", "litert", data, "accuracy")


def _darcy_error() -> FloatArray:
    # The source keeps one minus the error under the name of an accuracy.
    return 1 - accuracy_360("darcy-flow")


def _task_360(device: str, runtime: str, data: str) -> str:
    return f"{device}-{runtime}-{data}/latency_ms"


def _deviation(device: str, runtime: str, data: str) -> FloatArray:
    return np.sqrt(_column_360(device, runtime, data, "lat_ms_var"))


def _column_360(device: str, runtime: str, data: str, column: str) -> FloatArray:
    columns = _table_360()
    wanted = {"device": device, "framework": runtime, "task": _SETS_360[data][0]}
    rows = np.logical_and.reduce([columns[name] == value for name, value in wanted.items()])
    return by_index(columns["arch_idx"][rows], columns[column][rows])


@cache
def _table_360() -> dict[str, Any]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError(
            "this label needs pyarrow: pip install 'archcast[train]'"
        ) from error
    table = parquet.read_table(fetch("nasbench201/hw-nas-bench-360.parquet"))
    return {name: table[name].to_numpy() for name in table.column_names}
