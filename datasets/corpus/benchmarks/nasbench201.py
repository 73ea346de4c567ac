"""NAS-Bench-201: 15,625 cells trained on CIFAR-10, CIFAR-100 and ImageNet16-120."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final

import numpy as np

from archcast.datasets._benchmark import Benchmark, FloatArray
from archcast.datasets._fetch import fetch
from archcast.datasets._unpickle import load_pickle
from archcast.encoders.spaces.nasbench201 import CONV1, CONV3, NONE, POOL, SKIP, NASBench201

#: Data set -> its name in the table of test accuracies and in the validation archive.
_SETS: Final = {
    "cifar10": ("CIFAR10TestAccuracy200Epochs", "cifar10"),
    "cifar100": ("CIFAR100TestAccuracy200Epochs", "cifar100"),
    "imagenet16-120": ("ImageNetTestAccuracy200Epochs", "ImageNet16-120"),
}
#: The validation archive's code of an operator, and where each of its edges stands in the text.
_ZEN_OPERATORS: Final = (SKIP, NONE, CONV3, CONV1, POOL)
_ZEN_EDGES: Final = (0, 1, 3, 2, 4, 5)
#: The seed file's code of an operator; its edges stand in the order of the text.
_SEED_OPERATORS: Final = (NONE, SKIP, CONV1, CONV3, POOL)
_RECIPE: Final = {"optimizer": "sgd", "batch_size": 256, "pretrain": None, "inherited": False}


def load() -> Benchmark:
    """The benchmark; rows are in its own index order.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    space, table = NASBench201(), _table()
    specs = table["ArchitectureString"]
    labels: dict[str, Callable[[], FloatArray]] = {
        f"{data}/test_accuracy": partial(_test, data) for data in _SETS
    }
    labels |= {f"{data}/val_accuracy": partial(_validation, data) for data in _SETS}
    labels["cifar10/val_accuracy_12_epochs"] = _twelve_epochs
    return Benchmark(
        "nasbench201",
        specs,
        labels,
        lambda rows: space.graphs([specs[row] for row in rows]),
        key=space.parse,
        recipes={
            task: _RECIPE | {"epochs": 12 if task.endswith("_12_epochs") else 200}
            for task in labels
        },
        seeds={"cifar10/test_accuracy": _seeds},
    )


def isomorphism_classes() -> list[str]:
    """(15,625,) the benchmark's own isomorphism strings, equal for cells it calls the same."""
    return _table()["UniqueString"]


@cache
def _table() -> dict[str, list[str]]:
    with fetch("nasbench201/test.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return {
        name: list(column) for name, column in zip(header, zip(*rows, strict=True), strict=True)
    }


def _test(data: str) -> FloatArray:
    return np.array(_table()[_SETS[data][0]], np.float64)


def _validation(data: str) -> FloatArray:
    prefix = f"zen/benchmark--nasbench201--{_SETS[data][1]}--"
    found: dict[tuple[int, ...], float] = {}
    with zipfile.ZipFile(fetch("nasbench201/validation.zip")) as archive:
        for name in archive.namelist():
            for row in json.loads(archive.read(name)) if name.startswith(prefix) else ():
                codes = json.loads(row["arch"].translate(_BRACKETS))
                found[_from_codes(codes, _ZEN_OPERATORS, _ZEN_EDGES)] = row["val_accuracy"]
    return np.array([found.get(cell, np.nan) for cell in _cells()], np.float64)


def _seeds() -> FloatArray:
    values = np.full((len(_cells()), 3), np.nan)
    rows = {cell: row for row, cell in enumerate(_cells())}
    for codes, seeds in load_pickle(fetch("nasbench201/seeds.pickle")).items():
        values[rows[_from_codes(codes, _SEED_OPERATORS, range(6))], : len(seeds)] = seeds
    return values


def _twelve_epochs() -> FloatArray:
    records = load_pickle(fetch("nasbench201/12-epochs.pickle"))
    found = {record["arch"]: record["valacc"] for record in records}
    return np.array([found.get(text, np.nan) for text in _table()["ArchitectureString"]])


_BRACKETS: Final = str.maketrans("()", "[]")


@cache
def _cells() -> tuple[tuple[int, ...], ...]:
    space = NASBench201()
    return tuple(space.parse(text) for text in _table()["ArchitectureString"])


def _from_codes(codes: Any, operators: Any, edges: Any) -> tuple[int, ...]:
    cell = [0] * 6
    for edge, code in zip(edges, codes, strict=True):
        cell[edge] = operators[code]
    return tuple(cell)
