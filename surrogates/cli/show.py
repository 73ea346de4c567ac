"""``archcast show FILE``: the network as archcast understands it, in words or as a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from archcast import encoders
from archcast.cli._forecasts import source
from archcast.cli._inputs import UsageError, parse_shapes
from archcast.cli._options import InputShape
from archcast.cli._report import Failures
from archcast.encoders._files import write_atomically

_FORMATS = (".svg", ".dot")


def show(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file or cell string.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Draw it to a .svg or .dot file.")
    ] = None,
    input_shape: InputShape = None,
) -> int:
    """Summarise a network: operators, sizes, stages; or draw it."""
    if out is not None and out.suffix not in _FORMATS:
        raise UsageError(f"--out {out}: give a name that ends in .svg or .dot")
    failures = Failures()
    try:
        graph = encoders.read(source(file), input_shape=parse_shapes(input_shape or ()))
    except Exception as error:  # told in one line
        failures.add(file, error)
        return failures.exit_code
    from archcast.encoders import drawing
    from archcast.encoders.summary import summary

    sys.stdout.write(summary(graph) + "\n")
    if out is not None:
        draw = drawing.to_svg if out.suffix == ".svg" else drawing.to_dot
        text = draw(graph)
        write_atomically(out, lambda stream: stream.write(text.encode()))
        sys.stderr.write(f"archcast: wrote {out}\n")
    return failures.exit_code
