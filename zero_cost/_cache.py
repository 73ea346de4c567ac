"""Scores that were computed before, by any process of this machine: one SQLite file."""

from __future__ import annotations

import json
import math
import sqlite3
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np

from archcast.encoders._cache import cache_folder
from archcast.encoders._database import MAGIC, Layout, connect
from archcast.encoders._fingerprint import fingerprint, imported_files
from archcast.encoders.errors import StorageError
from archcast.zero_cost._proxy import Proxy

#: A score, and why there is none if it is NaN.
Kept = tuple[float, str]

_FILE: Final = "scores.sqlite"
#: Hashes asked for in one statement.
_AT_ONCE: Final = 500
# A proxy with its settings and code is a run. Rows of a few dozen bytes, found by one search in one
# tree; a missing score is NULL with its reason.
_LAYOUT: Final = Layout(
    b"acsc",
    1,
    (
        """CREATE TABLE runs (
            id INTEGER PRIMARY KEY, proxy TEXT, settings TEXT, version TEXT,
            UNIQUE (proxy, settings, version)
        )""",
        """CREATE TABLE scores (
            run INTEGER, graph BLOB, score REAL, reason TEXT, PRIMARY KEY (run, graph)
        ) WITHOUT ROWID""",
    ),
)


class ScoreCache:
    """Scores by architecture, proxy, settings and version of the code.

    Several processes may read and write it at once. Every write is there as a whole or not at all,
    so that what was scored before an interruption is found again. A damaged file is set aside, and
    one that cannot be written is done without, each with a warning: scores are computed anew.

    Args:
        path: the file; None stands for one in the library's cache folder.
        settings: what the scores depend on beside the architecture: plain values.

    Raises:
        StorageError: ``path`` is given and is not a cache of scores, or cannot be opened.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any]) -> None:
        self.path = path or cache_folder() / _FILE
        self._settings = json.dumps(dict(settings), sort_keys=True)
        self._runs: dict[str, int] = {}
        self._database: sqlite3.Connection | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if path is not None:
                _check_magic(path)
            self._database = self._opened()
        except (OSError, sqlite3.Error) as error:
            if path is None:
                self._give_up(error)
            elif isinstance(error, StorageError):
                raise
            else:
                raise StorageError(f"cannot open the cache {path}: {error}") from error

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()
        self._database = None

    def find(self, proxy: Proxy, hashes: Sequence[str]) -> dict[str, Kept]:
        """The scores that are known: hash -> score and reason."""
        found: dict[str, Kept] = {}
        with self._guarded() as database:
            if database is not None:
                run = self._run(database, proxy)
                for start in range(0, len(hashes), _AT_ONCE):
                    found.update(_rows(database, run, hashes[start : start + _AT_ONCE]))
        return found

    def keep(self, proxies: Mapping[str, Proxy], rows: Iterable[tuple[str, str, Kept]]) -> None:
        """Write scores: name of the proxy, hash, score and reason; all of them or none."""
        with self._guarded() as database:
            if database is not None:
                runs = {name: self._run(database, proxy) for name, proxy in proxies.items()}
                with database:
                    database.executemany(
                        "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)",
                        [
                            (runs[name], bytes.fromhex(key), *_stored(kept))
                            for name, key, kept in rows
                        ],
                    )

    # ---------------------------------------------------------------- the file
    def _opened(self) -> sqlite3.Connection:
        try:
            return connect(self.path, _LAYOUT, durable=False)
        except sqlite3.OperationalError:  # locked, read-only, a full disk: the file is not at fault
            raise
        except sqlite3.DatabaseError as error:
            self._set_aside(error)
            return connect(self.path, _LAYOUT, durable=False)

    @contextmanager
    def _guarded(self) -> Iterator[sqlite3.Connection | None]:
        """The database; whatever it raises costs the cache, never the scores."""
        try:
            yield self._database
        except sqlite3.OperationalError as error:
            self._give_up(error)
        except sqlite3.DatabaseError as error:
            self.close()
            self._runs.clear()
            try:
                self._set_aside(error)
                self._database = connect(self.path, _LAYOUT, durable=False)
            except (OSError, sqlite3.Error, StorageError) as second:
                self._give_up(second)

    def _set_aside(self, error: Exception) -> None:
        """Rename the file and what SQLite keeps beside it."""
        aside = next(
            path
            for i in range(1000)
            if not (path := self.path.with_name(f"{self.path.name}.damaged-{i}")).exists()
        )
        self.path.rename(aside)
        for ending in ("-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        warnings.warn(
            f"the cache of scores was damaged ({error}) and is now {aside}; a new one is begun",
            RuntimeWarning,
            stacklevel=2,
        )

    def _give_up(self, error: Exception) -> None:
        self.close()
        warnings.warn(f"scores are not cached: {self.path}: {error}", RuntimeWarning, stacklevel=2)

    def _run(self, database: sqlite3.Connection, proxy: Proxy) -> int:
        found = self._runs.get(proxy.name)
        if found is None:
            key = (proxy.name, self._settings, code_version(proxy))
            with database:
                database.execute(
                    "INSERT OR IGNORE INTO runs (proxy, settings, version) VALUES (?, ?, ?)", key
                )
            query = "SELECT id FROM runs WHERE proxy = ? AND settings = ? AND version = ?"
            with closing(database.execute(query, key)) as cursor:
                found = self._runs[proxy.name] = int(cursor.fetchone()[0])
        return found


def code_version(proxy: Proxy) -> str:
    """Digits that change with the code that a proxy depends on, and with torch's release."""
    module = proxy.where.partition(":")[0]
    files = imported_files(module, "archcast.zero_cost._lab")
    return fingerprint(files, _torch_release())


def data_fingerprint(*arrays: Any) -> str:
    """Digits that change with the numbers or the shape of arrays; an array may be None."""
    digest = blake2b(digest_size=16)
    for array in arrays:
        if array is not None:
            numbers = np.ascontiguousarray(array)
            digest.update(f"{numbers.dtype}{numbers.shape}".encode())
            digest.update(numbers.data)
        digest.update(b"|")
    return digest.hexdigest()


def _check_magic(path: Path) -> None:
    """A person's own file is not renamed because it is no database."""
    if path.is_dir():
        raise StorageError(f"{path} is a folder; name the file of a cache of scores")
    if path.exists():
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
        if start and start != MAGIC:
            raise StorageError(f"{path} is not a cache of scores; name another file")


def _rows(
    database: sqlite3.Connection, run: int, hashes: Sequence[str]
) -> Iterator[tuple[str, Kept]]:
    places = ",".join("?" * len(hashes))
    query = f"SELECT graph, score, reason FROM scores WHERE run = ? AND graph IN ({places})"
    for graph, score, reason in database.execute(query, (run, *map(bytes.fromhex, hashes))):
        yield graph.hex(), (math.nan if score is None else float(score), reason or "")


def _stored(kept: Kept) -> tuple[float | None, str | None]:
    score, reason = kept
    return (None, reason) if math.isnan(score) else (score, None)


@cache
def _torch_release() -> str:
    try:
        return version("torch").partition("+")[0]
    except PackageNotFoundError:
        return ""
