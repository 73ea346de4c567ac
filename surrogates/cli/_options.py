"""Arguments and options that several subcommands share."""

from __future__ import annotations

from typing import Annotated

import typer


def complete_task(incomplete: str) -> list[str]:
    """Names of tasks, for the shell's completion."""
    import archcast

    return [task.name for task in archcast.tasks() if task.name.startswith(incomplete)]


def complete_benchmark(incomplete: str) -> list[str]:
    """Names of benchmarks, for the shell's completion."""
    from archcast import datasets

    return [name for name in datasets.list_benchmarks() if name.startswith(incomplete)]


Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        "-t",
        metavar="NAME",
        help="What to forecast; repeatable. Default: the task that fits the network.",
        autocompletion=complete_task,
    ),
]
Recipe = Annotated[
    list[str] | None,
    typer.Option(
        "--recipe",
        "-r",
        metavar="KEY=VALUE",
        help="How the network would be trained, as in pretrain=in21k; repeatable.",
    ),
]
InputShape = Annotated[
    list[str] | None,
    typer.Option(
        "--input-shape",
        "-s",
        metavar="SHAPE",
        help="Shape of the input, as in 1,3,224,224; name=SHAPE for one of several inputs.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
