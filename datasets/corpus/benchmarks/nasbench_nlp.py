"""NAS-Bench-NLP: recurrent cells as language models of the Penn Treebank and of WikiText-2.

Two sources hold different parts of it: test losses on the Penn Treebank and published scores of
training-free proxies, without the cells, and training logs on WikiText-2, with the cells. A row is
a cell of either, by its number.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterable
from functools import cache, partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.datasets._benchmark import Benchmark, FloatArray
from archcast.datasets._fetch import fetch
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces.nasbench_nlp import NASBenchNLP

_PTB: Final = "penn_treebank/test_loss"
#: Task -> the logs' name of its curve.
_WIKITEXT: Final = {"wikitext2/val_loss": "val_losses", "wikitext2/test_loss": "test_losses"}
_EPOCHS: Final = 50
#: Columns of the table of proxies that are none.
_NO_PROXIES: Final = {"log name", "loss", "perplexity", "bits per word"}
#: What the training script sets for both corpora, and the logs confirm for WikiText-2.
_RECIPE: Final[dict[str, Any]] = {
    "epochs": _EPOCHS,
    "optimizer": "adam",
    "lr": 1e-3,
    "batch_size": 20,
}


def load() -> Benchmark:
    """The benchmark: the rows of the table of proxies, then the cells known from logs only.

    Rows whose cell is not known are called ``model_<number>`` and have no graph.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    space, specs = NASBenchNLP(), _specs()
    proxies = [name for name in _table("proxies") if name not in _NO_PROXIES]
    return Benchmark(
        "nasbench_nlp",
        specs,
        {_PTB: _ptb_losses} | {task: partial(_last, curve) for task, curve in _WIKITEXT.items()},
        lambda rows: space.graphs([_known(specs[row]) for row in rows]),
        key=lambda text: text if text.startswith("model_") else space.parse(text),
        recipes=dict.fromkeys((_PTB, *_WIKITEXT), _RECIPE),
        seeds={task: partial(_repeats, curve) for task, curve in _WIKITEXT.items()},
        families=_specs,
        proxies={
            f"penn_treebank/{name.lower().replace(' ', '_')}": partial(_scores, "proxies", name)
            for name in proxies
        }
        # All of them are trainable; a line break is missing in the column of the total.
        | {"penn_treebank/params": partial(_scores, "parameters", "trainable paramters")},
        curves={task: partial(_curves, curve) for task, curve in _WIKITEXT.items()},
        with_graph=lambda: [i for i, spec in enumerate(specs) if spec.startswith("{")],
    )


def _known(spec: str) -> str:
    if not spec.startswith("{"):
        raise InvalidSpecError(f"nasbench_nlp: the cell of {spec} was not published")
    return spec


@cache
def _specs() -> list[str]:
    space, logs = NASBenchNLP(), _logs()
    recipes = {number: space.text(space.parse(runs[0]["recepie"])) for number, runs in logs.items()}
    return [recipes.get(number, f"model_{number}") for number in _numbers()]


@cache
def _numbers() -> list[int]:
    """The number of the cell of every row."""
    table = dict.fromkeys(_table("proxies")["log name"])
    return list(dict.fromkeys([*map(_number, table), *_logs()]))


def _number(log: str) -> int:
    """The number of a cell in ``log_stats_model_<number>_<date>_<time>_<run>.json``."""
    return int(log.split("_")[3])


@cache
def _table(name: str) -> dict[str, list[str]]:
    """Columns of a table; rows that are no log, such as of an archive, are left out."""
    path = fetch(f"nasbench_nlp/{name}.csv")
    with path.open(newline="", encoding="utf-8-sig") as file:
        header, *rows = csv.reader(file)
    rows = [row for row in rows if row[0].startswith("log_stats_model_")]
    # Rows that could not be computed are padded beyond the header.
    return {column: [row[at] for row in rows] for at, column in enumerate(header)}


@cache
def _logs() -> dict[int, list[dict[str, Any]]]:
    """Number of a cell -> its trainings on WikiText-2."""
    found: dict[int, list[dict[str, Any]]] = {}
    with zipfile.ZipFile(fetch("nasbench_nlp/logs.zip")) as archive:
        for name in sorted(n for n in archive.namelist() if n.startswith("log_stats_model_")):
            found.setdefault(_number(name), []).append(json.loads(archive.read(name)))
    return found


def _scores(table: str, column: str) -> FloatArray:
    """A column of a table in the order of the rows, NaN where it has none."""
    columns = _table(table)
    values: dict[int, float] = {}
    for log, text in zip(columns["log name"], columns[column], strict=True):
        value = float(text)
        # Ten logs are listed eleven times, once with numbers.
        if not np.isnan(value):
            values[_number(log)] = value
    return np.array([values.get(number, np.nan) for number in _numbers()])


def _ptb_losses() -> FloatArray:
    losses, more = _scores("proxies", "loss"), _scores("parameters", "loss")
    return np.where(np.isnan(losses), more, losses)


def _repeats(curve: str) -> FloatArray:
    """(rows, 2) losses after the last epoch of each training, NaN where it broke off."""
    rows = [[run[curve] for run in _logs().get(number, ())] for number in _numbers()]
    return _padded([[c[-1] for c in curves if len(c) == _EPOCHS] for curves in rows], 2)


def _last(curve: str) -> FloatArray:
    repeats = _repeats(curve)
    count = np.isfinite(repeats).sum(1)
    return np.where(count > 0, np.nansum(repeats, 1) / np.maximum(count, 1), np.nan)


def _curves(curve: str) -> FloatArray:
    """(rows, 50) losses after every epoch of the first training."""
    runs = [_logs().get(number) for number in _numbers()]
    return _padded([run[0][curve] if run else [] for run in runs], _EPOCHS)


def _padded(rows: Iterable[list[float]], width: int) -> NDArray[np.float64]:
    return np.array([[*row, *[np.nan] * (width - len(row))] for row in rows], np.float64)
