"""SQLite files of the library's own, opened safely by several processes at once."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Final, NamedTuple

from archcast.encoders.errors import StorageError

#: The first bytes of any SQLite file.
MAGIC: Final = b"SQLite format 3\0"
#: Seconds to wait for another process that writes.
PATIENCE: Final = 30.0


class Layout(NamedTuple):
    """What a kind of file looks like.

    Attributes:
        application: four bytes that mark a file as of this kind.
        version: of the tables; another one is not read.
        tables: a ``CREATE TABLE`` statement each.
    """

    application: bytes
    version: int
    tables: tuple[str, ...]


def connect(
    path: Path, layout: Layout, *, durable: bool = True, threads: bool = False
) -> sqlite3.Connection:
    """Open a file, or begin it; of several processes that begin it at once, one does.

    Args:
        path: the file; its folder exists.
        layout: what it holds.
        durable: whether a write outlives a crash of the whole machine, not only of the process.
        threads: whether threads other than this one will use it, too; they take turns.

    Returns:
        A connection whose readers do not wait for a writer.

    Raises:
        StorageError: the file is a database of another kind or version.
        sqlite3.Error: it cannot be opened, or is damaged.
    """
    database = sqlite3.connect(path, timeout=PATIENCE, check_same_thread=not threads)
    try:
        if _mark(database) != _expected(layout):
            # Mark and tables appear together, or not at all.
            database.execute("BEGIN IMMEDIATE")
            with database:
                _begin(database, path, layout)
        _write_ahead(database)
        database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    except BaseException:
        database.close()
        raise
    return database


def _begin(database: sqlite3.Connection, path: Path, layout: Layout) -> None:
    if _mark(database) == _expected(layout):
        return  # another process was faster
    if database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StorageError(f"{path} is a database of another program or version; name another file")
    application, version = _expected(layout)
    database.execute(f"PRAGMA application_id = {application}")
    database.execute(f"PRAGMA user_version = {version}")
    for statement in layout.tables:
        database.execute(statement)


def _write_ahead(database: sqlite3.Connection) -> None:
    """Let readers not wait for a writer; the first who opens a file sets it for good."""
    until = time.monotonic() + PATIENCE
    while database.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            database.execute("PRAGMA journal_mode = WAL").fetchone()
            return  # where it cannot be (in memory, some network disks), it does without
        except sqlite3.OperationalError:  # SQLite does not wait for others here by itself
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def _expected(layout: Layout) -> tuple[int, int]:
    return int.from_bytes(layout.application), layout.version


def _mark(database: sqlite3.Connection) -> tuple[int, int]:
    owner = database.execute("PRAGMA application_id").fetchone()[0]
    return int(owner), int(database.execute("PRAGMA user_version").fetchone()[0])
