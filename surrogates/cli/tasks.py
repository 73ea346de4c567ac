"""``archcast tasks``: what can be forecast."""

from __future__ import annotations

from typing import Any

import archcast
from archcast.cli import _render
from archcast.cli._options import Json
from archcast.cli._render import Column

_COLUMNS = (
    Column("task", "task"),
    Column("unit", "unit"),
    Column("better", "direction", lambda row: "higher" if row["direction"] == "max" else "lower"),
    Column("recipe fields", "recipe"),
    Column("meaning", "description"),
)


def tasks(json: Json = False) -> None:
    """List what can be forecast."""
    rows = [_row(task) for task in archcast.tasks()]
    if json:
        for row in rows:
            _render.write_json({**row, "recipe": row["recipe"].split()})
    else:
        _render.write_table(_COLUMNS, rows)


def _row(task: archcast.Task) -> dict[str, Any]:
    return {
        "task": task.name,
        "dataset": task.dataset,
        "metric": task.metric,
        "unit": task.unit,
        "direction": task.direction,
        "recipe": " ".join(task.recipe_fields),
        "description": task.description,
    }
