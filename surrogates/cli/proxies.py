"""``archcast proxies``: training-free scores of files, cell strings, or samples of a space."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from archcast.cli import _render, _score_table
from archcast.cli._forecasts import CHUNK, Query, Read, read_each
from archcast.cli._inputs import UsageError, expand, parse_shapes
from archcast.cli._options import InputShape, Json
from archcast.cli._render import Column
from archcast.cli._report import Failures

#: Networks scored before the next are read, where several processes want to be kept busy.
_MANY = 20_000


def complete_proxy(incomplete: str) -> list[str]:
    """Names of proxies, for the shell's completion."""
    from archcast.zero_cost import PROXIES

    return [name for name in ("all", "classic", *PROXIES) if name.startswith(incomplete)]


def proxies(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE...]",
            help="ONNX files, folders of them, patterns, or cell strings (nasbench201:|...|).",
            show_default=False,
        ),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--proxies",
            "-p",
            metavar="NAMES",
            help="Which, as in nwot,synflow; or all; or classic, the 13 that every study compares "
            "with.",
            autocompletion=complete_proxy,
        ),
    ] = None,
    space: Annotated[
        str | None, typer.Option("--space", metavar="NAME", help="Score samples of this space.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", "-n", help="How many, with --space.", min=1)
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", help="Inputs in the mini-batch.", min=1)
    ] = 32,
    seed: Annotated[int, typer.Option("--seed", help="Of weights, inputs and --sample.")] = 0,
    init: Annotated[
        str, typer.Option("--init", help="kaiming, pytorch, xavier, orthogonal or normal.")
    ] = "kaiming",
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, ...")] = "cpu",
    input_shape: InputShape = None,
    workers: Annotated[int, typer.Option("--workers", "-j", help="Processes.", min=1)] = 1,
    engine: Annotated[
        str, typer.Option("--engine", help="Where they run: local, or ray for a Ray cluster.")
    ] = "local",
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Whether known scores are taken.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write a .csv, .jsonl or .parquet file.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the proxies, and stop.")] = False,
    json: Json = False,
) -> int:
    """Score networks without training them: higher is better, for every proxy.

    What was scored before an interruption is not scored again.
    """
    if list_:
        _score_table.show_proxies(json)
        return 0
    settings = {"samples": samples, "seed": seed, "init": init, "device": device, "cache": cache}
    if workers > 1 or engine != "local":
        settings |= {"workers": workers, "engine": engine, "progress": sys.stderr.isatty()}
    job = _Job(_names(names), settings, Query(input_shape=parse_shapes(input_shape or ())))
    networks = _networks(files, space, sample, seed)
    if out is not None:
        from archcast.datasets._export import check_ending

        check_ending(out)
    failures = Failures()
    chunk = _MANY if "workers" in settings else CHUNK
    with _render.progress("scoring", len(networks) if chunk == CHUNK else 0) as advance:
        rows = _rows(networks, chunk, job, failures, advance)
        _write(rows, job, out, json)
    return failures.exit_code


@dataclass(frozen=True)
class _Job:
    """What is asked of every network."""

    proxies: tuple[str, ...]
    settings: dict[str, Any]
    query: Query

    def scored(self, read: Sequence[Read]) -> list[dict[str, Any]]:
        """A row for each network."""
        from archcast.zero_cost import score

        if not read:
            return []
        found = score([slot.graph for slot in read], self.proxies, **self.settings)
        return [
            {
                "file": slot.name,
                "hash": slot.graph.hash,
                "scores": {name: float(found[name][i]) for name in self.proxies},
                "reasons": {
                    name: found.reasons[name][i]
                    for name in self.proxies
                    if i in found.reasons[name]
                },
            }
            for i, slot in enumerate(read)
        ]


def _rows(
    networks: Sequence[str], chunk: int, job: _Job, failures: Failures, advance: Any
) -> Iterator[dict[str, Any]]:
    """A row for each network, in order; for one that cannot be read, what failed."""
    for start in range(0, len(networks), chunk):
        part = networks[start : start + chunk]
        slots = read_each(part, job.query, failures)
        scored = iter(job.scored([slot for slot in slots if isinstance(slot, Read)]))
        for slot in slots:
            yield next(scored) if isinstance(slot, Read) else slot
        advance(len(part))


def _names(given: Sequence[str] | None) -> tuple[str, ...]:
    """The proxies that are meant.

    Raises:
        InvalidSettingError: no such proxy.
    """
    from archcast.zero_cost import CLASSIC, PROXIES, get_proxy

    found: list[str] = []
    for name in ",".join(given or ("classic",)).split(","):
        group = {"all": tuple(PROXIES), "classic": CLASSIC}.get(name.strip())
        found += group or [get_proxy(name.strip()).name]
    return tuple(dict.fromkeys(found))


def _networks(
    files: Sequence[str] | None, space: str | None, sample: int | None, seed: int
) -> list[str]:
    """Names of the networks that are meant.

    Raises:
        UsageError: neither files nor a space, or both; more samples than the space has.
        InvalidSpecError: no such space.
    """
    if bool(files) == bool(space) or (space is None) != (sample is None):
        raise UsageError("name files, or a space and a number: --space nasbench201 --sample 1000")
    if space is None or sample is None:
        return expand(files or ())
    from archcast.encoders.spaces import get_space

    chosen = get_space(space)
    if chosen.size is not None and sample > chosen.size:
        raise UsageError(f"--sample {sample}: {space} has {chosen.size:,} networks")
    return [f"{space}:{text}" for text in chosen.sample(sample, seed)]


def _write(rows: Iterator[dict[str, Any]], job: _Job, out: Path | None, json: bool) -> None:
    """Tell the rows, in the form that was asked for."""
    if out is not None:
        from archcast.datasets._export import write_columns

        write_columns(
            out, _score_table.table([row for row in rows if "error" not in row], job.proxies)
        )
        sys.stderr.write(f"archcast: wrote {out}\n")
    elif json:
        for row in rows:
            _render.write_json(row)
    elif _render.is_terminal():
        _score_table.show([row for row in rows if "error" not in row], job.proxies)
    else:
        plain = (_score_table.plain(row) for row in rows if "error" not in row)
        columns = ("file", "hash", *job.proxies, "remarks")
        _render.write_table([Column(key, key) for key in columns], plain)
