"""Many ONNX files with accuracies, as ONNX-Bench publishes them, streamed as graphs.

Reference:
    Qin et al., "ONNX-Net: Towards Universal Representations and Instant Performance Prediction for
    Neural Architectures", 2025: ONNX-Bench, 649,596 ONNX files with CIFAR-10 accuracies.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from archcast import encoders
from archcast.datasets._label_tables import (
    NAME_COLUMNS,
    VALUE_COLUMNS,
    choose,
    number,
    read_rows,
)
from archcast.datasets._onnx_sources import SUFFIX, Member, members
from archcast.encoders._onnx.skim import read_metadata
from archcast.encoders.errors import ArchcastError, UnreadableModelError
from archcast.encoders.graph import ComputeGraph


class OnnxRow(NamedTuple):
    """One network of a stream.

    Attributes:
        position: number of the file in the source, for a later stream to go on behind it.
        spec: path of the file below the source.
        graph: canonical graph.
        value: its label.
    """

    position: int
    spec: str
    graph: ComputeGraph
    value: float

    @property
    def family(self) -> str:
        """Uppermost folder or archive of the file: in ONNX-Bench the search space."""
        return self.spec.partition("/")[0]


class OnnxFolder:
    """A folder or archive of ONNX files, each with a label, read one by one without weights.

    Labels stand in a table of relative paths, or, as in ONNX-Bench, in the metadata of each file.
    ONNX-Bench itself is fetched with Hugging Face's own client::

        from huggingface_hub import snapshot_download
        from archcast.datasets import OnnxFolder

        folder = OnnxFolder(snapshot_download("carlosqsw/ONNX-Bench", repo_type="dataset"))
        for position, spec, graph, accuracy in folder.stream():
            ...  # to go on later: folder.stream(start=position + 1)
        print(folder.skipped)

    Attributes:
        skipped: reason -> files left out so far: the name of the error for unreadable ones,
            ``no label``, and, once a whole stream is through, ``no file`` for rows of the table
            that no file belongs to.
        failures: path -> why it could not be read.
    """

    def __init__(
        self,
        source: str | Path,
        table: str | Path | None = None,
        *,
        path_column: str = "",
        value_column: str = "",
        scale: float = 1.0,
        input_shape: tuple[int, ...] | None = None,
    ) -> None:
        """Nothing but the table is read yet.

        Args:
            source: folder, zip or tar file; archives in a folder are looked into.
            table: CSV, JSON or Parquet with a column of paths, with or without ``.onnx``, and one
                of values; labels are taken from the files' metadata if None.
            path_column: the column of paths; ``file_path``, ``path`` or the like if empty.
            value_column: the column of values, ``accuracy`` or the like if empty; without a table,
                the key of the metadata, the first one if empty.
            scale: what values are multiplied with: 100 makes percent of fractions.
            input_shape: shape of the input where files leave it open.

        Raises:
            StorageError: the table cannot be read.
            UnreadableModelError: it is no table, lacks the columns, holds what is no number, or
                names a file twice.
        """
        self.source = Path(source)
        self.skipped: Counter[str] = Counter()
        self.failures: dict[str, str] = {}
        self._key = value_column
        self._scale = scale
        self._shape = input_shape
        self._labels = None if table is None else _labels(Path(table), path_column, value_column)

    def stream(self, start: int = 0) -> Iterator[OnnxRow]:
        """Read one network after another.

        Args:
            start: how many files to leave out at the beginning, because an earlier stream has
                read them; tar files must be run through for it, but nothing is parsed.

        Yields:
            The networks that have a label and can be read; the others are counted.

        Raises:
            StorageError: there is no such source.
            UnreadableModelError: an archive is damaged as a whole.
        """
        seen: set[str] = set()
        for position, member in enumerate(members(self.source)):
            seen.add(_stem(member.name))
            if position < start:
                continue
            row = self._row(position, member)
            if row is not None:
                yield row
        if self._labels is not None:
            self.skipped["no file"] = len(self._labels.keys() - seen)

    def take(self, count: int, start: int = 0) -> list[OnnxRow]:
        """The first networks of a stream, or fewer where it ends."""
        return list(islice(self.stream(start), count))

    def _row(self, position: int, member: Member) -> OnnxRow | None:
        if self._labels is not None and _stem(member.name) not in self._labels:
            self.skipped["no label"] += 1
            return None
        try:
            content = member.content()
            value = self._value(member.name, content)
            if not math.isfinite(value):
                self.skipped["no label"] += 1
                return None
            graph = encoders.read(content, self._shape, name=member.name)
        except ArchcastError as error:
            self.skipped[type(error).__name__] += 1
            self.failures[member.name] = str(error)
            return None
        return OnnxRow(position, member.name, graph, value * self._scale)

    def _value(self, name: str, content: Path | bytes) -> float:
        if self._labels is not None:
            return self._labels[_stem(name)]
        metadata = read_metadata(content)
        text = metadata.get(self._key) if self._key else next(iter(metadata.values()), None)
        try:
            return float(text or "nan")
        except ValueError:
            return math.nan


def _labels(table: Path, path_column: str, value_column: str) -> dict[str, float]:
    rows = read_rows(table)
    path = choose(path_column, NAME_COLUMNS, rows[0], table)
    value = choose(value_column, VALUE_COLUMNS, rows[0], table)
    found: dict[str, float] = {}
    for at, row in enumerate(rows, 1):
        name = _stem(str(row.get(path)))
        if name in found:
            raise UnreadableModelError(f"{table}, row {at}: {name!r} has a label already")
        found[name] = number(row.get(value), f"{table}, row {at}, {value}")
    return found


def _stem(name: str) -> str:
    """Tables write paths with and without the ending."""
    return name.replace("\\", "/").removeprefix("./").removesuffix(SUFFIX)
