"""Run foreign sources in confined processes, and take recordings of their networks back."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any, Final

from archcast.datasets.foreign._recordings import checked
from archcast.datasets.foreign._sandbox import Limits, missing
from archcast.encoders._torch.capture import Recording
from archcast.encoders.errors import MissingExtraError, SandboxError, UnreadableModelError

#: Set to ``1`` by a user who accepts that foreign code runs without some of the limits.
UNCONFINED: Final = "ARCHCAST_UNCONFINED"
_START_SECONDS: Final = 120
_GRACE_SECONDS: Final = 10
_ENVIRONMENT: Final = {"LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}


@dataclass(frozen=True)
class Converted:
    """What one source gave.

    Attributes:
        results: for each setting a recording, or the reason why there is none.
        texts: for each setting the recording as it came, checked; empty where there is none.
        on: for each setting the device the recording was made on; empty where there is none.
        held: the limits that held while the source ran.
        seconds: wall-clock time.
        passing: whether there are no results for a reason that may be gone next time: the machine
            was busy or short of memory, or the worker was killed.
    """

    results: list[Recording | str]
    texts: list[str] = field(default_factory=list)
    on: list[str] = field(default_factory=list)
    held: tuple[str, ...] = ()
    seconds: float = 0.0
    passing: bool = False


class ForeignCode:
    """Turns foreign sources into recordings, each in a confined process of its own.

    A source is Python that defines ``Net(in_shape, out_shape, prm, device)``, a
    ``torch.nn.Module``. Use as a context manager::

        with ForeignCode() as worker:
            done = worker.convert(source, [{"input": (1, 3, 32, 32), "out_shape": (10,)}])

    Args:
        limits: of each source.
        unconfined: run sources even where this machine lacks some of the limits; by default what
            the environment variable ``ARCHCAST_UNCONFINED`` says.

    Raises:
        SandboxError: the machine lacks some, and ``unconfined`` is not set.
    """

    def __init__(self, limits: Limits | None = None, *, unconfined: bool | None = None) -> None:
        self.limits = limits or Limits()
        wish = os.environ.get(UNCONFINED, "") not in ("", "0")
        self.unconfined = wish if unconfined is None else unconfined
        lacking = missing()
        if lacking and not self.unconfined:
            raise _refusal(lacking)
        self._worker: subprocess.Popen[bytes] | None = None
        self._buffer = bytearray()

    def __enter__(self) -> ForeignCode:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker process."""
        worker, self._worker = self._worker, None
        self._buffer.clear()
        if worker is not None:
            worker.kill()
            worker.communicate()

    def convert(self, source: str, settings: Sequence[Mapping[str, Any]]) -> Converted:
        """Record a source's network in several settings.

        Args:
            source: Python code.
            settings: each with ``input`` (shape, batch first) and ``out_shape``; optionally
                ``dtype`` (a torch name) and ``prm`` (what the source is given as parameters).

        Returns:
            Recordings, or reasons why there are none; nothing a source does raises here.

        Raises:
            SandboxError: a limit turned out not to hold, and ``unconfined`` is not set; or no
                worker process starts.
            MissingExtraError: torch or torchvision is not installed.
        """
        full = [{"dtype": "float32", "prm": {}, **setting} for setting in settings]
        request = {
            "code": source,
            "settings": full,
            "limits": self.limits.to_json(),
            "unconfined": self.unconfined,
        }
        line = json.dumps(request).encode() + b"\n"
        # A worker may have died between two sources, so another one is asked once.
        answer = self._ask(line) or self._ask(line)
        if answer is None:
            nothing = [""] * len(full)
            return Converted(["no answer"] * len(full), nothing, nothing, passing=True)
        return _converted(answer, len(full))

    def _ask(self, line: bytes) -> dict[str, Any] | None:
        if self._worker is None:
            self._start()
        assert self._worker is not None
        assert self._worker.stdin is not None
        try:
            self._worker.stdin.write(line)
            self._worker.stdin.flush()
            reply = self._line(self.limits.seconds + _GRACE_SECONDS)
        except BrokenPipeError:
            reply = b""
        if not reply:
            self.close()
            return None
        return json.loads(reply)

    def _start(self) -> None:
        """Start the worker, and wait until it is ready.

        Raises:
            SandboxError: it does not start.
            MissingExtraError: what it needs is not installed.
        """
        with tempfile.TemporaryFile() as complaints:
            self._worker = _started(complaints)
            if self._line(_START_SECONDS):
                return
            self.close()
            complaints.seek(0)
            lines = complaints.read().decode("utf-8", "replace").strip().splitlines()
        last = lines[-1][:300] if lines else f"not ready after {_START_SECONDS} seconds"
        if last.startswith("ModuleNotFoundError"):
            raise MissingExtraError(
                f"foreign code needs torch and torchvision: pip install 'archcast[torch]' ({last}; "
                "packages of the user alone do not count)"
            )
        raise SandboxError(f"the process that confines foreign code does not start: {last}")

    def _line(self, seconds: float) -> bytes:
        """One line of the worker's; empty if it takes too long, is too long, or the worker died."""
        assert self._worker is not None
        assert self._worker.stdout is not None
        end = time.monotonic() + seconds
        # JSON inside JSON at most doubles, twice.
        most = self.limits.result_megabytes << 22
        with selectors.DefaultSelector() as selector:
            selector.register(self._worker.stdout, selectors.EVENT_READ)
            while (stop := self._buffer.find(b"\n")) < 0:
                left = end - time.monotonic()
                if left <= 0 or len(self._buffer) > most or not selector.select(left):
                    return b""
                part = os.read(self._worker.stdout.fileno(), 1 << 20)
                if not part:
                    return b""
                self._buffer += part
        line = bytes(self._buffer[: stop + 1])
        del self._buffer[: stop + 1]
        return line


