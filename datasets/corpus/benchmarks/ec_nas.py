"""EC-NAS: every NAS-Bench-101 cell of at most five vertices, with the energy of its training."""

from __future__ import annotations

import base64
import json
from functools import cache, partial
from typing import Any, Final, NamedTuple

import numpy as np

from archcast.datasets._benchmark import Benchmark, FloatArray
from archcast.datasets._fetch import fetch
from archcast.datasets._tfrecord import read_message, read_records
from archcast.encoders.spaces.nasbench101 import NASBench101

_EPOCHS: Final = 4
_RECIPE: Final = {
    "epochs": _EPOCHS,
    "optimizer": "rmsprop",
    "image_size": 32,
    "pretrain": None,
    "inherited": False,
    "device": "quadro_rtx_6000",
}
#: Field of a stored model that repeats: one evaluation, at 0, 2 and 4 epochs.
_EVALUATION: Final = 1
#: Field of a stored model: trainable parameters.
_PARAMS: Final = 2
#: Task -> field of an evaluation, and the factor to the task's unit.
_TASKS: Final = {
    "cifar10/val_accuracy_4_epochs": (4, 100.0),
    "cifar10/test_accuracy_4_epochs": (5, 100.0),
    "cifar10/train_accuracy_4_epochs": (3, 100.0),
    "quadro_rtx_6000/training_energy_kwh": (6, 1.0),
    "quadro_rtx_6000/training_co2eq_g": (7, 1.0),
    "quadro_rtx_6000/training_time_s": (2, 1.0),
}


class _Model(NamedTuple):
    """One stored model: its cell, parameters, and an evaluation's fields at 0, 2 and 4 epochs."""

    spec: str
    params: int
    evaluations: tuple[dict[int, Any], ...]


def load() -> Benchmark:
    """The benchmark, in the order of its file.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    space, specs = NASBench101(), [model.spec for model in _models()]
    return Benchmark(
        "ec_nas",
        specs,
        {task: partial(_labels, task) for task in _TASKS},
        lambda rows: space.graphs([specs[row] for row in rows]),
        space=space.name,
        key=space.module_hash,
        recipes=dict.fromkeys(_TASKS, _RECIPE),
        curves={task: partial(_curves, task) for task in _TASKS if task.startswith("cifar10/")},
    )


def parameters() -> list[int]:
    """(N,) trainable parameters as the benchmark counts them."""
    return [model.params for model in _models()]


def _labels(task: str) -> FloatArray:
    field, factor = _TASKS[task]
    return factor * np.array([model.evaluations[-1][field] for model in _models()])


def _curves(task: str) -> FloatArray:
    field, factor = _TASKS[task]
    return factor * np.array([[e[field] for e in model.evaluations] for model in _models()])


@cache
def _models() -> tuple[_Model, ...]:
    space, models = NASBench101(), []
    for record in read_records(fetch("ec_nas/5V9E.tfrecord")):
        _, _, bits, names, encoded = json.loads(record)
        fields = list(read_message(base64.b64decode(encoded)))
        evaluations = tuple(
            dict(read_message(content))
            for number, content in fields
            if number == _EVALUATION and isinstance(content, bytes)
        )
        # Between the names of input and output, as the space writes a cell.
        spec = space.text(space.parse(f"{bits}:{','.join(names.split(',')[1:-1])}"))
        models.append(_Model(spec, int(dict(fields)[_PARAMS]), evaluations))
    return tuple(models)
