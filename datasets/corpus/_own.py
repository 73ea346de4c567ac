"""A user's own measurements as a benchmark."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from archcast import encoders
from archcast.datasets._benchmark import Benchmark, FloatArray, Reader
from archcast.datasets._cards import names
from archcast.datasets._label_tables import NAME_COLUMNS, choose, number, read_rows
from archcast.encoders._cache import cache_folder
from archcast.encoders._files import exists
from archcast.encoders._fingerprint import encoder_files, fingerprint
from archcast.encoders.errors import InvalidSpecError, StorageError, UnreadableModelError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces import get_space, recognise

#: A column of this name holds families, not labels.
_FAMILY: Final = "family"


def from_csv(
    path: str | Path,
    *,
    spec: str = "",
    tasks: Sequence[str] | str | None = None,
    space: str = "",
    name: str = "",
    input_shape: tuple[int, ...] | None = None,
) -> Benchmark:
    """A benchmark of one's own networks.

    One row a network, one column a label; empty fields are missing labels::

        file,cifar10/test_accuracy,family
        models/a.onnx,93.1,resnet
        models/b.onnx,91.4,mobilenet

    is all that is needed::

        from archcast import datasets

        own = datasets.from_csv("measured.csv")
        own.labels("cifar10/test_accuracy")   # array([93.1, 91.4])
        own.graphs()                          # read without weights, kept by their content
        own.query("models/a.onnx", "cifar10/test_accuracy")

    Instead of files, the column may hold specifications of a search space, and all that
    :func:`archcast.datasets.load` gives can be used: splits, pooled tables, training.

    Args:
        path: a CSV file; or TSV, JSON or Parquet of the same columns.
        spec: the column that names the networks: ONNX files, relative to the table or absolute,
            or specifications; ``spec``, ``file``, ``path`` or the like if empty.
        tasks: the columns of labels; all others but ``family`` if None.
        space: name of the search space the specifications belong to; if empty, each is a file, or
            a text that only one space can mean, such as ``nasbench201:...``.
        name: name of the benchmark; the file's if empty.
        input_shape: shape of the input where ONNX files leave it open, batch first.

    Returns:
        The benchmark. Graphs of files are kept in the cache, by the content of the file.

    Raises:
        StorageError: the table or a file it names is not there.
        InvalidSpecError: a specification is not well formed, or stands there twice.
        UnreadableModelError: it is no table, lacks a column, or a label is no number.
    """
    table = Path(path)
    if (name or table.stem) in names():
        raise InvalidSpecError(
            f"{name or table.stem!r} is the name of a benchmark of the library; give name=..."
        )
    rows = read_rows(table)
    named = choose(spec, NAME_COLUMNS, rows[0], table)
    columns = [tasks] if isinstance(tasks, str) else list(tasks or ())
    if tasks is None:
        columns = [column for column in rows[0] if column not in (named, _FAMILY)]
    labels: dict[str, Reader] = {}
    for column in columns:
        choose(column, (), rows[0], table)
        labels[column] = partial(_itself, _column(rows, column, table))
    specs = [str(row.get(named) or "").strip() for row in rows]
    _check(specs, space, table)
    families = [str(row.get(_FAMILY) or "") for row in rows] if _FAMILY in rows[0] else None
    return Benchmark(
        name or table.stem,
        specs,
        labels,
        lambda indices: _graphs([specs[i] for i in indices], space, table.parent, input_shape),
        space=space,
        key=get_space(space).parse if space else str,
        families=None if families is None else lambda: families,
        version=lambda: _contents([table.parent / text for text in specs], input_shape),
    )


def _column(rows: Sequence[dict[str, Any]], column: str, table: Path) -> FloatArray:
    where = f"{table}, row {{}}, column {column}"
    return np.array([number(row.get(column), where.format(at)) for at, row in enumerate(rows, 1)])


def _itself(values: FloatArray) -> FloatArray:
    return values


def _check(specs: Sequence[str], space: str, table: Path) -> None:
    first: dict[Any, int] = {}
    for at, text in enumerate(specs, 1):
        where = f"{table}, row {at}"
        try:
            key = get_space(space).parse(text) if space else _own_key(text, table.parent)
        except (InvalidSpecError, StorageError) as error:
            raise type(error)(f"{where}: {error}") from error
        if key in first:
            raise InvalidSpecError(f"{where}: {text!r} stands in row {first[key]} already")
        first[key] = at


def _is_file(path: Path) -> bool:
    return exists(path) and path.is_file()


def _own_key(text: str, folder: Path) -> Any:
    if _is_file(folder / text):
        return folder / text
    found = recognise(text)
    if found is None:
        raise StorageError(f"{text!r} is no file below {folder}, and no known specification")
    return found[0].name, found[0].parse(found[1])


def _graphs(
    specs: Sequence[str], space: str, folder: Path, shape: tuple[int, ...] | None
) -> list[ComputeGraph]:
    if space:
        return get_space(space).graphs(specs)
    files = {at: folder / text for at, text in enumerate(specs) if _is_file(folder / text)}
    others = iter(encoders.read_all([t for at, t in enumerate(specs) if at not in files]))
    return [
        kept_graph(files[at], shape) if at in files else next(others) for at in range(len(specs))
    ]


def _contents(paths: Sequence[Path], input_shape: tuple[int, ...] | None) -> str:
    """Changes with what the files hold, and how they are read."""
    known = [_digest(path, input_shape) for path in paths if _is_file(path)]
    return f"{_readers()} {' '.join(known)}"


def _digest(path: Path, input_shape: tuple[int, ...] | None) -> str:
    digest = hashlib.sha256(repr(input_shape).encode())
    try:
        with path.open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()


def kept_graph(path: Path, input_shape: tuple[int, ...] | None = None) -> ComputeGraph:
    """The graph of an ONNX file, read once for each content it has.

    Args:
        path: the file.
        input_shape: shape of the input where the file leaves it open.

    Raises:
        StorageError: the file cannot be read, or the cache cannot be written.
        UnreadableModelError: it is no network that can be read; the message names the file.
    """
    kept = cache_folder() / "derived" / f"onnx-{_readers()}" / f"{_digest(path, input_shape)}.npz"
    if kept.exists():
        try:
            return replace(ComputeGraph.load(kept), name=path.stem)
        except UnreadableModelError:
            pass  # damaged: read the file again
    graph = encoders.read_all([path], input_shape)[0]
    graph.save(kept)
    return graph


@cache
def _readers() -> str:
    """Changes with the code that reads ONNX files."""
    return fingerprint(encoder_files(("spaces", "tabular", "_torch")))
