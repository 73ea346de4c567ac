"""Where the pooled table lies, and what says that a benchmark's part of it is whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np

from archcast.datasets import _cards, _registry
from archcast.datasets._benchmark import Benchmark
from archcast.encoders import spaces
from archcast.encoders._cache import cache_folder
from archcast.encoders._files import write_atomically
from archcast.encoders._fingerprint import fingerprint, imported_files
from archcast.encoders.errors import MissingExtraError, UnreadableModelError

#: The tables of a benchmark.
TABLES: Final = ("architectures", "graphs", "features", "labels")
_MANIFEST: Final = "manifest.json"
#: What turns a benchmark into tables.
_COLUMNS: Final = "archcast.datasets.pool._columns"
#: Packages whose networks a benchmark's graphs may be.
_ZOOS: Final = ("timm", "torchvision")


@dataclass(frozen=True)
class Manifest:
    """What a benchmark's part of the pool holds; written last, so that its presence says "whole".

    Attributes:
        benchmark: name.
        space: name of its search space.
        fingerprint: version of the code and data it was made with.
        architectures: number of rows.
        hashes: number of distinct graphs among them.
        tasks: task name -> number of labels.
        seconds: time spent on making it, resumed builds included.
        bytes: size of its tables.
    """

    benchmark: str
    space: str
    fingerprint: str
    architectures: int
    hashes: int
    tasks: dict[str, int]
    seconds: float
    bytes: int

    @property
    def labels(self) -> int:
        """Number of labels of all tasks."""
        return sum(self.tasks.values())

    def save(self, folder: Path) -> None:
        """Write it into a benchmark's folder."""
        text = json.dumps(asdict(self), indent=1) + "\n"
        write_atomically(folder / _MANIFEST, lambda file: file.write(text.encode()))

    @classmethod
    def load(cls, folder: Path) -> Manifest | None:
        """Read it; None if the folder is missing or not whole.

        Raises:
            UnreadableModelError: the file is damaged.
        """
        path = folder / _MANIFEST
        try:
            return cls(**json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise UnreadableModelError(
                f"{path} is damaged ({error}); delete {folder} and build again"
            ) from error


def pool_folder(folder: str | Path | None = None) -> Path:
    """Where the pool lies: the folder given, or ``pool`` in the cache."""
    return Path(folder) if folder is not None else cache_folder() / "pool"


def version_of(benchmark: str | Benchmark) -> str:
    """Fingerprint of all that a benchmark's part of the pool depends on."""
    return _of_name(benchmark) if isinstance(benchmark, str) else _of_own(benchmark)


@cache
def _of_name(name: str) -> str:
    card = _cards.card(name)
    modules = [f"archcast.datasets.benchmarks.{name}", *_space_module(card.space or name)]
    files = imported_files(_COLUMNS, *modules)
    hashes = [_registry.entry(file).sha256 for file in card.files]
    used = [package for package in _ZOOS if any(package in path.read_text() for path in files)]
    return fingerprint(files, *hashes, *map(_release, used))


def _of_own(benchmark: Benchmark) -> str:
    """A benchmark of the user's own: its rows, labels and recipes count, and what it says."""
    texts = [benchmark.space, benchmark.version, *benchmark.specs, *benchmark.families]
    for task in benchmark.tasks:
        arrays = (benchmark.labels(task), benchmark.label_std(task), benchmark.seeds(task))
        texts += [task, *(hashlib.sha256(a.tobytes()).hexdigest() for a in arrays)]
        recipe = sorted(benchmark.recipe(task).items())
        texts += [f"{field}={np.asarray(value).tolist()}" for field, value in recipe]
    return fingerprint(imported_files(_COLUMNS, *_space_module(benchmark.space)), *texts)


def _space_module(name: str) -> list[str]:
    return [type(spaces.get_space(name)).__module__] if name in spaces.SPACES else []


def _release(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package


def need_arrow() -> Any:
    """The module ``pyarrow``.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            "the pooled table needs pyarrow: pip install 'archcast[train]'"
        ) from error
    return pa


def write_table(path: Path, table: Any) -> None:
    """Write an arrow table as Parquet, whole or not at all.

    Raises:
        StorageError: the disk is full, or the place cannot be written.
    """
    pq = need_arrow().parquet
    write_atomically(path, lambda file: pq.write_table(table, file, compression="zstd"))
