"""``archcast predict``: forecasts for files, folders, patterns and cell strings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

import archcast
from archcast.cli import _columns, _own_model, _render
from archcast.cli._forecasts import Query, forecast_rows
from archcast.cli._inputs import UsageError, expand
from archcast.cli._options import InputShape, Json, Recipe, Tasks
from archcast.cli._own_model import OwnModel
from archcast.cli._report import Failures

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="ONNX files, folders of them, patterns, or cell strings (nasbench201:|...|).",
        show_default=False,
    ),
]

Model = Annotated[
    Path | None,
    typer.Option(
        "--model", "-m", metavar="FILE", help="Forecast by a model that 'archcast adapt' wrote."
    ),
]


def predict(
    files: Files,
    task: Tasks = None,
    recipe: Recipe = None,
    input_shape: InputShape = None,
    model: Model = None,
    json: Json = False,
) -> int:
    """Forecast what networks will score, without training them."""
    query = Query.from_options(task, recipe, input_shape)
    if model is not None:
        if task or recipe:
            raise UsageError("--model has its own task and recipe; leave --task and --recipe out")
        return _by_model(OwnModel(model), files, query, json)
    failures = Failures()
    names = expand(files)
    with _render.progress("reading", len(names)) as advance:
        rows = forecast_rows(names, query, failures, advance)
        if json:
            for row in rows:
                _render.write_json(row)
        elif _render.is_terminal():
            _show(rows)
        else:
            answered = (_columns.plain(row) for row in rows if "error" not in row)
            _render.write_table(_columns.PLAIN, answered)
    return failures.exit_code


def _by_model(model: OwnModel, files: list[str], query: Query, json: bool) -> int:
    failures = Failures()
    names = expand(files)
    with _render.progress("reading", len(names)) as advance:
        rows = model.rows(names, query, failures, advance)
        if json:
            for row in rows:
                _render.write_json(row)
        elif _render.is_terminal():
            answered = [row for row in rows if "error" not in row]
            if answered:
                notes = _columns.notes(answered, [f"task: {model.task}"])
                _render.write_table(_own_model.pretty(answered), answered, notes)
        else:
            answered = (_columns.plain(row) for row in rows if "error" not in row)
            _render.write_table(_own_model.PLAIN, answered)
    return failures.exit_code


def _show(rows: Iterable[dict[str, Any]]) -> None:
    answered: list[dict[str, Any]] = []
    try:
        answered.extend(row for row in rows if "error" not in row)
    finally:  # after Ctrl-C too: what is known so far is shown
        if answered:
            described = task_lines(row["task"] for row in answered)
            notes = _columns.notes(answered, described)
            _render.write_table(_columns.pretty(answered), answered, notes)


def task_lines(names: Iterable[str]) -> list[str]:
    """One line for each task that occurs: its name and what it means."""
    return [
        f"{task.name}: {task.description}" for task in map(archcast.get_task, dict.fromkeys(names))
    ]
