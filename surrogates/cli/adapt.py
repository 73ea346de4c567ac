"""``archcast adapt``: a predictor for networks of one's own, from a few measurements."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archcast.cli import _render
from archcast.cli._inputs import UsageError, parse_shapes
from archcast.cli._options import InputShape, Json, complete_task
from archcast.cli._render import Column

if TYPE_CHECKING:
    from archcast._adaptation import Adaptation
    from archcast.predictors import Predictor

_COLUMNS = (
    Column("model", "model"),
    Column("task", "task"),
    Column("labels", "labels", right=True),
    Column("error before", "before", lambda r: _figure(r["before"], ".3g"), right=True),
    Column("error after", "after", lambda r: _figure(r["after"], ".3g"), right=True),
    Column(
        "tau before", "kendall_before", lambda r: _figure(r["kendall_before"], ".3f"), right=True
    ),
    Column("tau after", "kendall_after", lambda r: _figure(r["kendall_after"], ".3f"), right=True),
)
#: Fewer labels than these say next to nothing about how far forecasts miss.
_FEW = 5
_NOTES = (
    "error: mean absolute, in the unit of the labels; tau: Kendall's rank correlation.",
    "'before' has no error where the base's forecasts are scores without a unit.",
    "'after' is of networks that the adaptation did not see.",
)


def adapt(
    labels: Annotated[
        Path,
        typer.Option(
            "--labels",
            "-l",
            metavar="FILE",
            help="Table of networks and measured values: CSV, comma separated, with a first line "
            "of names. A column called spec, file_path, path, file, onnx, name or arch "
            "holds ONNX files or cell strings; the one called as --task, or as --column says, "
            "holds the values.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The model, .safetensors.")
    ],
    task: Annotated[
        str,
        typer.Option(
            "--task",
            "-t",
            metavar="NAME",
            help="The table's column of values; also the shipped predictor to start from, if one "
            "is called so.",
            autocompletion=complete_task,
        ),
    ],
    base: Annotated[
        str,
        typer.Option(
            "--base",
            "-b",
            metavar="NAME",
            help="Task of a shipped predictor, a model's file, or 'universal', from which tasks "
            "without a shipped predictor start.",
        ),
    ] = "",
    column: Annotated[
        str, typer.Option("--column", metavar="NAME", help="The column, if not called as the task.")
    ] = "",
    space: Annotated[
        str, typer.Option("--space", metavar="NAME", help="Search space of specifications.")
    ] = "",
    input_shape: InputShape = None,
    json: Json = False,
) -> None:
    """Correct a predictor by measurements of your own; 'archcast predict --model' then uses it."""
    from archcast import datasets
    from archcast._adaptation import adapt_to
    from archcast.encoders.errors import UnreadableModelError
    from archcast.predictors import save_predictor

    if out.suffix != ".safetensors":
        raise UsageError(f"--out {out}: a model's file ends in .safetensors")
    shape = parse_shapes(input_shape or ())
    if isinstance(shape, dict):
        raise UsageError("--input-shape: one shape for all networks of the table")
    named = column or task
    try:
        data = datasets.from_csv(labels, tasks=named, space=space, input_shape=shape)
    except UnreadableModelError as error:
        if f"no column {named!r}" not in str(error):
            raise
        raise UsageError(f"{error}; name the column of values by --column") from error
    found = adapt_to(_base(base, task), data, named)
    save_predictor(found.predictor, out, task=task, labels=found.labels, base=base or task)
    figures = ("labels", "before", "after", "kendall_before", "kendall_after")
    row = {"model": str(out), "task": task} | {key: getattr(found, key) for key in figures}
    if json:
        _render.write_json(row)
    else:
        _render.write_table(_COLUMNS, [row], _NOTES)
    _warn(found)


def _figure(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "-"


def _warn(found: Adaptation) -> None:
    """Say what is not to be relied on."""
    if found.labels < _FEW:
        several = "label" if found.labels == 1 else "labels"
        sys.stderr.write(f"archcast: only {found.labels} {several}: intervals are rough guesses\n")
    if found.kendall_after <= 0:
        sys.stderr.write(
            f"archcast: tau after is {found.kendall_after:.3f}: "
            "the labels taught nothing about the order\n"
        )


def _base(base: str, task: str) -> Predictor:
    """What to start from: the file or shipped predictor named, the task's, or the universal one."""
    from archcast import get_task, tasks
    from archcast._shipped import predictor_for, universal
    from archcast.encoders.errors import UnknownTaskError
    from archcast.predictors import load_predictor

    if base.endswith(".safetensors"):
        return load_predictor(base)
    if base and base != "universal":
        try:
            return predictor_for(get_task(base))
        except UnknownTaskError as error:
            raise UnknownTaskError(
                f"--base is a task, 'universal' or a .safetensors file: {error}"
            ) from error
    if not base and task in {known.name for known in tasks()}:
        return predictor_for(get_task(task))
    return universal(task)
