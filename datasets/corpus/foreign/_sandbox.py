"""Confine a process before it runs code that nobody has read.

Four walls of the kernel, and a hook of Python's as a second line:

* no new privileges;
* limits on processor time, memory, open files, and size of files;
* seccomp: only system calls of computing and reading;
* Landlock: only files of Python and its packages;
* an audit hook that refuses processes, sockets and foreign libraries with a clear message.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from archcast.datasets.foreign import _landlock, _seccomp

#: What must hold before foreign code is run.
WALLS: Final = ("no_new_privs", "rlimits", "landlock", "seccomp")
_REFUSED: Final = (
    "ctypes.", "ftplib.", "http.", "imaplib.", "mmap.", "nntplib.", "os.exec", "os.fork",
    "os.kill", "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "pty.", "shutil.",
    "smtplib.", "socket.", "subprocess.", "telnetlib.", "urllib.", "webbrowser.",
    "sys.addaudithook",
)  # fmt: skip
_WRITING: Final = frozenset(
    ("os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir",
     "os.symlink", "os.truncate", "os.utime")
)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """What one piece of foreign code may use.

    Attributes:
        seconds: of wall-clock time; of processor time as many.
        megabytes: of address space, beyond what the process has when confined.
        result_megabytes: of text it may hand back.
        files: it may have open at once.
    """

    seconds: int = 30
    megabytes: int = 3072
    result_megabytes: int = 64
    files: int = 64

    def to_json(self) -> dict[str, int]:
        """As a JSON object, which the constructor takes as keywords."""
        return asdict(self)


def confine(limits: Limits) -> list[str]:
    """Confine this process; there is no way back.

    Args:
        limits: what it may still use.

    Returns:
        The walls that hold, of :data:`WALLS`.
    """
    walls: dict[str, Callable[[], None]] = {
        "no_new_privs": _seccomp.forbid_new_privileges,
        "rlimits": lambda: _limit(limits),
        "landlock": lambda: _landlock.allow_only_reading(_readable()),
        "seccomp": _seccomp.forbid_system_calls,
    }
    # The hook refuses ctypes, which the walls are built with; so it goes up last.
    held = []
    for name, build in walls.items():
        with contextlib.suppress(OSError, AttributeError, ImportError, KeyError, ValueError):
            build()
            held.append(name)
    sys.addaudithook(_audit)
    return held


def missing() -> list[str]:
    """Walls that this machine certainly lacks; the confined process itself has the last word."""
    if platform.system() != "Linux":
        return list(WALLS)
    lacking = [] if _seccomp.supported() else ["seccomp"]
    return lacking if _landlock.version() else ["landlock", *lacking]


def _limit(limits: Limits) -> None:
    import resource

    address_space = _address_space() + (limits.megabytes << 20)
    for kind, value in (
        (resource.RLIMIT_CPU, limits.seconds),
        (resource.RLIMIT_AS, address_space),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, limits.files),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        _, hard = resource.getrlimit(kind)
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (most, most))


def _address_space() -> int:
    """Bytes of address space this process has mapped."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _readable() -> list[Path]:
    """Where Python, its packages and the system's libraries lie."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    paths = [sysconfig.get_path(name) for name in names]
    paths += [sysconfig.get_path(name, vars={"base": sys.base_prefix}) for name in names]
    paths += [path for path in sys.path if path]
    # Packages installed in place lie elsewhere; theirs are the folders of what is imported.
    for name in ("archcast", "torch", "torchvision", "numpy"):
        found = getattr(sys.modules.get(name), "__path__", ())
        paths += list(found)
    paths += ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/dev/null"]
    return [Path(path) for path in dict.fromkeys(paths) if path != "/"]


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event == "open":
        mode, flags = args[1], args[2]
        writes = isinstance(mode, str) and set(mode) & set("wax+")
        if writes or (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            raise PermissionError(f"foreign code may not write files: {args[0]!r}")
    elif event.startswith(_REFUSED) or event in _WRITING:
        raise PermissionError(f"foreign code may not do this: {event}")
