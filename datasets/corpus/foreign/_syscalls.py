"""The C library, for the few system calls Python has no function for."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any, Final

#: Loaded at import, because a confined process must not load libraries.
LIBC: Final[Any] = ctypes.CDLL(None, use_errno=True) if sys.platform != "win32" else None


def check(result: int, what: str) -> int:
    """The result of a C call.

    Raises:
        OSError: it is negative; the message names ``what``.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def die_with_parent() -> None:
    """Have this process killed when the one that forked it ends; nothing where that is unknown."""
    if sys.platform == "linux":
        LIBC.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