def _started(complaints: IO[bytes]) -> subprocess.Popen[bytes]:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingExtraError("foreign code needs torch: pip install 'archcast[torch]'")
    # Isolated, with none of the user's environment; it inherits no descriptors either.
    return subprocess.Popen(
        [sys.executable, "-I", "-B", "-m", "archcast.datasets.foreign._worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        env=_ENVIRONMENT,
        cwd=os.sep,
    )


def _converted(answer: dict[str, Any], count: int) -> Converted:
    seconds, end, passing = float(answer["seconds"]), str(answer["end"]), answer["passing"] is True
    try:
        told = json.loads(answer["text"])
        if "refused" in told:
            raise _refusal([str(wall)[:40] for wall in told["refused"]])
        held = tuple(str(wall)[:40] for wall in told["held"])
        found = [_result(item) for item in told["results"]]
        if len(found) != count:
            raise ValueError("another number of results")
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        reason = end or "no answer"
        return Converted([reason] * count, [""] * count, [""] * count, (), seconds, passing)
    results = [result for result, _, _ in found]
    texts, devices = [text for _, text, _ in found], [device for _, _, device in found]
    return Converted(results, texts, devices, held, seconds)


def _result(item: dict[str, Any]) -> tuple[Recording | str, str, str]:
    if "recording" not in item:
        return str(item["reason"])[:300], "", ""
    try:
        device = "cpu" if item.get("on") == "cpu" else "meta"
        return checked(item["recording"]), item["recording"], device
    except UnreadableModelError as error:
        return str(error)[:300], "", ""


def _refusal(lacking: Sequence[str]) -> SandboxError:
    return SandboxError(
        f"this machine cannot confine foreign code ({', '.join(lacking)} missing), so it is not "
        f"run; Linux on x86-64 or ARM with Landlock can. {UNCONFINED}=1 runs it all the same, with "
        "your rights: then use a container or a machine you can lose"
    )
