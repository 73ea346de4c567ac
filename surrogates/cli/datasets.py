"""``archcast datasets``: the benchmarks of measured architectures."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any, cast

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
    Column("tasks", "tasks", lambda row: _first(list(row["tasks"]), 1)),
    Column("what", "title"),
)


_STATS = (
    Column("benchmark", "benchmark"),
    Column("rows", "architectures", lambda r: f"{r['architectures']:,}", right=True),
    Column("graphs", "hashes", lambda r: f"{r['hashes']:,}", right=True),
    Column("shared", "shared", lambda r: f"{r['shared']:,}", right=True),
    Column("tasks", "tasks", right=True),
    Column("labels", "labels", lambda r: f"{r['labels']:,}", right=True),
    Column("s", "seconds", lambda r: f"{r['seconds']:.1f}", right=True),
    Column("MB", "bytes", lambda r: f"{r['bytes'] / 1e6:.1f}", right=True),
)
Folder = Annotated[
    Path | None,
    typer.Option("--pool", metavar="FOLDER", help="Where the pooled table lies."),
]


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


@app.command()
def build(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME...]",
            help="Benchmarks; all if none is named.",
            autocompletion=complete_benchmark,
        ),
    ] = None,
    folder: Folder = None,
    workers: Annotated[int, typer.Option("--workers", "-j", help="Processes.", min=1)] = 1,
    engine: Annotated[
        str, typer.Option("--engine", help="Where they run: local, or ray for a Ray cluster.")
    ] = "local",
) -> None:
    """Build the pooled table: every architecture, graph, feature and label as Parquet.

    A build that is stopped goes on where it was when it is started again.
    """
    made = datasets.build_pool(names or None, folder, workers=workers, engine=cast("Any", engine))
    _render.write_table(_STATS[:3] + _STATS[4:], [_manifest(m) for m in made])


@app.command()
def stats(
    folder: Folder = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    json: Json = False,
) -> None:
    """Count what the pooled table holds.

    Rows; distinct graphs, and how many of these another benchmark has too; tasks; labels; seconds
    to build.
    """
    rows = datasets.open_pool(folder).stats()
    if json:
        for row in rows:
            _render.write_json(row)
    elif markdown:
        titles = [column.title for column in _STATS]
        sys.stdout.write(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}\n")
        for row in rows:
            cells = [c.text(row) if c.text else str(row[c.key]) for c in _STATS]
            sys.stdout.write(f"| {' | '.join(cells)} |\n")
    else:
        _render.write_table(_STATS, rows)


@app.command("export")
def export_(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A benchmark.", autocompletion=complete_benchmark),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file; .csv, .jsonl or .parquet.")],
    tasks: Annotated[
        list[str] | None, typer.Option("--task", "-t", metavar="NAME", help="Only these tasks.")
    ] = None,
) -> None:
    """Write a benchmark's specifications and labels as one file."""
    datasets.export(datasets.load(name), out, tasks or None)
    sys.stderr.write(f"archcast: wrote {out}\n")


def _first(names: list[str], count: int) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def _manifest(manifest: datasets.Manifest) -> dict[str, Any]:
    fields = dataclasses.asdict(manifest)
    return fields | {"labels": manifest.labels, "tasks": len(manifest.tasks)}


def _several_lines(value: object) -> str:
    if isinstance(value, dict):
        return "".join(f"\n  {key}: {item}" for key, item in value.items())
    if isinstance(value, list):
        return "".join(f"\n  - {item}" for item in value)
    return str(value)
