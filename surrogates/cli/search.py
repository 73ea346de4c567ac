"""``archcast search``: the best architectures of a space, by forecasts, tables or trainings."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archcast.cli import FAILED, INTERRUPTED, OK
from archcast.cli._inputs import UsageError
from archcast.cli._options import Json, complete_benchmark, complete_task

if TYPE_CHECKING:
    from archcast.cli._search_job import Job
    from archcast.search import SearchResult

#: Ended by a scheduler, as the shell counts it (128 + SIGTERM).
_TERMINATED = 143


def complete_strategy(incomplete: str) -> list[str]:
    """Names of strategies, for the shell's completion."""
    from archcast.search import list_strategies

    return [name for name in list_strategies() if name.startswith(incomplete)]


def complete_space(incomplete: str) -> list[str]:
    """Names of search spaces, for the shell's completion."""
    from archcast.encoders.spaces import SPACES

    return [name for name in SPACES if name.startswith(incomplete)]


def search(
    space: Annotated[
        str | None,
        typer.Option(
            "--space",
            metavar="NAME",
            help="Search space, as in nasbench201; module:object for one of your own.",
            autocompletion=complete_space,
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task", "-t", metavar="NAME", help="What is to be best.", autocompletion=complete_task
        ),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy",
            metavar="NAME",
            help="See --list. Default: forecast; with forecasts alone screen, or nsga2 for "
            "several objectives, or evolution where a space is not made of choices.",
            autocompletion=complete_strategy,
        ),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            "--budget",
            "-n",
            help="Trials in all; 200, or 2000 with forecasts alone. With screen the candidates "
            "that are forecast: 100000.",
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="Stop when trials have taken as long.")
    ] = None,
    constraint: Annotated[
        list[str] | None,
        typer.Option(
            "--constraint",
            "-c",
            metavar="BOUND",
            help="As in 'params<=1M' or 'latency_ms:pixel3<=5'; repeatable.",
        ),
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            "--objective", metavar="COST", help="A cost to be made small, too; repeatable."
        ),
    ] = None,
    cost: Annotated[
        list[str] | None,
        typer.Option("--cost", metavar="COST", help="A cost to be told, too; repeatable."),
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(
            "--benchmark",
            metavar="NAME",
            help="Look trainings up in this table.",
            autocompletion=complete_benchmark,
        ),
    ] = None,
    train_with: Annotated[
        str | None,
        typer.Option(
            "--train-with",
            metavar="MODULE:FUNCTION",
            help="Train with this function, in this process: it is called with the "
            "architecture's text (and the share of the full training, if it takes two), and "
            "returns the task's value.",
        ),
    ] = None,
    direction: Annotated[
        str | None,
        typer.Option("--direction", help="With --train-with: max or min is better."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option", metavar="NAME=VALUE", help="A setting of the strategy; repeatable."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the strategy.", min=0)] = 0,
    journal: Annotated[
        Path | None,
        typer.Option("--journal", "-j", metavar="FILE", help="Keep every result in this file."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the journal, or join a search that is running."),
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="With --resume: try what failed before once more."),
    ] = False,
    workers: Annotated[
        int, typer.Option("--workers", help="Trainings at once, in threads.", min=1)
    ] = 1,
    top: Annotated[int, typer.Option("--top", help="How many of the best.", min=1)] = 5,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write the best as text, torch code and ONNX here."),
    ] = None,
    formats: Annotated[
        str, typer.Option("--formats", help="What --out writes.")
    ] = "spec,torch,onnx",
    save: Annotated[
        list[Path] | None,
        typer.Option("--save", metavar="FILE", help="Write all trials: .json, .csv, .md."),
    ] = None,
    plot: Annotated[
        list[Path] | None,
        typer.Option(
            "--plot", metavar="FILE", help="Draw the front, or the best so far: .png, .svg, .pdf."
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the strategies.")] = False,
    json: Json = False,
) -> int:
    """Search a space for the best architectures.

    Without --benchmark and --train-with nothing is trained: every value is a forecast. With a
    --journal nothing is lost when the search is stopped, and several terminals share one search.
    """
    from archcast.cli import _search_files as files
    from archcast.cli import _search_show as report

    if list_:
        report.list_all(json)
        return OK
    if task is None:
        raise UsageError("name a task: --task cifar10/test_accuracy")
    _check(budget, seconds, journal, resume, retry_failed)
    files.check_endings(save or [], plot or [])
    wanted = files.formats_of(formats)
    from archcast.cli._search_job import Wish, plan

    job = plan(
        Wish(
            space,
            task,
            strategy,
            constraint or (),
            objective or (),
            cost or (),
            benchmark,
            train_with,
            direction,
            option or (),
            seed,
            budget,
            top,
        )
    )
    budget = _trials(job, budget, seconds)
    result, code = _searched(job, budget, seconds, journal, resume, retry_failed, workers)
    report.tell(job, result)
    report.show(job, result, top, json)
    sys.stdout.flush()  # before files, which take longer
    if result.completed:
        for path in save or []:
            result.save(path)
            report.say(f"wrote {path}")
        for path in plot or []:
            files.draw(job, result, path)
            report.say(f"wrote {path}")
        if out is not None and not files.export_best(job, result, top, out, wanted):
            code = code or FAILED
    if code == INTERRUPTED and journal is not None:
        report.say(f"go on with: {files.again(resume)}")
    elif code == INTERRUPTED:
        report.say("nothing was kept; with --journal FILE a search goes on where it was stopped")
    return code


@contextmanager
def _ended() -> Iterator[None]:
    """Gives back what is being measured when a scheduler ends the process."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check(
    budget: int | None,
    seconds: float | None,
    journal: Path | None,
    resume: bool,
    retry_failed: bool,
) -> None:
    if budget is not None and budget < 1:
        raise UsageError(f"--budget {budget}: nothing can be measured; give 1 at least")
    if seconds is not None and not seconds > 0:
        raise UsageError(f"--seconds {seconds:g}: nothing can be measured; give more")
    if resume and journal is None:
        raise UsageError("--resume goes with --journal FILE, the search to go on with")
    if retry_failed and not resume:
        raise UsageError("--retry-failed goes with --resume: it is about trials of an earlier run")


def _trials(job: Job, budget: int | None, seconds: float | None) -> int | None:
    """How many trials there are to be; None for no bound."""
    if job.trials is not None:  # the budget is of candidates, which are no trials
        return job.trials
    if budget is None and seconds is None:
        return 2000 if job.source == "forecast" else 200
    return budget


def _searched(
    job: Job,
    budget: int | None,
    seconds: float | None,
    journal: Path | None,
    resume: bool,
    retry_failed: bool,
    workers: int,
) -> tuple[SearchResult, int]:
    """Run it; what was found so far is told in any case.

    Returns:
        What was found, and the exit code.
    """
    from archcast.cli import _search_show as report
    from archcast.encoders.errors import EvaluationError
    from archcast.search import SearchResult, run
    from archcast.search.journal import Journal

    code = OK
    with Journal(journal, job.facts) as kept:
        begun, _ = kept.spent()
        if begun and not resume:
            raise UsageError(
                f"--journal {journal}: it holds {begun} trials; go on with --resume, or name "
                "another file"
            )
        if retry_failed:
            kept.retry_failed()
        try:
            # What a training function prints is no data.
            with redirect_stdout(sys.stderr), _ended(), report.progress(job, budget) as advance:
                run(
                    job.strategy,
                    job.evaluate,
                    budget,
                    objectives=job.objectives,
                    seconds=seconds,
                    journal=kept,
                    workers=workers,
                    on_trial=advance,
                )
        except KeyboardInterrupt:
            code = INTERRUPTED
        except EvaluationError as error:
            report.say(" ".join(str(error).split()))
            code = FAILED
        result = SearchResult.of(job.domain, job.objectives, kept.trials(), job.strategy.name)
    return result, code
