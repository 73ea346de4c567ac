"""``archcast compare A B``: which of two networks will score better, and how sure that is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

import archcast
from archcast import encoders
from archcast.cli import _columns, _render
from archcast.cli._forecasts import Query, describe, source
from archcast.cli._numbers import quantity, share
from archcast.cli._options import InputShape, Json, Recipe, Tasks
from archcast.cli._render import Column
from archcast.cli._report import Failures
from archcast.encoders.summary import si

if TYPE_CHECKING:
    from archcast.encoders.graph import ComputeGraph

#: Width of a normal distribution's central 90 % in standard deviations.
_NORMAL_90 = 3.2897
_APPROXIMATION = (
    "The probability takes the two errors as normal and independent. That is an approximation:",
    "similar networks share part of their error, so it is nearer to 50 % than it should be.",
)


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A file or cell string.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    task: Tasks = None,
    recipe: Recipe = None,
    input_shape: InputShape = None,
    json: Json = False,
) -> int:
    """Compare two networks: forecasts, the chance that B is better, sizes, operators."""
    query = Query.from_options(task, recipe, input_shape)
    failures = Failures()
    graphs = [_read(name, query, failures) for name in (a, b)]
    if failures.count:
        return failures.exit_code
    pair = [graph for graph in graphs if graph is not None]
    operators = operator_counts(pair[0], pair[1])
    for name in query.tasks:
        rows = _forecast(pair, (a, b), name, query)
        verdict = judge(rows[0], rows[1])
        if json:
            operators_json = {op: list(counts) for op, counts in operators.items()}
            _render.write_json({"a": rows[0], "b": rows[1], **verdict, "operators": operators_json})
        else:
            _write(rows, verdict, operators)
    return failures.exit_code


def judge(a: dict[str, Any], b: dict[str, Any]) -> dict[str, float | bool]:
    """The difference between two forecasts of one task.

    Args:
        a: a row of :func:`archcast.cli._forecasts.describe`.
        b: another, of the same task.

    Returns:
        ``same`` (one graph twice), ``difference`` (B - A), its ``difference_std``, and
        ``probability_b_better``: normal, and independent errors.
    """
    same = a["hash"] == b["hash"]
    difference = 0.0 if same else b["value"] - a["value"]
    # Errors have long tails, which would blow up a standard deviation: the interval tells better.
    widths = [row["interval"][1] - row["interval"][0] for row in (a, b)]
    spread = 0.0 if same else math.hypot(*widths) / _NORMAL_90
    sign = 1 if archcast.get_task(a["task"]).direction == "max" else -1
    chance = 0.5 if same or not spread else 0.5 * math.erfc(-sign * difference / spread / 2**0.5)
    return {
        "same": same,
        "difference": difference,
        "difference_std": spread,
        "probability_b_better": chance,
    }


def operator_counts(a: ComputeGraph, b: ComputeGraph) -> dict[str, tuple[int, int]]:
    """Operators that occur in different numbers: name -> (in A, in B), most different first."""
    counts = Counter(a.ops), Counter(b.ops)
    differing = {op for op in counts[0] | counts[1] if counts[0][op] != counts[1][op]}
    order = sorted(differing, key=lambda op: (-abs(counts[0][op] - counts[1][op]), op))
    return {op: (counts[0][op], counts[1][op]) for op in order}


def _read(name: str, query: Query, failures: Failures) -> ComputeGraph | None:
    try:
        return encoders.read(source(name), input_shape=query.input_shape)
    except Exception as error:  # told in one line, and the other file is still tried
        failures.add(name, error)
        return None


def _forecast(
    graphs: list[ComputeGraph], names: Sequence[str], task: str | None, query: Query
) -> list[dict[str, Any]]:
    first = archcast.predict(graphs[0], task=task, recipe=query.recipe)
    # Without --task, both are asked for what fits the first: other scales cannot be compared.
    second = archcast.predict(graphs[1], task=first.task.name, recipe=query.recipe)
    return [describe(name, f, 0.0) for name, f in zip(names, (first, second), strict=True)]


def _write(
    rows: Sequence[dict[str, Any]],
    verdict: dict[str, Any],
    operators: dict[str, tuple[int, int]],
) -> None:
    facts = [*_facts(rows[0], rows[1], verdict), *_operator_facts(operators)]
    columns = (
        Column("", "fact"),
        Column("A", "a", right=True),
        Column("B", "b", right=True),
        Column("B - A", "change", right=True),
    )
    _render.write_table(columns, facts, _notes(rows, verdict))


def _facts(a: dict[str, Any], b: dict[str, Any], verdict: dict[str, Any]) -> list[dict[str, str]]:
    unit = a["unit"]
    spread = quantity(verdict["difference_std"], unit)
    change = f"{quantity(verdict['difference'], unit)} ± {spread}"
    facts = [{"fact": a["task"], **_sides(a, b, _columns.FORECAST), "change": change}]
    facts += [
        {"fact": column.title, **_sides(a, b, column), "change": ""}
        for column in (_columns.INTERVAL, _columns.BEATS, _columns.FAMILIARITY)
    ]
    facts += [
        {"fact": title, **_sides(a, b, column), "change": _ratio(a[column.key], b[column.key])}
        for title, column in (("params", _columns.PARAMS), ("MACs", _columns.MACS))
    ]
    chance = share(verdict["probability_b_better"])
    return [*facts, {"fact": "chance that B is better", "a": "", "b": chance, "change": ""}]


def _sides(a: dict[str, Any], b: dict[str, Any], column: Column) -> dict[str, str]:
    text = column.text or (lambda row: str(row[column.key]))
    return {"a": text(a), "b": text(b)}


def _ratio(a: int, b: int) -> str:
    return f"x {b / a:.3g}" if a else ""


def _operator_facts(operators: dict[str, tuple[int, int]]) -> list[dict[str, str]]:
    return [
        {"fact": f"operators: {op}", "a": si(in_a), "b": si(in_b), "change": f"{in_b - in_a:+d}"}
        for op, (in_a, in_b) in operators.items()
    ]


def _notes(rows: Sequence[dict[str, Any]], verdict: dict[str, Any]) -> list[str]:
    names = [f"{side}: {row['file']}" for side, row in zip("AB", rows, strict=True)]
    if verdict["same"]:
        return [*names, "A and B are the same network, so they have the same forecast."]
    return [*names, *_APPROXIMATION, *_columns.notes(rows, ())]
