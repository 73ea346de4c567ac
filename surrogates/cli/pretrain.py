"""``archcast pretrain``: rebuild the predictors that ship, or train others on the corpus."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from archcast.cli._inputs import UsageError


def pretrain(
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset", "-p", help="Which shipped predictors to rebuild: core (default), or tiny."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", metavar="FILE", help="Train what this TOML file says."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for the files; default: where they ship from, or here with --config.",
        ),
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option("--log", metavar="KIND", help="With --config: csv, tensorboard; repeatable."),
    ] = None,
    devices: Annotated[
        int, typer.Option("--devices", help="With --config: processes or GPUs to share.", min=1)
    ] = 1,
) -> None:
    """Train the shipped predictors anew, byte for byte, or any other with --config.

    A training from a configuration that was stopped goes on when it is started again.
    """
    for path in _made(preset, config, out, log or [], devices):
        sys.stdout.write(f"{path}\n")
        sys.stdout.flush()


def _made(
    preset: str | None, config: Path | None, out: Path | None, log: list[str], devices: int
) -> Iterator[Path]:
    shown = sys.stderr.isatty()
    if config is None:
        if log or devices > 1:
            raise UsageError("--log and --devices go with --config")
        from archcast import pretraining

        return pretraining.pretrain(preset or "core", out=out, progress=shown)
    if preset is not None:
        raise UsageError("--preset and --config are two ways to say what to train; give one")
    from archcast.pretraining_config import pretrain_config

    return pretrain_config(config, out or Path(), logs=log, devices=devices, progress=shown)
