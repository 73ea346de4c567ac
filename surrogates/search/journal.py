"""``Journal``: every measurement and answer of a search, on disk the moment it is known."""

from __future__ import annotations

import json
import math
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from archcast.encoders._database import Layout, connect
from archcast.encoders.errors import InvalidSettingError, StorageError

__all__ = ["Answer", "Journal", "Trial"]

State = Literal["running", "done", "failed"]
_LAYOUT: Final = Layout(
    b"acsj",
    1,
    (
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT)",
        """CREATE TABLE trials (
            id INTEGER PRIMARY KEY, spec TEXT, fidelity REAL, state TEXT, found TEXT,
            seconds REAL, note TEXT, host TEXT, process INTEGER, UNIQUE (spec, fidelity)
        )""",
        """CREATE TABLE answers (
            id INTEGER PRIMARY KEY, spec TEXT, source TEXT, value REAL, low REAL, high REAL,
            at REAL
        )""",
    ),
)


@dataclass(frozen=True, slots=True)
class Trial:
    """A real training, begun, finished or failed.

    Attributes:
        spec: the architecture.
        fidelity: share of the full training.
        state: ``running``, ``done`` or ``failed``.
        values: the objectives in their own units; empty unless done.
        seconds: how long it took; NaN where unknown.
        note: why it failed, or whatever there is to say.
    """

    spec: str
    fidelity: float
    state: State
    values: tuple[float, ...]
    seconds: float
    note: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the search loop was told.

    Attributes:
        spec: the architecture.
        source: ``forecast`` or ``measured``.
        value: the answer.
        low: lower end of the 90 % interval; NaN if measured.
        high: upper end.
        at: when, in seconds since 1970.
    """

    spec: str
    source: Literal["forecast", "measured"]
    value: float
    low: float
    high: float
    at: float


class Journal:
    """A SQLite file of trials and answers that several processes, and threads, write at once.

    A trial is claimed before it is trained and finished after: no two processes train the same
    architecture at the same fidelity, and what was finished is there after a kill. A claim of a
    process that died on this machine is released when the journal is opened, even if its parent
    has not noticed yet.

    Args:
        path: the file; None keeps everything in memory.
        facts: what the search is: a journal that was begun with other facts is refused.

    Raises:
        StorageError: the file is of another kind or version, or cannot be opened.
        InvalidSettingError: it is the journal of a search with other facts.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, facts: Mapping[str, Any] | None = None
    ) -> None:
        self.path = None if path is None else Path(path)
        place = Path(":memory:") if self.path is None else self.path
        try:
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = connect(place, _LAYOUT, threads=True)
            self._turn = threading.RLock()
        except StorageError:
            raise
        except (OSError, sqlite3.Error) as error:
            raise StorageError(f"cannot open the journal {path}: {error}") from error
        self._host = socket.gethostname()
        self._version = -1
        try:
            self._agree(dict(facts or {}))
            self.release_dead()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------- trials
    def claim(self, spec: str, fidelity: float = 1.0, *, limit: int | None = None) -> bool:
        """Whether a trial is now this process's to train.

        Args:
            spec: the architecture.
            fidelity: share of the full training.
            limit: trials there may be in all, those of other processes included; None for no end.

        Returns:
            False if any process has begun or done it, or the limit is reached.
        """
        with self._written():
            found = self._database.execute(
                "INSERT OR IGNORE INTO trials (spec, fidelity, state, host, process) "
                "SELECT ?, ?, 'running', ?, ? WHERE ? OR (SELECT count(*) FROM trials) < ?",
                (spec, float(fidelity), self._host, os.getpid(), limit is None, limit or 0),
            )
        return found.rowcount == 1

    def finish(
        self,
        spec: str,
        values: Sequence[float],
        fidelity: float = 1.0,
        *,
        seconds: float = math.nan,
        note: str = "",
    ) -> None:
        """Keep a measurement; of a trial that was not claimed, too."""
        self._end(spec, fidelity, "done", json.dumps([float(v) for v in values]), seconds, note)

    def fail(
        self, spec: str, fidelity: float = 1.0, *, seconds: float = math.nan, note: str = ""
    ) -> None:
        """Keep that a trial failed, and why."""
        self._end(spec, fidelity, "failed", "[]", seconds, note)

    def release(self, spec: str, fidelity: float = 1.0) -> None:
        """Give a claimed trial back, as if it had not begun: it was interrupted."""
        with self._written():
            self._database.execute(
                "DELETE FROM trials WHERE spec = ? AND fidelity = ? AND state = 'running'",
                (spec, float(fidelity)),
            )

    def retry_failed(self) -> int:
        """Drop the trials that failed, so that they may be tried again: their cause is gone.

        Returns:
            How many there were.
        """
        with self._written():
            return self._database.execute("DELETE FROM trials WHERE state = 'failed'").rowcount

    def release_dead(self) -> bool:
        """Give back what processes of this machine had claimed that are no more.

        Returns:
            Whether there were any.
        """
        rows = self._read(
            "SELECT DISTINCT process FROM trials WHERE state = 'running' AND host = ?",
            (self._host,),
        )
        dead = [(self._host, pid) for (pid,) in rows if not _alive(pid)]
        if dead:
            with self._written():
                self._database.executemany(
                    "DELETE FROM trials WHERE state = 'running' AND host = ? AND process = ?", dead
                )
        return bool(dead)

    def changed(self) -> bool:
        """Whether another process has written since this was last asked; True at first."""
        version = self._read("PRAGMA data_version")[0][0]
        changed, self._version = version != self._version, version
        return changed

    def spent(self) -> tuple[int, float]:
        """Trials begun, done or failed, and the seconds that are known of them."""
        count, seconds = self._read("SELECT count(*), total(seconds) FROM trials")[0]
        return int(count), float(seconds)

    def trials(self) -> list[Trial]:
        """All trials, in the order they were claimed."""
        rows = self._read(
            "SELECT spec, fidelity, state, found, seconds, note FROM trials ORDER BY id"
        )
        return [
            Trial(
                spec,
                fidelity,
                state,
                tuple(json.loads(found or "[]")),
                math.nan if seconds is None else seconds,
                note or "",
            )
            for spec, fidelity, state, found, seconds, note in rows
        ]

    # ------------------------------------------------------------------ answers
    def answer(self, answer: Answer) -> None:
        """Log what the search loop was told."""
        with self._written():
            self._database.execute(
                "INSERT INTO answers (spec, source, value, low, high, at) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (answer.spec, answer.source, answer.value, answer.low, answer.high, answer.at),
            )

    def answers(self) -> list[Answer]:
        """All answers, in order."""
        rows = self._read("SELECT spec, source, value, low, high, at FROM answers ORDER BY id")
        return [
            Answer(spec, source, *(math.nan if v is None else v for v in numbers))
            for spec, source, *numbers in rows
        ]

    # -------------------------------------------------------------------- facts
    def fact(self, name: str) -> Any:
        """A fact by name; None if it was never noted."""
        rows = self._read("SELECT value FROM facts WHERE name = ?", (name,))
        return json.loads(rows[0][0]) if rows else None

    def note(self, name: str, value: Any) -> None:
        """Keep a fact that may change, any JSON."""
        with self._written():
            self._database.execute(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value))
            )

    # ------------------------------------------------------------------ private
    def _agree(self, facts: dict[str, Any]) -> None:
        text = json.dumps(facts, sort_keys=True)
        with self._written():
            self._database.execute("INSERT OR IGNORE INTO facts VALUES ('search', ?)", (text,))
        begun = self.fact("search")
        for name in {**facts, **begun}:
            if begun.get(name) != json.loads(text).get(name):
                raise InvalidSettingError(
                    f"{self.path} is the journal of a search with {name} {begun.get(name)!r}, "
                    f"not {facts.get(name)!r}; name another file"
                )

    def _end(
        self, spec: str, fidelity: float, state: State, values: str, seconds: float, note: str
    ) -> None:
        known = None if math.isnan(seconds) else float(seconds)
        with self._written():
            self._database.execute(
                "INSERT INTO trials (spec, fidelity, state, found, seconds, note, host, process) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (spec, fidelity) DO UPDATE SET "
                "state = excluded.state, found = excluded.found, seconds = excluded.seconds, "
                "note = excluded.note",
                (spec, float(fidelity), state, values, known, note, self._host, os.getpid()),
            )

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            with self._turn, self._database:
                yield
        except sqlite3.Error as error:
            raise StorageError(f"cannot write the journal {self.path}: {error}") from error

    def _read(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            with self._turn:
                return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StorageError(f"cannot read the journal {self.path}: {error}") from error


def now() -> float:
    """Seconds since 1970."""
    return time.time()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's
        pass
    return not _zombie(process)


def _zombie(process: int) -> bool:
    """Whether a process has ended and only waits for its parent to ask; Linux alone tells."""
    try:
        stat = Path(f"/proc/{process}/stat").read_bytes()
    except OSError:  # not Linux
        return False
    return stat.rpartition(b")")[2].split()[:1] in ([b"Z"], [b"X"])  # a name may hold brackets
