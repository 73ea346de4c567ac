"""Building the shipped predictors anew from the benchmarks, byte for byte."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from archcast._shipped import FOLDER, path_of, universal_path
from archcast._tasks import Task, get_task, tasks
from archcast._training_sets import TrainingSet, source
from archcast._universal_set import QUALITY, pooled_rows
from archcast.encoders.errors import UnknownTaskError
from archcast.predictors import save_predictor
from archcast.predictors.tabular_predictor import TabularPredictor
from archcast.predictors.universal import UniversalPredictor

__all__ = ["PRESETS", "Preset", "pretrain"]


@dataclass(frozen=True)
class Preset:
    """What to build.

    Attributes:
        tasks: names of the tasks.
        rows: rows to train on at most, drawn at random; all if None.
        rounds: boosted trees.
        support: architectures that the kernel compares with at most.
        experts: trees of a search space in the universal predictor; 0 leaves it as it is.
    """

    tasks: tuple[str, ...]
    rows: int | None = None
    rounds: int = 300
    support: int = 600
    experts: int = 0


#: Name -> preset. ``core`` is what ships; ``universal-full`` the universal predictor without the
#: trimming that makes it small; ``tiny`` takes seconds and is for tests.
PRESETS = {
    "core": Preset(tuple(task.name for task in tasks()), experts=48),
    "universal": Preset((), experts=48),
    "universal-full": Preset((), experts=360),
    "tiny": Preset(("cifar100/test_accuracy",), rows=200, rounds=10, support=50),
}


def pretrain(
    preset: str = "core", out: str | Path | None = None, progress: bool = False
) -> Iterator[Path]:
    """Train predictors and write them, one file for each task.

    The same data and versions of the libraries give the same bytes.

    Args:
        preset: one of :data:`PRESETS`.
        out: folder for the files; by default the one they ship from.
        progress: whether to show a progress bar on standard error.

    Yields:
        Each file's path, as soon as it is written.

    Raises:
        UnknownTaskError: no such preset.
        MissingExtraError: LightGBM, or torch and timm for the zoo's graphs, are not installed.
        DownloadError: the benchmarks are not here and cannot be fetched.
    """
    if preset not in PRESETS:
        near = difflib.get_close_matches(preset, PRESETS, n=1) or list(PRESETS)
        raise UnknownTaskError(f"unknown preset {preset!r}; did you mean {' or '.join(near)}?")
    chosen = PRESETS[preset]
    folder = FOLDER if out is None else Path(out)
    for name in tqdm(chosen.tasks, desc="predictors", disable=not progress):
        task = get_task(name)
        yield build(task, source(name)(), chosen, path_of(task, folder))
    if chosen.experts:
        yield build_universal(chosen.experts, universal_path(folder), progress)


def build(task: Task, data: TrainingSet, preset: Preset, path: Path) -> Path:
    """Train one task's predictor on its data and write it."""
    if preset.rows is not None and len(data) > preset.rows:
        rng = np.random.default_rng(0)
        data = data.take(np.sort(rng.permutation(len(data))[: preset.rows]))
    zoo = task.dataset == "imagenet1k"
    predictor = TabularPredictor(
        task.transform,
        rounds=preset.rounds,
        leaves=15 if zoo else 31,
        learning_rate=0.04 if zoo else 0.1,
        smallest_leaf=8 if zoo else 20,
        support=len(data) if zoo else preset.support,
    )
    predictor.fit(
        data.x,
        data.y,
        groups=data.groups,
        shift=data.shift,
        recipe=data.recipe,
        target=data.target,
        names=data.names,
    )
    save_predictor(predictor, path, task=task.name, rows=len(data))
    return path


def build_universal(trees: int, path: Path, progress: bool = False) -> Path:
    """Train the universal predictor on the pooled table, which is built first if need be."""
    from archcast.datasets.pool import build_pool

    build_pool(list(QUALITY), progress=progress)
    rows = pooled_rows()
    predictor = UniversalPredictor(trees=trees, rows=1000 if trees < 100 else 3000)
    predictor.fit(
        rows.x,
        rows.y,
        spaces=rows.spaces,
        tasks=rows.tasks,
        smaller_is_better=rows.smaller_is_better,
    )
    save_predictor(predictor, path, rows=len(rows.y), benchmarks=list(QUALITY))
    return path
