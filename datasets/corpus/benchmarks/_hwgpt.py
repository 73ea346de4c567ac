"""What the three HW-GPT benchmarks have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, Final

import numpy as np

from archcast.datasets._benchmark import Benchmark, FloatArray
from archcast.datasets._csv_tables import numbers, read_columns
from archcast.datasets._fetch import fetch
from archcast.encoders.errors import DownloadError
from archcast.encoders.spaces.hwgpt import HWGPT, HWGPTLarge, HWGPTMedium, HWGPTSmall

_SPACES: Final[dict[str, type[HWGPT]]] = {"s": HWGPTSmall, "m": HWGPTMedium, "l": HWGPTLarge}
_GPUS: Final = ("P100", "a100", "a40", "a6000", "h100", "rtx2080", "rtx3080", "v100")
_CPUS: Final = ("cpu_a6000", "cpu_alldlc", "cpu_meta", "cpu_mlgpu", "cpu_p100", "helix_cpu")
#: Sequences at once; the table's operations are counted for as many.
_BATCH: Final = {"s": 8, "m": 4, "l": 1}
#: The table calls its energies kWh; they are Wh, for they are power times time.
_MILLIJOULE: Final = 3.6e6
_TRAINING: Final[dict[str, Any]] = {
    "inherited": True,
    "optimizer": "adamw",
    "lr": 3.16e-4,
    "sequence_length": 1024,
    "pretrain": None,
}


def benchmark(size: str) -> Benchmark:
    """The benchmark of one supernet: s, m or l.

    Raises:
        DownloadError: the table is not here; it has to come from a mirror.
    """
    name = f"hwgpt_{size}"
    space = _SPACES[size]()
    specs = _specs(size)
    readers: dict[str, Callable[[], FloatArray]] = {}
    stds: dict[str, Callable[[], FloatArray]] = {}
    for task, column, factor in _tasks():
        if np.any(_column(size, column)):  # a device's energies of nothing but zeros are none
            readers[task] = partial(_column, size, column, factor)
        spread = column.replace("latency_", "latency_std_")
        if spread != column and np.any(_column(size, spread)):
            stds[task] = partial(_column, size, spread)
    return Benchmark(
        name,
        specs,
        readers,
        lambda rows: space.graphs([specs[row] for row in rows]),
        key=space.parse,
        recipes={task: _recipe(size, task) for task in readers},
        stds=stds,
        proxies={
            f"openwebtext/{column}": partial(_column, size, column)
            for column in ("params", "flops")
        },
    )


def _recipe(size: str, task: str) -> dict[str, Any]:
    if task.startswith("openwebtext/"):
        return _TRAINING
    # Energies, powers and memory are of another number of sequences, which the source does not say.
    known = {"batch_size": _BATCH[size]} if task.endswith("/latency_ms") else {}
    return {"sequence_length": 1024, "inherited": False} | known


def _tasks() -> list[tuple[str, str, float]]:
    """Task, column, and what the column is multiplied by."""
    found = [
        ("openwebtext/perplexity", "perplexity", 1.0),
        ("openwebtext/accuracy", "accuracy", 100.0),
    ]
    for device in (*_GPUS, *_CPUS):
        found.append((f"{device.lower()}/latency_ms", f"latency_ms_{device}", 1.0))
        found.append((f"{device.lower()}/energy_mj", f"energy_kwh_{device}", _MILLIJOULE))
    found += [(f"{device.lower()}/power_w", f"power_w_{device}", 1.0) for device in _GPUS]
    return [*found, *((f"{d}/memory_mb", f"mem_mb_{d}", 1.0) for d in ("a100", "rtx2080"))]


@cache
def _table(size: str) -> dict[str, Sequence[str]]:
    name = f"hwgpt/{size}.csv.gz"
    try:
        path = fetch(name)
    except DownloadError as error:
        raise DownloadError(
            f"{name} is a table converted from the pickles of HW-GPT-Bench, which cannot be "
            "downloaded as such: point ARCHCAST_MIRROR at a folder or URL that has it "
            "(derived/hwgpt_*.csv.gz)"
        ) from error
    table = read_columns(path)
    # The table of the medium space holds rows of the small one, without any perplexity.
    widths = {str(width) for width in _SPACES[size].fields[0].options}
    kept = [row for row, width in enumerate(table["embed_dim"]) if width in widths]
    return {key: [column[row] for row in kept] for key, column in table.items()}


def _column(size: str, column: str, factor: float = 1.0) -> FloatArray:
    return numbers(_table(size)[column]) * factor


@cache
def _specs(size: str) -> list[str]:
    table: Any = _table(size)
    columns = [
        table[name] if name not in HWGPT.layered else [v.replace("|", ",") for v in table[name]]
        for name in ("embed_dim", "n_layer", "n_head", "mlp_ratio", "bias")
    ]
    return [
        f"embed_dim={e};n_layer={n};n_head={h};mlp_ratio={m};bias={b}"
        for e, n, h, m, b in zip(*columns, strict=True)
    ]
