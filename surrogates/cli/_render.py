"""Tables: pleasant on a terminal, tab-separated with full precision when piped, or JSON lines."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        title: heading on a terminal.
        key: which of a row's values machines get; also the heading when piped.
        text: the row as a person reads it; None prints the value as it is.
        right: numbers are aligned to the right.
        style: colour on a terminal, from the row; None for no colour.
    """

    title: str
    key: str
    text: Callable[[Row], str] | None = None
    right: bool = False
    style: Callable[[Row], str | None] | None = None


def is_terminal() -> bool:
    """Whether a person is looking at the output."""
    return sys.stdout.isatty()


def write_table(columns: Sequence[Column], rows: Iterable[Row], notes: Sequence[str] = ()) -> None:
    """Write a table to stdout in the form that fits who reads it.

    Args:
        columns: what to show, in order.
        rows: one mapping a line; when piped, each is written as soon as it is there.
        notes: lines under the table; only on a terminal.
    """
    if is_terminal():
        _write_pretty(columns, rows, notes)
    else:
        write_plain_header(columns)
        for row in rows:
            write_plain_row(columns, row)


def write_plain_header(columns: Sequence[Column]) -> None:
    """Write the keys as the first line of a tab-separated table."""
    sys.stdout.write("\t".join(column.key for column in columns) + "\n")


def write_plain_row(columns: Sequence[Column], row: Row) -> None:
    """Write one tab-separated line; every number keeps its full precision."""
    sys.stdout.write("\t".join(_cell(row.get(column.key)) for column in columns) + "\n")


def write_json(document: Mapping[str, Any]) -> None:
    """Write one JSON object on one line, at once. NaN and infinity become null."""
    text = json.dumps(_finite(document), allow_nan=False)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, if a person watches and there is more than one step.

    Yields:
        A function to call with the number of steps just done.
    """
    if total < 2 or not sys.stderr.isatty():
        yield lambda _steps: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=label, unit="", leave=False, file=sys.stderr) as bar:
        yield lambda steps: _advance(bar, steps)


def _advance(bar: Any, steps: int) -> None:
    bar.update(steps)


#: Texts of at most this many characters are never folded.
_WHOLE = 28


def _write_pretty(columns: Sequence[Column], rows: Iterable[Row], notes: Sequence[str]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    rows = list(rows)
    for column in columns:
        longest = max(len(column.title), *(len(_text(column, row)) for row in rows), 0)
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            overflow="fold",
            no_wrap=column.right,
            # Only long texts are folded: names of tasks stay in one piece to be copied.
            min_width=longest if longest <= _WHOLE else None,
        )
    for row in rows:
        table.add_row(
            *(
                Text(_text(column, row), style=(column.style and column.style(row)) or "")
                for column in columns
            )
        )
    console = Console(highlight=False)
    console.print(table)
    for note in notes:
        console.print(Text(note, style="dim"))


def _text(column: Column, row: Row) -> str:
    return column.text(row) if column.text else _cell(row.get(column.key))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    return str(value).replace("\t", " ").replace("\n", " ")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
