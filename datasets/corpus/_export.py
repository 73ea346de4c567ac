"""A benchmark as one file for other programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from math import isnan
from pathlib import Path
from typing import IO, Any, Final

from archcast.datasets._benchmark import Benchmark
from archcast.encoders._files import write_atomically
from archcast.encoders.errors import MissingExtraError, StorageError


def export(benchmark: Benchmark, path: str | Path, tasks: Sequence[str] | None = None) -> None:
    """Write a benchmark's table: ``spec``, ``family`` and a column a task.

    Args:
        benchmark: the benchmark.
        path: where to; ``.csv``, ``.jsonl`` or ``.parquet``. A missing value is an empty field,
            ``null``, or Parquet's null.
        tasks: which tasks; all if None.

    Raises:
        StorageError: another ending, or the file cannot be written.
        UnknownTaskError: no such task.
        MissingExtraError: Parquet needs pyarrow.
    """
    check_ending(Path(path))
    names = list(benchmark.tasks if tasks is None else tasks)
    columns: dict[str, list[Any]] = {
        "spec": list(benchmark.specs),
        "family": list(benchmark.families),
    }
    for task in names:
        columns[task] = [None if isnan(v) else v for v in benchmark.labels(task).tolist()]
    write_columns(Path(path), columns)


def write_columns(path: Path, columns: dict[str, list[Any]]) -> None:
    """Write columns of equal length as one file; None is a missing value.

    Raises:
        StorageError: another ending than ``.csv``, ``.jsonl`` or ``.parquet``, or the file cannot
            be written.
        MissingExtraError: Parquet needs pyarrow.
    """
    check_ending(path)
    write = _WRITERS[path.suffix]
    write_atomically(path, lambda file: write(file, columns))


def check_ending(path: Path) -> None:
    """Whether a table can be written under such a name.

    Raises:
        StorageError: the ending says no format.
    """
    if path.suffix not in _WRITERS:
        known = ", ".join(_WRITERS)
        raise StorageError(f"{path.name}: the ending says the format; it is one of {known}")


def _rows(columns: dict[str, list[Any]]) -> Iterator[tuple[Any, ...]]:
    return zip(*columns.values(), strict=True)


def _csv(file: IO[bytes], columns: dict[str, list[Any]]) -> None:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(_rows(columns))
    file.write(text.getvalue().encode())


def _jsonl(file: IO[bytes], columns: dict[str, list[Any]]) -> None:
    for row in _rows(columns):
        file.write(json.dumps(dict(zip(columns, row, strict=True))).encode() + b"\n")


def _parquet(file: IO[bytes], columns: dict[str, list[Any]]) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("Parquet needs pyarrow: pip install 'archcast[train]'") from error
    pq.write_table(pa.table(columns), file, compression="zstd")


_WRITERS: Final[dict[str, Callable[[IO[bytes], dict[str, list[Any]]], None]]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
