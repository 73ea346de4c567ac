"""Training any predictor on pooled benchmarks, as a configuration file says.

A file of one predictor::

    predictor = "gin"
    task = "cifar10/test_accuracy"   # what a forecast means
    params = { epochs = 40, width = 64 }

    [[data]]
    benchmark = "nasbench101"
    task = "cifar10/val_accuracy"
    rows = 5000                      # at most; all if it is not said

or of several, each with a name, under ``[[model]]`` and ``[[model.data]]``. A predictor among the
parameters of another is a table with a ``predictor`` of its own. ``scale = "rank"`` learns normal
scores within each benchmark, the larger the better, where labels have no common unit;
``scale = "tasks"`` learns every task as an output of its own, with labels missing.
"""

from __future__ import annotations

import difflib
import json
import shutil
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from archcast.datasets.transfers import Population
from archcast.encoders._fingerprint import fingerprint, imported_files
from archcast.encoders.errors import ArchcastError, InvalidSettingError, StorageError
from archcast.evaluation._cases import Rows, Sample, drawn, once, population_rows
from archcast.evaluation._scale import usual_transform
from archcast.evaluation._settings import fitting
from archcast.predictors import Predictor, get_predictor, save_predictor
from archcast.predictors.storage import read_about

_MODEL: Final = ("name", "predictor", "task", "scale", "params", "data")
_DATA: Final = ("benchmark", "task", "rows")
_SCALES: Final = ("natural", "rank", "tasks")


@dataclass(frozen=True)
class Recipe:
    """One predictor to train.

    Attributes:
        name: of its file, without the ending.
        predictor: name in the registry.
        task: what a forecast means.
        scale: ``natural``, ``rank`` or ``tasks``.
        params: keywords of the predictor.
        data: benchmark, task and rows at most (0 for all) of each source.
    """

    name: str
    predictor: str
    task: str
    scale: str
    params: Mapping[str, Any]
    data: tuple[tuple[str, str, int], ...]


def pretrain_config(
    path: str | Path,
    out: str | Path,
    *,
    logs: Sequence[str] = (),
    devices: int = 1,
    progress: bool = False,
) -> Iterator[Path]:
    """Train what a configuration file says.

    What is finished and unchanged (configuration, data, code) is kept. A predictor that learns by
    epochs and was killed goes on from its last checkpoint, at most a minute back; any other starts
    anew.

    Args:
        path: the file.
        out: folder for the predictors, ``<name>.safetensors`` each.
        logs: ``csv`` and ``tensorboard``, of predictors that learn by epochs, in
            ``<out>/<name>.training``.
        devices: processes or GPUs that share every step, of predictors that can.
        progress: show progress bars.

    Yields:
        Each file's path, as soon as it is there.

    Raises:
        StorageError: the configuration cannot be read, or the folder not be written.
        InvalidSettingError: the configuration makes no sense; or logs or devices are asked of a
            predictor that has none.
        UnknownDatasetError: no such benchmark.
        UnknownTaskError: it has no such task.
    """
    folder = Path(out)
    for recipe in read_config(path):
        yield _train(recipe, folder, logs, devices, progress)


# ------------------------------------------------------------------- configuration
def read_config(path: str | Path) -> list[Recipe]:
    """The predictors of a configuration file.

    Raises:
        StorageError: it cannot be read.
        InvalidSettingError: it is not TOML, or not of this form.
    """
    file = Path(path)
    try:
        found = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise StorageError(f"cannot read {file}: {error.strerror or error}") from error
    except ValueError as error:
        raise InvalidSettingError(f"{file}: not TOML ({error})") from error
    if "model" not in found:
        return [_recipe(found | {"name": found.get("name", file.stem)}, f"{file}")]
    if set(found) != {"model"} or not isinstance(found["model"], list):
        raise InvalidSettingError(f"{file}: beside [[model]] nothing may stand")
    recipes = [_recipe(model, f"{file}, model {at}") for at, model in enumerate(found["model"], 1)]
    names = [recipe.name for recipe in recipes]
    if len(set(names)) < len(names):
        raise InvalidSettingError(f"{file}: two models have the same name")
    return recipes


def _recipe(model: Mapping[str, Any], where: str) -> Recipe:
    _known(model, _MODEL, where)
    data = model.get("data")
    if not isinstance(data, list) or not data:
        raise InvalidSettingError(f"{where}: no [[data]] to learn from")
    sources = tuple(_source(part, f"{where}, [[data]] {at}") for at, part in enumerate(data, 1))
    params = model.get("params", {})
    if not isinstance(params, Mapping):
        raise InvalidSettingError(f"{where}: params is a table, not {params!r}")
    recipe = Recipe(
        _text(model, "name", where),
        _text(model, "predictor", where),
        _text({"task": sources[0][1]} | dict(model), "task", where),
        _text({"scale": "natural"} | dict(model), "scale", where),
        dict(params),
        sources,
    )
    if recipe.scale not in _SCALES:
        raise InvalidSettingError(f"{where}: scale is one of {', '.join(_SCALES)}")
    if not recipe.name or Path(recipe.name).name != recipe.name:
        raise InvalidSettingError(f"{where}: {recipe.name!r} cannot be a file's name")
    return recipe


