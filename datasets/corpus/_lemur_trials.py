"""LEMUR's tables: sources by name, and trials with their curves.

The table of 578,595 epochs is grouped into trials once, and kept as arrays.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import lzma
import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.datasets import _lemur_wheel
from archcast.datasets._fetch import cache_folder, fetch
from archcast.encoders._files import write_atomically

#: Changes whenever the kept arrays would.
_FORMAT: Final = 1
#: What tells one trial from another in the source.
_RECIPE: Final = ("batch", "lr", "momentum", "dropout", "transform", "extra")


@dataclass(frozen=True)
class Trials:
    """T trials, sorted by what they are; E epochs of all of them, one trial's after the other's.

    Attributes:
        task: (T,) kind of task, as the source calls it.
        dataset: (T,) data set, as the source calls it.
        metric: (T,) metric, as the source calls it.
        net: (T,) name of the source code.
        uid: (T,) first eight digits of the source's identifier of a recipe.
        batch_size: (T,) images a step.
        lr: (T,) initial learning rate.
        momentum: (T,) momentum, NaN where the network has none.
        dropout: (T,) dropout rate, NaN where the network has none.
        transform: (T,) how images are prepared.
        extra: (T,) further parameters as JSON; empty where there are none.
        first: (T + 1,) where each trial's epochs start.
        epoch: (E,) epoch, from 1.
        value: (E,) metric, as the source has it; the mean where an epoch was measured repeatedly.
        repeats: (E,) how often it was measured.
    """

    task: NDArray[np.str_]
    dataset: NDArray[np.str_]
    metric: NDArray[np.str_]
    net: NDArray[np.str_]
    uid: NDArray[np.str_]
    batch_size: NDArray[np.int64]
    lr: NDArray[np.float64]
    momentum: NDArray[np.float64]
    dropout: NDArray[np.float64]
    transform: NDArray[np.str_]
    extra: NDArray[np.str_]
    first: NDArray[np.int64]
    epoch: NDArray[np.int64]
    value: NDArray[np.float64]
    repeats: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.net)

    @property
    def last(self) -> NDArray[np.float64]:
        """(T,) value at the last epoch."""
        return self.value[self.first[1:] - 1]

    @property
    def best(self) -> NDArray[np.float64]:
        """(T,) highest value of all epochs."""
        return np.maximum.reduceat(self.value, self.first[:-1])

    @property
    def epochs(self) -> NDArray[np.int64]:
        """(T,) number of the last epoch."""
        return self.epoch[self.first[1:] - 1]


@cache
def sources() -> dict[str, str]:
    """Name -> Python source, 10,483 of them.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    path = _table("lemur/code.jsonl.xz", _lemur_wheel.code_table)
    with lzma.open(path, "rt", encoding="utf-8") as file:
        rows = map(json.loads, file)
        return {row["net"]: row["code"] for row in rows}


@cache
def trials() -> Trials:
    """All trials.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    source = _table("lemur/trials.csv.gz", _lemur_wheel.trial_table)
    code = hashlib.sha256(source.read_bytes()).hexdigest()[:8]
    kept = cache_folder() / "derived" / f"lemur-trials-{code}-{_FORMAT}.npz"
    if not kept.exists():
        columns = _grouped(source)
        write_atomically(kept, lambda file: np.savez_compressed(file, **columns))
    with np.load(kept, allow_pickle=False) as archive:
        return Trials(**{f.name: archive[f.name] for f in fields(Trials)})


def _table(name: str, make: Callable[[], Path]) -> Path:
    """A table from the mirror; where there is none, from the package it was made of."""
    if os.environ.get("ARCHCAST_MIRROR", ""):
        return fetch(name)
    return make()


def _grouped(path: Path) -> dict[str, Any]:
    found: dict[tuple[str, ...], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    key = ("task", "dataset", "metric", "net", "uid8", *_RECIPE)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        header = next(reader)
        places = [header.index(name) for name in key]
        epoch, value = header.index("epoch"), header.index("accuracy")
        for row in reader:
            found[tuple([row[i] for i in places])][int(row[epoch])].append(float(row[value]))
    keys = sorted(found)
    curves = [sorted(found[k].items()) for k in keys]
    text = dict(zip(key, zip(*keys, strict=True), strict=True))
    points = [point for curve in curves for point in curve]
    return {
        **{name: np.array(text[name]) for name in key[:4]},
        "uid": np.array(text["uid8"]),
        "batch_size": np.array([int(b) for b in text["batch"]]),
        **{name: _numbers(text[name]) for name in ("lr", "momentum", "dropout")},
        "transform": np.array(text["transform"]),
        "extra": np.array(text["extra"]),
        "first": np.cumsum([0, *map(len, curves)]),
        "epoch": np.array([e for e, _ in points]),
        "value": np.array([float(np.mean(v)) for _, v in points]),
        "repeats": np.array([len(v) for _, v in points]),
    }


def _numbers(texts: tuple[str, ...]) -> NDArray[np.float64]:
    return np.array([float(text) if text else np.nan for text in texts])
