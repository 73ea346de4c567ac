"""NAS-Bench-BERT: 500 encoders of FlexiBERT's space, trained as ELECTRA and scored on GLUE."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final

import numpy as np

from archcast.datasets._benchmark import Benchmark, FloatArray
from archcast.datasets._csv_tables import numbers, read_columns
from archcast.datasets._fetch import fetch
from archcast.encoders.spaces.flexibert import FlexiBERT

#: Task -> its score in the file.
_SCORES: Final = {
    "glue/average": "glue",
    "cola/mcc": "cola",
    "mnli/accuracy": "mnli",
    "mrpc/accuracy": "mrpc",
    "qnli/accuracy": "qnli",
    "qqp/accuracy": "qqp",
    "rte/accuracy": "rte",
    "sst2/accuracy": "sst",
    "stsb/spearman": "sts",
}
_RECIPE: Final = {
    "pretrain": "electra",
    "steps": 100_000,
    "batch_size": 128,
    "lr": 5e-4,
    "inherited": False,
}


def load() -> Benchmark:
    """The benchmark, in the order of its file.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    space = FlexiBERT()
    specs = [space.text(space.parse(_design(row))) for row in _rows()]
    labels: dict[str, Callable[[], FloatArray]] = {
        task: partial(_scores, key) for task, key in _SCORES.items()
    }
    labels["tpu/train_seconds"] = lambda: np.array([row["time_to_train"] for row in _rows()])
    return Benchmark(
        "nasbench_bert",
        specs,
        labels,
        lambda rows: space.graphs([specs[row] for row in rows]),
        space=space.name,
        key=space.parse,
        recipes=dict.fromkeys(labels, _RECIPE),
        families=lambda: [_as_trained(row) for row in _rows()],
        proxies={
            f"glue/{column.lower().replace(' ', '_')}": partial(_proxy, column)
            for column in list(_table())[2:]
        },
    )


@cache
def _rows() -> list[dict[str, Any]]:
    return json.loads(fetch("nasbench_bert/benchmark.json").read_text("utf-8"))


@cache
def _table() -> dict[str, Any]:
    return read_columns(fetch("nasbench_bert/proxies.csv"))


def _proxy(column: str) -> FloatArray:
    values = np.full(len(_rows()), np.nan)
    values[numbers(_table()["ID"]).astype(int)] = numbers(_table()[column])
    return values


def _scores(key: str) -> FloatArray:
    return np.array([row["scores"][key] for row in _rows()])


def _design(row: dict[str, Any]) -> dict[str, Any]:
    return row["hparams"]["model_hparam_overrides"]


def _as_trained(row: dict[str, Any]) -> str:
    """What two networks share that the released training code does not tell apart.

    It reads neither the operations nor the width of a feed-forward part of one hidden layer.
    """
    design = _design(row)
    layers = [
        (
            layer["num_operation_heads"],
            n := layer["num_feed_forward"],
            n > 1 and layer["feed_forward_dimension"],
        )
        for layer in design["nas_config"]["encoder_layers"]
    ]
    return json.dumps([design["hidden_size"], layers])