def _source(part: Any, where: str) -> tuple[str, str, int]:
    """Benchmark, task and rows at most."""
    _known(part, _DATA, where)
    rows = part.get("rows", 0)
    if not isinstance(rows, int) or isinstance(rows, bool) or rows < 0:
        raise InvalidSettingError(f"{where}: rows is a whole number, 0 for all, not {rows!r}")
    return _text(part, "benchmark", where), _text(part, "task", where), rows


def _text(table: Mapping[str, Any], key: str, where: str) -> str:
    if key not in table:
        raise InvalidSettingError(f"{where}: {key!r} is missing")
    if not isinstance(table[key], str):
        raise InvalidSettingError(f"{where}: {key} is a text, not {table[key]!r}")
    return table[key]


def _known(table: Any, keys: Sequence[str], where: str) -> None:
    if not isinstance(table, Mapping):
        raise InvalidSettingError(f"{where}: {table!r} is no table")
    for key in table:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1) or keys
            raise InvalidSettingError(f"{where}: no {key!r}; did you mean {' or '.join(near)}?")


# ------------------------------------------------------------------------ training
def _train(recipe: Recipe, out: Path, logs: Sequence[str], devices: int, progress: bool) -> Path:
    predictor = _made(recipe)
    own = predictor.get_params(deep=False)
    for wanted, keyword, option in ((devices > 1, "processes", "devices"), (logs, "logs", "logs")):
        if wanted and keyword not in own:
            raise InvalidSettingError(f"{recipe.predictor} does not learn by epochs: no {option}")
    sample, labels = _data(recipe)
    made_of = _fingerprint(recipe, predictor, sample, labels)
    target = out / f"{recipe.name}.safetensors"
    if _finished(target, made_of):
        return target
    work = out / f"{recipe.name}.training"
    running = {"folder": str(work / made_of), "logs": ",".join(logs), "processes": devices}
    running |= {"progress": progress}
    predictor.set_params(**{key: value for key, value in running.items() if key in own})
    predictor.fit(sample.encoded(predictor.encoding), labels, groups=sample.groups)
    predictor.set_params(**{key: own[key] for key in running if key in own})
    about = {"task": recipe.task, "labels": len(labels), "made_of": made_of}
    save_predictor(predictor, target, **about)
    if not logs:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _made(recipe: Recipe) -> Predictor:
    made = _predictor(recipe.predictor, recipe.params)
    own = made.get_params(deep=False)
    if "transform" in own and "transform" not in recipe.params and recipe.scale == "natural":
        made.set_params(transform=usual_transform(recipe.task))
    if recipe.scale == "tasks" and not made.several:
        raise InvalidSettingError(f"{recipe.predictor} learns one task; scale 'tasks' has several")
    return made


def _nested(value: Any) -> Any:
    """A predictor, where a table of parameters describes one."""
    if not isinstance(value, Mapping) or "predictor" not in value:
        return value
    inner = {key: item for key, item in value.items() if key != "predictor"}
    return _predictor(str(value["predictor"]), inner)


def _predictor(name: str, params: Mapping[str, Any]) -> Predictor:
    return get_predictor(name, **fitting(name, {k: _nested(v) for k, v in params.items()}))


def _data(recipe: Recipe) -> tuple[Sample, np.ndarray[Any, Any]]:
    """What is learned from: networks once, and their labels, (n,) or (n, T)."""
    natural = recipe.scale != "rank"
    parts: list[Rows] = []
    for at, (benchmark, task, most) in enumerate(recipe.data):
        rows = once(population_rows(Population(benchmark, task), natural))
        parts.append(drawn(rows, most, np.random.default_rng(at)))
    sample = Sample(tuple(parts))
    if recipe.scale != "tasks":
        return sample, sample.labels
    tasks = list(dict.fromkeys(task for _, task, _ in recipe.data))
    labels = np.full((len(sample), len(tasks)), np.nan)
    start = 0
    for part, (_, task, _) in zip(parts, recipe.data, strict=True):
        labels[start : start + len(part.rows), tasks.index(task)] = part.labels
        start += len(part.rows)
    return sample, labels


def _fingerprint(
    recipe: Recipe, predictor: Predictor, sample: Sample, labels: np.ndarray[Any, Any]
) -> str:
    """Changes with the settings, the data and the code."""
    settings = [recipe.predictor, recipe.task, recipe.scale, repr(predictor.get_params())]
    hashes = [part.networks.hashes[part.number].tobytes() for part in sample.parts]
    digests = [fingerprint((), repr(data)) for data in (*hashes, labels.tobytes())]
    files = imported_files(type(predictor).__module__, __name__)
    return fingerprint(files, json.dumps(settings), *digests)


def _finished(path: Path, made_of: str) -> bool:
    try:
        return path.is_file() and read_about(path).get("made_of") == made_of
    except ArchcastError:  # half a file of another tool, say: it is made anew
        return False
