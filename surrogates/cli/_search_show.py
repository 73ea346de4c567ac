"""How ``archcast search`` tells what it does and what it found."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from archcast import datasets
from archcast.cli import _render
from archcast.cli._numbers import quantity
from archcast.cli._render import Column
from archcast.cli._search_job import Forecasts, Job
from archcast.search import (
    DeviceCost,
    Fidelity,
    SearchResult,
    list_strategies,
    strategy_class,
)
from archcast.search.journal import Trial

#: Architectures whose graphs are built at once.
_AT_ONCE: Final = 64

__all__ = ["list_all", "progress", "say", "show", "tell", "winners"]


def say(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"archcast: {text}\n")


def list_all(json: bool) -> None:
    """All strategies, one line each."""
    rows = []
    for name in list_strategies():
        try:
            kind = strategy_class(name)
        except ImportError:  # it needs an extra
            rows.append(
                {"strategy": name, "objectives": "", "what": "needs more than is installed"}
            )
            continue
        what = (inspect.getdoc(kind) or "").partition("\n")[0].replace("``", "")
        several = "several" if kind.multi_objective else "one"
        rows.append({"strategy": name, "objectives": several, "what": what})
    if json:
        for row in rows:
            _render.write_json(row)
    else:
        _render.write_table([Column(key, key) for key in ("strategy", "objectives", "what")], rows)


@contextmanager
def progress(job: Job, budget: int | None) -> Iterator[Callable[[Trial], None]]:
    """A live line on stderr, if a person watches.

    Yields:
        A function to call with every trial as it becomes known.
    """
    if not sys.stderr.isatty():
        yield lambda _trial: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[best]}"),
    )
    first = job.objectives[0]
    best, failed = -math.inf, 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        line = bar.add_task("searching", total=budget, best="")

        def advance(trial: Trial) -> None:
            nonlocal best, failed
            failed += trial.state == "failed"
            if trial.state == "done" and trial.fidelity >= 1:
                best = max(best, float(first.merit(trial.values[0])))
            text = ""
            if math.isfinite(best):
                text = f"best {quantity(float(first.merit(best)), first.unit)}"
            text += f", {failed} failed" if failed else ""
            bar.update(line, advance=1, best=text)

        yield advance


def winners(job: Job, result: SearchResult, k: int) -> list[dict[str, Any]]:
    """The k best as rows: rank, spec, objectives, the interval of forecasts, costs."""
    best = _different(job, result, k)
    rows = result.rows(best)
    lows: list[float] = []
    highs: list[float] = []
    if isinstance(job.evaluate, Forecasts) and not job.evaluate.ranks_only and best:
        found = job.evaluate.forecaster.forecast([trial.spec for trial in best])
        lows, highs = found.low.tolist(), found.high.tolist()
    table = []
    for at, row in enumerate(rows):
        interval = {"low": lows[at], "high": highs[at]} if lows else {}
        name = job.objectives[0].name
        rest = {key: row[key] for key in (*(o.name for o in job.objectives[1:]), *result.costs)}
        table.append({"rank": at + 1, "spec": row["spec"], name: row[name], **interval, **rest})
    return table


def _different(job: Job, result: SearchResult, k: int) -> list[Trial]:
    """The k best; of equal networks, which forecasts cannot tell apart, the first."""
    every = result.winners(len(result.trials))
    if job.source != "forecast":
        return every[:k]
    found: dict[str, Trial] = {}
    for start in range(0, len(every), _AT_ONCE):
        part = every[start : start + _AT_ONCE]
        for trial, graph in zip(part, job.domain.graphs([t.spec for t in part]), strict=True):
            found.setdefault(graph.hash, trial)
        if len(found) >= k:
            break
    return list(found.values())[:k]


def show(job: Job, result: SearchResult, k: int, json: bool) -> None:
    """The best as a table, or as one JSON object each."""
    rows = winners(job, result, k)
    if json:
        for row in rows:
            _render.write_json({"space": result.space, **row, "source": job.source})
        return
    if not rows:
        return
    units = {o.name: o.unit for o in job.objectives}
    columns = [
        _column(
            key, units.get(key, units[job.objectives[0].name] if key in ("low", "high") else "")
        )
        for key in rows[0]
    ]
    _render.write_table(columns, rows)


def _column(key: str, unit: str) -> Column:
    if key == "spec":
        return Column("architecture", key)
    if key == "rank":
        return Column("", key, right=True)
    return Column(key, key, lambda row: quantity(float(row[key]), unit), right=True)


def tell(job: Job, result: SearchResult) -> None:
    """On stderr, what was done, and what one should know before believing it."""
    for line in (*_caveats(job), _summary(job, result)):
        say(line)


def _summary(job: Job, result: SearchResult) -> str:
    """What was done, in one line."""
    done = len(result.completed)
    failed = sum(trial.state == "failed" for trial in result.trials)
    partly = sum(trial.state == "done" and trial.fidelity < 1 for trial in result.trials)
    kinds = {
        "forecast": f"{_forecast(job, done)} forecast, none trained: confirm the best by training",
        "table": f"{done} trainings looked up",
        "training": f"{done} trainings",
    }
    parts = [kinds[job.source]]
    parts += [f"{partly} shorter ones"] if partly else []
    if partly and not done:
        parts.append("so none to rank: give it a larger budget")
    parts += [f"{failed} failed"] if failed else []
    if job.source != "forecast" and result.seconds >= 1:
        parts.append(f"{_duration(result.seconds)} of training")
    if len(job.objectives) > 1:
        parts.append(f"{len(result.front)} on the front")
    return ", ".join(parts)


def _forecast(job: Job, done: int) -> str:
    """How many were forecast; a search that only tells what it kept does not know."""
    screened = getattr(job.strategy, "screened", 0) if job.trials is not None else 0
    return f"{screened:,} candidates" if screened else f"{done} architectures"


def _caveats(job: Job) -> Iterator[str]:
    """What one should know before believing it."""
    if isinstance(job.evaluate, Forecasts) and job.evaluate.ranks_only:
        yield (
            f"no predictor of {job.objectives[0].name} ships: the numbers are scores of the "
            "universal predictor, which rank architectures and have no unit"
        )
    fidelity = getattr(job.strategy, "fidelity", None)
    if isinstance(fidelity, Fidelity) and fidelity.kind == "distilled":
        yield (
            "most candidates were forecast by small networks that learned from forecasts (rank "
            f"correlation {fidelity.spearman:.2f}); what is shown is forecast in full"
        )
    if job.source == "table" and "prior" in inspect.signature(type(job.strategy)).parameters:
        yield (
            "the shipped predictors have learned from this table: how fast the best was found says "
            "nothing about a space of your own"
        )
    yield from _strange_devices(job)


def _strange_devices(job: Job) -> Iterator[str]:
    """Which costs are forecasts for a device that nobody has measured in this space."""
    for name, cost in job.domain.costs.items():
        if isinstance(cost, DeviceCost):
            known = {datasets.info(one).space or one for one in cost.held_out}
            if job.domain.space.name not in known:
                yield (
                    f"{name} was measured on {', '.join(sorted(known))}, never on "
                    f"{job.domain.space.name}: there it ranks roughly, and its values are a guess"
                )


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
