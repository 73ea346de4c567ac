"""The process that turns foreign sources into recordings: ``python -I -m`` this module.

It imports torch once and forks a confined child for every source. A request is a line of JSON on
standard input, its answer a line on standard output, after a first line that says it is ready. The
parent believes nothing a child says:
what comes through the pipe is passed on as text, cut off at a size.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import tempfile
import time
from typing import Any

from archcast.datasets.foreign._sandbox import WALLS, Limits, confine
from archcast.datasets.foreign._syscalls import die_with_parent

_CHUNK = 1 << 20
_LATE, _KILLED = "out of time", "killed by SIGKILL"
#: The share of its processor time that a source must have used up to be called too slow; one that
#: used less of it waited for others.
_USED_UP = 0.9


def main() -> None:
    """Serve requests until standard input ends."""
    from archcast.datasets.foreign import _source

    _source.prepare()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # nothing but answers may reach the real standard output
    answers.write(json.dumps({"ready": True}) + "\n")
    answers.flush()
    for line in sys.stdin:
        request = json.loads(line)
        answers.write(json.dumps(_serve(request)) + "\n")
        answers.flush()


def _serve(request: dict[str, Any]) -> dict[str, Any]:
    limits = Limits(**request["limits"])
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _child(request, limits, writing, folder)
        os.close(writing)
        try:
            text, end = _read(reading, limits, started)
        finally:
            os.close(reading)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            _, status, used = os.wait4(child, 0)
    if not text and not end and os.WIFSIGNALED(status):
        end = f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    end, passing = _verdict(end, used.ru_utime + used.ru_stime, limits)
    seconds = round(time.monotonic() - started, 4)
    return {"text": text, "end": end, "passing": passing, "seconds": seconds}


def _verdict(end: str, used: float, limits: Limits) -> tuple[str, bool]:
    """How a source ended, and whether that may be the machine's fault rather than its own.

    Args:
        end: out of time, or killed: by the limit on processor time or for want of memory; or
            anything else.
        used: seconds of processor time.
        limits: of the source.
    """
    if end not in (_LATE, _KILLED):
        return end, False
    return (_LATE, False) if used >= _USED_UP * limits.seconds else (end, True)


def _read(pipe: int, limits: Limits, started: float) -> tuple[str, str]:
    """What a child writes until it closes its end, and why reading stopped before, if it did."""
    parts: list[bytes] = []
    size = 0
    while True:
        left = limits.seconds - (time.monotonic() - started)
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            return "", _LATE
        part = os.read(pipe, _CHUNK)
        if not part:
            return b"".join(parts).decode("utf-8", "replace"), ""
        parts.append(part)
        size += len(part)
        if size > limits.result_megabytes << 20:
            return "", "result too large"


def _child(request: dict[str, Any], limits: Limits, writing: int, folder: str) -> None:
    """Never returns: whatever happens, this process ends here."""
    try:
        os.setsid()
        die_with_parent()
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        pipe = os.dup2(writing, 3)
        os.closerange(4, 1 << 16)
        os.chdir(folder)
        os.environ.clear()
        from archcast.datasets.foreign import _source

        held = confine(limits)
        lacking = [wall for wall in WALLS if wall not in held]
        if lacking and not request["unconfined"]:
            _write(pipe, {"refused": lacking})
        else:
            _write(pipe, _source.convert(request["code"], request["settings"], held))
    finally:
        os._exit(0)


def _write(pipe: int, answer: dict[str, Any]) -> None:
    data = json.dumps(answer).encode()
    while data:
        data = data[os.write(pipe, data) :]


if __name__ == "__main__":
    main()
