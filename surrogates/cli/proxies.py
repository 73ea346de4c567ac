"""``archcast proxies``: training-free scores of files, cell strings, or samples of a space."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from archcast.cli import _render, _score_table
from archcast.cli._forecasts import CHUNK, Query, Read, read_each
from archcast.cli._inputs import UsageError, expand, parse_shapes
from archcast.cli._options import InputShape, Json
from archcast.cli._render import Column
from archcast.cli._report import Failures
from archcast.encoders.errors import DeviceError

#: Networks scored before the next are read, where several processes want to be kept busy.
_MANY = 20_000


def complete_proxy(incomplete: str) -> list[str]:
    """Names of proxies, for the shell's completion."""
    from archcast.zero_cost import PROXIES

    return [name for name in ("all", "classic", *PROXIES) if name.startswith(incomplete)]


def complete_aggregate(incomplete: str) -> list[str]:
    """Names of aggregates, for the shell's completion."""
    from archcast.zero_cost import AGGREGATES

    return [name for name in AGGREGATES if name.startswith(incomplete)]


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
    aggregates: Annotated[
        list[str] | None,
        typer.Option(
            "--aggregate",
            "-a",
            metavar="NAMES",
            help="Also join ranks among these networks: az_nas, te_nas, vote, ... Without -p, "
            "the proxies it takes are scored, and no others.",
            autocompletion=complete_aggregate,
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
    list_: Annotated[
        bool, typer.Option("--list", help="List the proxies, or those of -p.")
    ] = False,
    json: Json = False,
) -> int:
    """Score networks without training them: higher is better, for every proxy.

    What was scored before an interruption is not scored again.
    """
    if list_:
        if files or space is not None or sample is not None or out is not None:
            raise UsageError("--list scores nothing: leave files, --space, --sample and --out out")
        _score_table.show_proxies(
            _names(names or (() if aggregates else ("all",)), _split(aggregates)), json
        )
        return 0
    settings = {"samples": samples, "seed": seed, "init": init, "device": device, "cache": cache}
    if workers > 1 or engine != "local":
        settings |= {"workers": workers, "engine": engine, "progress": sys.stderr.isatty()}
    joined = _split(aggregates)
    query = Query(input_shape=parse_shapes(input_shape or ()))
    job = _Job(_names(names, joined), joined, settings, query)
    networks = _networks(files, space, sample, seed)
    if out is not None:
        from archcast.datasets._export import check_ending

        check_ending(out)
    failures = Failures()
    chunk = _MANY if "workers" in settings else CHUNK
    with _render.progress("scoring", len(networks) if chunk == CHUNK else 0) as advance:
        rows = _rows(networks, chunk, job, failures, advance)
        _write(job.joined(rows), job, out, json)
    return failures.exit_code


@dataclass(frozen=True)
class _Job:
    """What is asked of every network."""

    proxies: tuple[str, ...]
    aggregates: tuple[str, ...]
    settings: dict[str, Any]
    query: Query

    @property
    def columns(self) -> tuple[str, ...]:
        """What there is a number of for every network."""
        return (*self.proxies, *self.aggregates)

    def scored(self, read: Sequence[Read]) -> list[dict[str, Any]]:
        """A row for each network."""
        from archcast.zero_cost import score

        if not read:
            return []
        try:
            found = score([slot.graph for slot in read], self.proxies, **self.settings)
        except DeviceError as error:
            raise _as_option(error, str(self.settings["device"])) from error
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

    def joined(self, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The rows with their aggregates, which are known when all scores are."""
        if not self.aggregates:
            return rows
        from archcast.zero_cost import AGGREGATES

        every = list(rows)
        scored = [row["scores"] for row in every if "error" not in row]
        table = {name: [scores[name] for scores in scored] for name in self.proxies}
        for name in self.aggregates if scored else ():
            parts = AGGREGATES[name].proxies
            if all(math.isnan(value) for part in parts for value in table[part]):
                values, why = [math.nan] * len(scored), "no network has any of its scores"
            else:
                values, why = AGGREGATES[name](table).tolist(), ""
            answered = (row for row in every if "error" not in row)
            for row, value in zip(answered, values, strict=True):
                row["scores"][name] = value
                if why:
                    row["reasons"][name] = why
        return iter(every)


def _as_option(error: DeviceError, device: str) -> DeviceError:
    """What is wrong with ``--device``, in the words of the command line."""
    if "no CUDA" in str(error):
        return DeviceError(f"--device {device}: no CUDA device is at hand; take --device cpu")
    return DeviceError(f"--device {device}: no such device; it is cpu, cuda, cuda:1, ...")


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


def _split(given: Sequence[str] | None) -> tuple[str, ...]:
    """The aggregates that are meant.

    Raises:
        UsageError: no such aggregate, or none.
    """
    from archcast.zero_cost import AGGREGATES

    if not given:
        return ()
    found = [name.strip() for name in ",".join(given).split(",")]
    unknown = next((name for name in found if name not in AGGREGATES), None)
    if unknown is not None:
        raise UsageError(f"--aggregate {unknown}: it is one of {', '.join(AGGREGATES)}")
    return tuple(dict.fromkeys(found))


def _names(given: Sequence[str] | None, aggregates: Sequence[str]) -> tuple[str, ...]:
    """The proxies that are meant, and those that aggregates are of.

    Raises:
        UsageError: a name is empty.
        InvalidSettingError: no such proxy.
    """
    from archcast.zero_cost import AGGREGATES, CLASSIC, PROXIES, get_proxy

    found: list[str] = []
    if given:
        names = [name.strip() for name in ",".join(given).split(",")]
        if not all(names):
            raise UsageError(
                "name at least one proxy, and one between commas: --proxies nwot,synflow"
            )
        for name in names:
            group = {"all": tuple(PROXIES), "classic": CLASSIC}.get(name)
            found += group or [get_proxy(name).name]
    elif not aggregates:
        found += CLASSIC
    for name in aggregates:
        found += AGGREGATES[name].proxies
    return tuple(dict.fromkeys(found))


def _networks(
    files: Sequence[str] | None, space: str | None, sample: int | None, seed: int
) -> list[str]:
    """Names of the networks that are meant.

    Raises:
        UsageError: neither files nor a space, or both; more samples than the space has.
        InvalidSpecError: no such space.
    """
    if files and space is not None:
        raise UsageError("--space goes with --sample and without files: leave one of them out")
    if space is not None and sample is None:
        raise UsageError(f"--space {space} goes with --sample, which says how many networks")
    if sample is not None and space is None:
        raise UsageError(
            "--sample, the number of networks, goes with --space (--samples is that of inputs)"
        )
    if space is None or sample is None:
        if not files:
            raise UsageError(
                "name files, or a space and a number: --space nasbench201 --sample 1000"
            )
        return expand(files)
    from archcast.encoders.spaces import get_space

    chosen = get_space(space)
    if chosen.size is not None and sample > chosen.size:
        raise UsageError(f"--sample {sample}: {space} has {chosen.size:,} networks")
    return [f"{space}:{text}" for text in chosen.sample(sample, seed)]


def _write(rows: Iterator[dict[str, Any]], job: _Job, out: Path | None, json: bool) -> None:
    """Tell the rows, in the form that was asked for; where nothing was scored, no table."""
    if out is not None:
        _write_file(out, list(rows), job)
    elif json:
        for row in rows:
            _render.write_json(row)
    elif _render.is_terminal():
        _score_table.show([row for row in rows if "error" not in row], job.columns)
    else:
        plain = (_score_table.plain(row) for row in rows if "error" not in row)
        first = next(plain, None)  # what ends it all is told before there is a heading
        if first is not None:
            columns = ("file", "hash", *job.columns, "remarks")
            _render.write_table([Column(key, key) for key in columns], chain([first], plain))


def _write_file(out: Path, rows: Sequence[dict[str, Any]], job: _Job) -> None:
    """Write what was scored; a file that is there already stays if nothing was."""
    from archcast.datasets._export import write_columns

    scored = [row for row in rows if "error" not in row]
    if not scored:
        sys.stderr.write(f"archcast: {out}: not written, for nothing was scored\n")
        return
    write_columns(out, _score_table.table(scored, job.columns))
    failed = len(rows) - len(scored)
    part = f", {len(scored)} of {len(rows)} networks: {failed} failed" if failed else ""
    sys.stderr.write(f"archcast: wrote {out}{part}\n")
