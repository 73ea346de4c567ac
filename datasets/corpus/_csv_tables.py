"""Reading tables of comma-separated values, plain or compressed, without pandas."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import StorageError, UnreadableModelError


def read_columns(path: Path) -> dict[str, Sequence[str]]:
    """Read a table with a header.

    Args:
        path: a ``.csv`` or ``.csv.gz`` file.

    Returns:
        Column name -> (rows,) texts.

    Raises:
        UnreadableModelError: it is damaged, or rows are not all as long as the header.
        StorageError: it cannot be opened.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
        header, *rows = csv.reader(StringIO(text, newline=""))
        return dict(zip(header, zip(*rows, strict=True), strict=True))
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
        raise UnreadableModelError(f"{path} is not a table of the expected form") from error


def numbers(column: Sequence[str]) -> NDArray[np.float64]:
    """The numbers of a column, NaN where nothing stands."""
    return np.array([value or "nan" for value in column], np.float64)
