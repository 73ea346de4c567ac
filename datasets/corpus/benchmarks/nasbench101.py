"""NAS-Bench-101: 30,001 of its 423,624 cells, trained once on CIFAR-10."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from archcast.datasets._benchmark import Benchmark, FloatArray
from archcast.datasets._fetch import fetch
from archcast.datasets.benchmarks._nasbench101_table import cell_table
from archcast.datasets.benchmarks._nasbench101_zen import zen_scores
from archcast.encoders.spaces.nasbench101 import Cell101, NASBench101

_FILES: Final = ("nasbench101/20k.json", "nasbench101/10k.json")
_BUDGETS: Final = (4, 12, 36, 108)
#: Seconds the training of 108 epochs took.
_TIME: Final = "tpu_v2/training_time_s"
_RECIPE: Final = {"optimizer": "rmsprop", "batch_size": 256, "pretrain": None, "inherited": False}


def load() -> Benchmark:
    """The benchmark.

    The first call on a machine enumerates the space and hashes its cells, which takes a minute
    and is kept in the cache folder.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
        StorageError: the cache folder cannot be written.
    """
    space, records = NASBench101(), _records()
    specs = specs_of(records["key"])
    hashes = dict(zip(specs, records["key"], strict=True))
    task = {e: "cifar10/val_accuracy" + (f"_{e}_epochs" if e != 108 else "") for e in _BUDGETS}
    columns = {e: records[f"{e}_final_validation_accuracy"] for e in _BUDGETS}
    seconds = {_TIME: lambda: np.array(records["final_training_time"], np.float64)}
    return Benchmark(
        "nasbench101",
        specs,
        {task[e]: partial(_percent, columns[e]) for e in reversed(_BUDGETS)} | seconds,
        lambda rows: space.graphs([specs[row] for row in rows]),
        key=lambda text: hashes.get(text) or space.module_hash(text),
        recipes={task[e]: _RECIPE | {"epochs": e} for e in _BUDGETS}
        | {_TIME: _RECIPE | {"epochs": _BUDGETS[-1]}},
        proxies={"cifar10/zen": partial(_zen, records["key"])},
        curves={task[_BUDGETS[-1]]: lambda: _percent([columns[e] for e in _BUDGETS]).T},
    )


def specs_of(hashes: list[str]) -> list[str]:
    """Specifications of cells given by the benchmark's own hashes.

    Args:
        hashes: N MD5 sums in hexadecimal.

    Returns:
        (N,) texts for :class:`~archcast.encoders.spaces.NASBench101`.

    Raises:
        KeyError: a hash that no cell of the space has.
    """
    table = cell_table()
    known = table["hashes"].view("S16").ravel()
    order = np.argsort(known)
    wanted = np.array([bytes.fromhex(text) for text in hashes], "S16")
    rows = order[np.searchsorted(known, wanted, sorter=order).clip(max=len(order) - 1)]
    missing = np.flatnonzero(known[rows] != wanted)
    if len(missing):
        raise KeyError(f"no cell of NAS-Bench-101 has the hash {hashes[missing[0]]}")
    space = NASBench101()
    columns = (table["vertices"][rows], table["matrices"][rows], table["labels"][rows])
    texts = []
    for vertices, packed, labels in zip(*(column.tolist() for column in columns), strict=True):
        bits = [packed >> k & 1 for k in range(vertices**2)]
        matrix = tuple(tuple(bits[v * vertices : (v + 1) * vertices]) for v in range(vertices))
        texts.append(space.text(Cell101(matrix, tuple(labels[: vertices - 2]))))
    return texts


def _records() -> dict[str, list[Any]]:
    parts = [json.loads(fetch(name).read_text("utf-8")) for name in _FILES]
    return {key: [value for part in parts for value in part[key]] for key in parts[0]}


def _percent(fractions: Sequence[Any]) -> FloatArray:
    return 100 * np.array(fractions, np.float64)


def _zen(hashes: list[str]) -> FloatArray:
    scores = zen_scores()
    return np.array([scores.get(name, np.nan) for name in hashes])
