"""The columns of a table of forecasts, and the lines under it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from archcast.cli._numbers import quantity, share, span
from archcast.cli._render import Column, Row
from archcast.encoders.summary import si

_COLOURS = {"familiar": "green", "near": "cyan", "far": "yellow", "alien": "red"}
#: More rows than this, and the lines under the table would bury it.
_MOST_NOTED = 12

FORECAST = Column("forecast", "value", lambda r: quantity(r["value"], r["unit"]), right=True)
INTERVAL = Column("90 % interval", "interval", lambda r: span(r["interval"], r["unit"]), right=True)
BEATS = Column("beats", "rank", lambda r: share(r["rank"]), right=True)
FAMILIARITY = Column("familiarity", "familiarity", style=lambda r: _COLOURS.get(r["familiarity"]))
PARAMS = Column("params", "params", lambda r: si(r["params"]), right=True)
MACS = Column("MACs", "macs", lambda r: si(r["macs"]), right=True)

#: What a machine reads from a pipe, a value a column.
PLAIN = tuple(
    Column(key, key)
    for key in (
        "file",
        "task",
        "value",
        "unit",
        "std",
        "low",
        "high",
        "familiarity",
        "rank",
        "params",
        "macs",
        "seconds",
        "remarks",
    )
)


def pretty(rows: Sequence[Row]) -> list[Column]:
    """Columns for a terminal; the task's only where it differs between rows."""
    several = len({row["task"] for row in rows}) > 1
    task = [Column("task", "task")] if several else []
    names = short_names(row["file"] for row in rows)
    head = [Column("network", "file", lambda row: names[row["file"]]), *task]
    return [*head, FORECAST, INTERVAL, BEATS, FAMILIARITY, PARAMS, MACS]


def short_names(names: Iterable[str]) -> dict[str, str]:
    """What a terminal shows for each name: a file's last part, if that tells it from the others."""
    last = {name: name if "|" in name else Path(name).name for name in names}
    counts = Counter(last.values())
    return {name: short if counts[short] == 1 else name for name, short in last.items()}


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its interval as two values, and its remarks as one text."""
    low, high = row["interval"]
    remarks = "; ".join(text for text in (row["reason"], *row["notes"]) if text)
    return {**row, "low": low, "high": high, "remarks": remarks}


def notes(rows: Sequence[Row], tasks: Iterable[str]) -> list[str]:
    """The lines under a table: what the task is, and what is odd about a network."""
    lines = [*tasks]
    names = short_names(row["file"] for row in rows)
    if len(rows) <= _MOST_NOTED:
        for row in rows:
            remarks = list(row["notes"])
            if row["familiarity"] != "familiar" and row["reason"]:
                remarks.insert(0, f"{row['familiarity']}: {row['reason']}")
            lines += [f"{names[row['file']]}: {remark}" for remark in remarks]
    return list(dict.fromkeys(lines))
