"""The predictors that travel with the package."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from archcast._tasks import Task
from archcast.encoders.errors import StorageError, UnknownTaskError
from archcast.predictors import load_predictor
from archcast.predictors.tabular_predictor import TabularPredictor

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
        return load_predictor(path_of(task))
    except StorageError as error:
        raise UnknownTaskError(
            f"no predictor at hand for {task.name}; build it with 'archcast pretrain'"
        ) from error
