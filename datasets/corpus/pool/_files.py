"""Where the pooled table lies, and what says that a benchmark's part of it is whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from archcast.datasets import _cards, _registry
from archcast.datasets._benchmark import Benchmark
from archcast.datasets._fetch import cache_folder
from archcast.encoders import spaces
from archcast.encoders._files import write_atomically
from archcast.encoders._fingerprint import encoder_files, fingerprint
from archcast.encoders.errors import MissingExtraError, UnreadableModelError

#: The tables of a benchmark.
TABLES: Final = ("architectures", "graphs", "features", "labels")
_MANIFEST: Final = "manifest.json"
#: Sources that no table depends on.
_HARMLESS: Final = ("_fetch.py", "_registry.py", "_export.py")


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


def _shared_files() -> set[Path]:
    package = Path(__file__).parents[1]
    files = {*encoder_files(without=("spaces",)), *Path(__file__).parent.glob("*.py")}
    return files | {p for p in package.glob("_*.py") if p.name not in _HARMLESS}


@cache
def _of_name(benchmark: str) -> str:
    card = _cards.card(benchmark)
    files = _shared_files() | _space_files(card.space or benchmark)
    files |= {*(Path(__file__).parents[1] / "benchmarks").glob(f"*{benchmark}*.py")}
    return fingerprint(files, *(_registry.entry(name).sha256 for name in card.files))


def _of_own(benchmark: Benchmark) -> str:
    """A benchmark of the user's own: its rows and labels count."""
    labels = [hashlib.sha256(benchmark.labels(t).tobytes()).hexdigest() for t in benchmark.tasks]
    texts = (*benchmark.specs, *benchmark.tasks, *labels)
    return fingerprint(_shared_files() | _space_files(benchmark.space), *texts)


def _space_files(name: str) -> set[Path]:
    """The sources of a space, and what all spaces are made of."""
    folder = Path(spaces.__file__).parent
    shared = {
        folder / f"{part}.py" for part in ("_base", "_batch", "_fields", "_net", "_net_graph")
    }
    if name not in spaces.SPACES:  # a zoo's names: its graphs are read, not built
        return shared
    module = type(spaces.get_space(name)).__module__.rpartition(".")[2]
    return shared | {*folder.glob(f"*{module.strip('_')}*.py")}


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
