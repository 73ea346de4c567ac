"""``archcast datasets``: the benchmarks of measured architectures."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated

import typer

from archcast import datasets
from archcast.cli import _render
from archcast.cli._options import Json, complete_benchmark
from archcast.cli._render import Column
from archcast.cli._report import Failures

app = typer.Typer(help="Benchmarks of measured architectures.", no_args_is_help=True)

_COLUMNS = (
    Column("benchmark", "name"),
    Column("rows", "rows", lambda row: f"{row['rows']:,}", right=True),
    Column("tasks", "tasks", lambda row: ", ".join(row["tasks"])),
    Column("what", "title"),
)


@app.command("list")
def list_(json: Json = False) -> None:
    """List the benchmarks."""
    cards = [dataclasses.asdict(datasets.info(name)) for name in datasets.list_benchmarks()]
    if json:
        for card in cards:
            _render.write_json(card)
        return
    rows = cards
    if not _render.is_terminal():
        rows = [{**card, "tasks": " ".join(card["tasks"])} for card in cards]
    _render.write_table(_COLUMNS, rows)


@app.command()
def info(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A benchmark.", autocompletion=complete_benchmark),
    ],
    json: Json = False,
) -> None:
    """Show a benchmark's data card: licence, citation, tasks, traps."""
    card = dataclasses.asdict(datasets.info(name))
    if json:
        _render.write_json(card)
        return
    for field, value in card.items():
        sys.stdout.write(f"{field.replace('_', ' ')}: {_several_lines(value)}\n")


@app.command()
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", help="Benchmarks.", autocompletion=complete_benchmark),
    ],
) -> int:
    """Download the files of benchmarks, or verify those that are here."""
    failures = Failures()
    files = [file for name in names for file in datasets.info(name).files]
    for name in names:
        if not datasets.info(name).files:
            sys.stderr.write(f"archcast: {name}: nothing to fetch, it comes with its package\n")
    for file in dict.fromkeys(files):
        try:
            path = datasets.fetch(file, progress=sys.stderr.isatty())
        except Exception as error:  # told in one line; the other files are still fetched
            failures.add(file, error)
        else:
            sys.stdout.write(f"{file}\t{path}\n")
    return failures.exit_code


def _several_lines(value: object) -> str:
    if isinstance(value, dict):
        return "".join(f"\n  {key}: {item}" for key, item in value.items())
    if isinstance(value, list):
        return "".join(f"\n  - {item}" for item in value)
    return str(value)
