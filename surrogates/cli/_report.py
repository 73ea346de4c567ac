"""How failures are told: one line each on stderr, and the exit code that follows."""

from __future__ import annotations

import os
import sys
import traceback

from archcast.cli import FAILED, OK
from archcast.encoders.errors import ArchcastError


def one_line(error: BaseException) -> str:
    """What to tell a user about an error, in one line.

    The library's own errors already say what to do. Anything else is a defect of ours, except
    for what the operating system refuses. ``ARCHCAST_DEBUG=1`` prints the traceback first.
    """
    if os.environ.get("ARCHCAST_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, ArchcastError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}"
    if isinstance(error, MemoryError):
        return "out of memory"
    text = " ".join(str(error).split())
    kind = type(error).__name__
    return f"internal error, please report it: {kind}: {text} (ARCHCAST_DEBUG=1 shows where)"


class Failures:
    """Counts what failed, tells each on stderr, and knows the exit code."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def exit_code(self) -> int:
        """2 if anything failed, else 0."""
        return FAILED if self.count else OK

    def add(self, name: str, error: BaseException) -> dict[str, str]:
        """Tell that ``name`` failed.

        Returns:
            The same as a JSON-ready object: file, error, and the error's kind.
        """
        self.count += 1
        text = one_line(error)
        # Many messages already name their file.
        for repeated in (f"{name}: ", f"{name!r}: ", f"cannot read {name}: "):
            text = text.removeprefix(repeated)
        sys.stderr.write(f"archcast: {name}: {text}\n")
        return {"file": name, "error": text, "kind": type(error).__name__}
