"""Tables of numbers by name, in any of the usual formats."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from archcast.encoders.errors import MissingExtraError, StorageError, UnreadableModelError

#: Columns that usually name the row, and columns that usually hold its value.
NAME_COLUMNS: Final = ("spec", "file_path", "path", "file", "onnx", "name", "arch")
VALUE_COLUMNS: Final = ("accuracy", "acc", "test_accuracy", "val_accuracy", "value", "label")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a table.

    Args:
        path: ``.csv``, ``.tsv``, ``.jsonl``, ``.parquet``, or ``.json``: a list of objects, or an
            object of objects or of numbers by name.

    Returns:
        One mapping a row; texts as they stand in CSV.

    Raises:
        StorageError: it cannot be read, or its ending is none of these.
        UnreadableModelError: it is no such table.
        MissingExtraError: Parquet needs pyarrow.
    """
    readers = {
        ".csv": lambda: _separated(path, ","),
        ".tsv": lambda: _separated(path, "\t"),
        ".jsonl": lambda: [json.loads(line) for line in _text(path).splitlines() if line.strip()],
        ".json": lambda: _records(json.loads(_text(path))),
        ".parquet": lambda: _parquet(path),
    }
    if path.suffix.lower() not in readers:
        raise StorageError(f"{path}: a table ends in one of {', '.join(readers)}")
    try:
        rows = readers[path.suffix.lower()]()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError, csv.Error) as error:
        raise UnreadableModelError(f"{path}: not a readable table ({error})") from error
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UnreadableModelError(f"{path}: no rows with named columns")
    return rows


def choose(asked: str, known: Sequence[str], columns: Iterable[str], path: Path) -> str:
    """The column to use.

    Args:
        asked: what the caller wants; may be empty.
        known: usual names of such a column, the likeliest first.
        columns: the table's columns.
        path: the table, for the message.

    Raises:
        UnreadableModelError: there is none.
    """
    present = list(columns)
    for name in [asked] if asked else known:
        if name in present:
            return name
    wanted = repr(asked) if asked else f"of {', '.join(known)}"
    raise UnreadableModelError(f"{path}: no column {wanted}; it has {', '.join(map(str, present))}")


def number(value: Any, where: str) -> float:
    """A number of a table; empty, null and ``nan`` are NaN.

    Raises:
        UnreadableModelError: it is no number; the message says ``where``.
    """
    if value is None or value == "":
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise UnreadableModelError(f"{where}: {value!r} is no number") from error


def _text(path: Path) -> str:
    return path.read_text("utf-8-sig")


def _separated(path: Path, delimiter: str) -> list[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file, delimiter=delimiter, strict=True))
    for at, row in enumerate(rows, 1):
        if None in row:
            raise ValueError(f"row {at} has more fields than there are columns")
        if None in row.values():
            raise ValueError(f"row {at} has fewer fields than there are columns")
    return rows


def _records(document: Any) -> Any:
    """The rows of a JSON document, or whatever else it holds."""
    if not isinstance(document, Mapping):
        return document
    return [
        {"name": name, **(row if isinstance(row, Mapping) else {"value": row})}
        for name, row in document.items()
    ]


def _parquet(path: Path) -> list[dict[str, Any]]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("Parquet needs pyarrow: pip install 'archcast[train]'") from error
    return parquet.read_table(path).to_pylist()
