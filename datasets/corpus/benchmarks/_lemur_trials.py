"""LEMUR's tables: sources by name, and trials with their curves.

The table of 578,595 epochs is grouped into trials once, and kept as arrays.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import lzma
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.datasets._derived import derived
from archcast.datasets._fetch import fetch
from archcast.datasets.benchmarks import _lemur_wheel

#: Changes whenever the kept arrays would.
_FORMAT: Final = 2
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
    extra: NDArray[np.object_]
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
    kept = derived("lemur-trials.npz", f"{code}-{_FORMAT}", lambda: _packed(_grouped(source)))
    with np.load(kept, allow_pickle=False) as archive:
        return Trials(**{f.name: _column(archive, f.name) for f in fields(Trials)})


def _packed(columns: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **columns)
    return file.getvalue()


def _column(archive: Any, name: str) -> NDArray[Any]:
    if name in archive:
        return archive[name]
    # Objects: texts of up to hundreds of characters, most of them empty, are shared.
    words = archive[f"{name}.words"]
    return words.astype(object if name == "extra" else words.dtype)[archive[f"{name}.codes"]]


def _texts(name: str, texts: Iterable[str]) -> dict[str, NDArray[Any]]:
    """A column of few different texts, as what :func:`_column` puts together again."""
    words, codes = np.unique(np.array(list(texts)), return_inverse=True)
    return {f"{name}.words": words, f"{name}.codes": codes.astype(np.int32)}


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
    columns = {name: text[name] for name in (*key[:4], "transform", "extra")}
    columns["uid"] = text["uid8"]
    coded = [_texts(name, column) for name, column in columns.items()]
    return {
        **{name: array for arrays in coded for name, array in arrays.items()},
        "batch_size": np.array([int(b) for b in text["batch"]]),
        **{name: _numbers(text[name]) for name in ("lr", "momentum", "dropout")},
        "first": np.cumsum([0, *map(len, curves)]),
        "epoch": np.array([e for e, _ in points]),
        "value": np.array([float(np.mean(v)) for _, v in points]),
        "repeats": np.array([len(v) for _, v in points]),
    }


def _numbers(texts: tuple[str, ...]) -> NDArray[np.float64]:
    return np.array([float(text) if text else np.nan for text in texts])
