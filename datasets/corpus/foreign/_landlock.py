"""Landlock: a process gives up the file system, but for reading below a few folders.

The numbers are those of ``linux/landlock.h``; its system calls have one number on all machines.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from archcast.datasets.foreign._syscalls import LIBC, check

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_VERSION_FLAG, _BENEATH = 1, 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
#: Version from which on -> number of file system rights the kernel can take away.
_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 5: 16}
_TCP, _SCOPES = 0b11, 0b11  # bind and connect; abstract sockets and signals


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """Landlock's version in the running kernel; 0 where there is none."""
    if platform.system() != "Linux":
        return 0
    return max(0, LIBC.syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION_FLAG))


def allow_only_reading(folders: Iterable[Path]) -> None:
    """Take away every right on files, but for reading below ``folders``; irrevocable.

    TCP, and signals to other processes, go too where the kernel can do that.

    Raises:
        OSError: the kernel has no Landlock, or privileges can still be gained.
    """
    abi = version()
    rights = max((count for first, count in _RIGHTS.items() if first <= abi), default=0)
    rules = _Ruleset((1 << rights) - 1, _TCP, _SCOPES)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = check(
        LIBC.syscall(_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), 0), "landlock"
    )
    try:
        for folder in folders:
            _allow(ruleset, folder)
        check(LIBC.syscall(_RESTRICT, ruleset, 0), "landlock")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rights = _READ_FILE | (_READ_DIR if path.is_dir() else 0)
        rule = _Beneath(rights, place)
        check(LIBC.syscall(_ADD_RULE, ruleset, _BENEATH, ctypes.byref(rule), 0), "landlock")
    finally:
        os.close(place)
