"""ScAn-Bench: 1,194 decoder language models, each with a recipe of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.datasets._benchmark import Benchmark, FloatArray
from archcast.datasets._csv_tables import numbers, read_columns
from archcast.datasets._fetch import fetch
from archcast.encoders.spaces.scan_llm import ScanLLM

_SPEC: Final = ("d_model", "n_layers", "n_heads")
_LOSSES: Final = {"slimpajama/test_loss": "test_loss", "slimpajama/val_loss": "valid_loss"}
#: Recipe field -> column.
_RECIPE: Final = {
    "tokens": "n_tokens",
    "lr": "lr",
    "weight_decay": "weight_decay",
    "beta1": "beta1",
    "beta2": "beta2",
    "cooldown": "cooldown_steps",
}


def load() -> Benchmark:
    """The benchmark, one row a configuration, in the order of its table.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    space = ScanLLM()
    table, last = _table(), _last()
    columns = ([table[name][row] for row in last] for name in _SPEC)
    specs = [
        ";".join(f"{name}={value}" for name, value in zip(_SPEC, values, strict=True))
        for values in zip(*columns, strict=True)
    ]
    labels: dict[str, Callable[[], FloatArray]] = {
        task: partial(_final, column) for task, column in _LOSSES.items()
    }
    labels |= {
        _task(column): partial(_final, column, 1.0 if column == _CORE else 100.0)
        for column in table
        if column.startswith("downstream_") and column != "downstream_tasks"
    }
    recipe = _recipe()
    return Benchmark(
        "scan_bench",
        specs,
        labels,
        lambda rows: space.graphs([specs[row] for row in rows]),
        space=space.name,
        key=space.parse,
        recipes=dict.fromkeys(labels, recipe),
        proxies={"slimpajama/params": partial(_final, "total_params")},
        curves={task: partial(_curves, column) for task, column in _LOSSES.items()},
    )


_CORE: Final = "downstream_Core_v2"


def progress() -> FloatArray:
    """(1,194, 10) share of the training at each step of the curves, NaN where there is none."""
    return _curves("step_fraction")


@cache
def _table() -> dict[str, Sequence[str]]:
    return read_columns(fetch("scan_bench/llm.csv.gz"))


@cache
def _places() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every line of the table its configuration and its step."""
    known: dict[str, int] = {}
    rows = [known.setdefault(name, len(known)) for name in _table()["config_id"]]
    return np.array(rows), numbers(_table()["step_index"]).astype(np.int64)


@cache
def _last() -> NDArray[np.int64]:
    """(1,194,) lines of the last measurements."""
    rows, steps = _places()
    order = np.lexsort((steps, rows))
    return order[np.flatnonzero(np.diff(rows[order], append=-1))]


def _final(column: str, factor: float = 1.0) -> FloatArray:
    return numbers(_table()[column])[_last()] * factor


def _curves(column: str) -> FloatArray:
    rows, steps = _places()
    values = np.full((rows.max() + 1, steps.max() + 1), np.nan)
    values[rows, steps] = numbers(_table()[column])
    return values


def _task(column: str) -> str:
    name = column.removeprefix("downstream_").lower()
    return f"{name}/score" if column == _CORE else f"{name}/accuracy"


def _recipe() -> dict[str, Any]:
    """Fields of all rows, and (1,194,) arrays of those that differ."""
    sizes = ("micro_batch_size", "grad_accumulation_steps", "recommended_num_gpus")
    batch = np.prod([_final(column) for column in sizes], axis=0)
    fixed = {
        "optimizer": "adamw", "warmup": 0.05, "schedule": "warmup-stable-decay",
        "sequence_length": 2048, "inherited": False, "pretrain": None,
    }  # fmt: skip
    return fixed | {k: _final(column) for k, column in _RECIPE.items()} | {"batch_size": batch}
