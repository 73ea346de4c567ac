"""``archcast pretrain``: rebuild the predictors that ship."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def pretrain(
    preset: Annotated[
        str, typer.Option("--preset", "-p", help="Which predictors to build: core, or tiny.")
    ] = "core",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the files; default: where they ship from."),
    ] = None,
) -> None:
    """Train the shipped predictors anew, byte for byte, from the benchmarks."""
    from archcast import pretraining

    for path in pretraining.pretrain(preset, out=out, progress=sys.stderr.isatty()):
        sys.stdout.write(f"{path}\n")
