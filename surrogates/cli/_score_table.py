"""Scores as tables: for a person, for a program, as columns of a file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from archcast.cli import _render
from archcast.cli._columns import short_names
from archcast.cli._render import Column, Row
from archcast.encoders.summary import si

#: More networks than this, and a table has a line for each instead of a column.
_BESIDE = 4
#: Longer names than this in all, and columns are called A, B, …
_ABREAST = 50


def table(rows: Sequence[Row], names: Sequence[str]) -> dict[str, list[Any]]:
    """Columns of a file; no score is None."""
    columns: dict[str, list[Any]] = {key: [row[key] for row in rows] for key in ("file", "hash")}
    for name in names:
        values = (row["scores"][name] for row in rows)
        columns[name] = [None if math.isnan(value) else value for value in values]
    columns["remarks"] = [_remarks(row) for row in rows]
    return columns


def plain(row: Row) -> dict[str, Any]:
    """A row without anything inside of it, for a tab-separated table."""
    return {"file": row["file"], "hash": row["hash"], **row["scores"], "remarks": _remarks(row)}


def _remarks(row: Row) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in row["reasons"].items())


def show(rows: Sequence[Row], names: Sequence[str]) -> None:
    """A table for a person: proxies under one another beside few networks, else the reverse."""
    if not rows:
        return
    shown = short_names(row["file"] for row in rows)
    titles = [shown[row["file"]] for row in rows]
    notes = []
    if len(rows) <= _BESIDE:
        if sum(map(len, titles)) > _ABREAST:
            letters = "ABCDEFGH"[: len(rows)]
            notes = [f"{letter}: {title}" for letter, title in zip(letters, titles, strict=True)]
            titles = list(letters)
        lines = [
            {"": name, **{str(i): _score(row, name) for i, row in enumerate(rows)}}
            for name in names
        ]
        columns = [
            Column("proxy", ""),
            *(Column(title, str(i), right=True) for i, title in enumerate(titles)),
        ]
    else:
        lines = [
            {"": title, **{name: _score(row, name) for name in names}}
            for title, row in zip(titles, rows, strict=True)
        ]
        columns = [Column("network", ""), *(Column(name, name, right=True) for name in names)]
    reasons = Counter(
        f"{name}: {reason}" for row in rows for name, reason in row["reasons"].items()
    )
    notes += [
        text if len(rows) == 1 else f"{text} ({count} of {len(rows)})"
        for text, count in reasons.items()
    ]
    _render.write_table(columns, lines, notes)


def _score(row: Row, name: str) -> str:
    value = row["scores"][name]
    if math.isnan(value):
        return "-"
    return si(round(value)) if name in ("params", "flops") else f"{value:.5g}"


_LIST = (
    Column("proxy", "proxy"),
    Column("formula", "formula"),
    Column("needs", "needs"),
    Column("passes", "cost", lambda row: f"{row['cost']:g}", right=True),
    Column("paper", "reference"),
    Column("differs", "remark"),
)


def show_proxies(names: Sequence[str], json: bool) -> None:
    """List proxies."""
    from archcast.zero_cost import AGGREGATES, CLASSIC, PROXIES

    rows = [
        {
            "proxy": p.name,
            "formula": p.formula,
            "needs": " ".join(sorted(p.needs)),
            "cost": p.cost,
            "classic": p.name in CLASSIC,
            "flipped": p.flipped,
            "reference": p.reference,
            "remark": p.remark,
        }
        for p in (PROXIES[name] for name in names)
    ]
    if json:
        for row in rows:
            _render.write_json({**row, "needs": sorted(PROXIES[str(row["proxy"])].needs)})
    else:
        notes = [
            "passes: about how many forward passes of the mini-batch one costs alone",
            "differs: from the publication",
            *(f"--aggregate {name}: of {', '.join(a.proxies)}" for name, a in AGGREGATES.items()),
        ]
        _render.write_table(_LIST, rows, notes)
