"""The predictors that travel with the package."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from archcast._tasks import Task
from archcast.encoders.errors import (
    InvalidSettingError,
    ModelFormatError,
    StorageError,
    UnknownTaskError,
)
from archcast.predictors import load_predictor
from archcast.predictors.tabular_predictor import TabularPredictor
from archcast.predictors.universal import UniversalPredictor

FOLDER = Path(__file__).parent / "pretrained"


def path_of(task: Task, folder: Path = FOLDER) -> Path:
    """Where a task's predictor lies."""
    return folder / f"{task.name.replace('/', '.')}.safetensors"


@cache
def predictor_for(task: Task) -> TabularPredictor:
    """The shipped predictor of a task, read once.

    Raises:
        UnknownTaskError: none ships for it.
        ModelFormatError: its file is damaged.
    """
    try:
        found = load_predictor(path_of(task))
    except StorageError as error:
        raise UnknownTaskError(
            f"no predictor at hand for {task.name}; build it with 'archcast pretrain'"
        ) from error
    if not isinstance(found, TabularPredictor):
        raise ModelFormatError(f"{path_of(task)}: not the predictor of a task, but {found.kind}")
    return found


def universal_path(folder: Path = FOLDER) -> Path:
    """Where the universal predictor lies."""
    return folder / "universal.safetensors"


@cache
def _universal() -> UniversalPredictor:
    found = load_predictor(universal_path())
    if not isinstance(found, UniversalPredictor):
        raise ModelFormatError(f"{universal_path()}: not the universal predictor")
    return found


def universal(task: str | Task | None = None) -> UniversalPredictor:
    """The universal predictor that ships: how good a network is, next to others of its space.

    It has learned from all search spaces of the pooled corpus. Its scores are in no task's unit;
    ``adapt`` brings them there with a few labels.

    Args:
        task: data set or task that scores are for: ``cifar10/test_accuracy``. What stands before
            the ``/`` counts: what was learned on that data set counts more. Capitals, hyphens and
            the like do not matter (``CIFAR-10``). Any other name is allowed, for a task of one's
            own, and gives the same as None. Known are the data sets of
            ``universal().experts_.tasks``, such as ``imagenet1k``; there is no plain ``imagenet``.

    Raises:
        StorageError: its file is missing.
        ModelFormatError: its file is damaged.
        InvalidSettingError: the task is no text.
    """
    name = task.name if isinstance(task, Task) else task
    if name is not None and not isinstance(name, str):
        raise InvalidSettingError(
            f"task is a name such as cifar10/test_accuracy, not of type {type(task).__name__}"
        )
    found = copy.copy(_universal())
    return found.set_params(task=name and _as_learned(name, found.experts_.tasks))


def _as_learned(task: str, known: Sequence[str]) -> str:
    """A task with its data set written as the predictor knows it; unchanged if it does not."""
    data, slash, metric = task.partition("/")
    names = {_plain(name): name for name in (one.partition("/")[0] for one in known)}
    return f"{names.get(_plain(data), data)}{slash}{metric}"


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()
