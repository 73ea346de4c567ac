"""The subcommands, put together."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from archcast.cli import (
    adapt,
    compare,
    datasets,
    demo,
    evaluate,
    predict,
    pretrain,
    proxies,
    search,
    show,
    tasks,
)

app = typer.Typer(
    name="archcast",
    help="Forecast what a neural architecture will score, without training it.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"archcast {version('archcast')}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Forecast what a neural architecture will score, without training it."""


app.command(no_args_is_help=True)(predict.predict)
app.command()(demo.demo)
app.command(no_args_is_help=True)(compare.compare)
app.command()(tasks.tasks)
app.command(no_args_is_help=True)(proxies.proxies)
app.command(no_args_is_help=True)(search.search)
app.command(no_args_is_help=True)(show.show)
app.add_typer(datasets.app, name="datasets")
app.command(no_args_is_help=True)(adapt.adapt)
app.command()(evaluate.evaluate)
app.command()(pretrain.pretrain)
