"""A seccomp filter that leaves a process no system calls but those of computing and reading.

It is a list of what is allowed, so a call that a later kernel adds is refused. Refused calls fail
with EPERM; a process of a foreign instruction set is killed. Files can be opened for reading only.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from typing import Final

from archcast.datasets.foreign._syscalls import LIBC, check

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_FILTER_MODE: Final = 2

#: Classic BPF: load a word of ``struct seccomp_data``, compare, test bits, give a verdict.
_LOAD, _EQUAL, _GREATER, _BITS, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | 1  # 1 is EPERM
_NUMBER, _ARCH, _FIRST, _SECOND, _THIRD = 0, 4, 16, 24, 32  # offsets of what is compared
_GET_FLAGS: Final = 3  # F_GETFL; below are copying, and close-on-exec

#: O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND and O_TMPFILE's own bit.
_WRITES: Final = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000 | 0o20000000

#: Machine -> audit architecture, numbers allowed, numbers of openat, tgkill and fcntl. Allowed are
#: memory, reading, time, waiting on open descriptors, own identity, randomness, locks, and exit.
# fmt: off
_MACHINES: Final[dict[str, tuple[int, frozenset[int], tuple[int, int, int]]]] = {
    "x86_64": (
        0xC000003E,
        frozenset({
            # read write close stat fstat lstat poll lseek mmap mprotect munmap brk
            0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
            # rt_sigaction rt_sigprocmask rt_sigreturn pread64 readv writev access select
            13, 14, 15, 17, 19, 20, 21, 23,
            # sched_yield mremap madvise dup nanosleep getpid exit uname getcwd readlink
            24, 25, 28, 32, 35, 39, 60, 63, 79, 89,
            # gettimeofday getrlimit getrusage sysinfo times getuid getgid geteuid getegid getppid
            96, 97, 98, 99, 100, 102, 104, 107, 108, 110,
            # sigaltstack statfs fstatfs gettid time futex sched_getaffinity getdents64
            131, 137, 138, 186, 201, 202, 204, 217,
            # restart_syscall clock_gettime clock_getres clock_nanosleep exit_group newfstatat
            219, 228, 229, 230, 231, 262,
            # readlinkat faccessat set_robust_list getcpu getrandom membarrier statx rseq faccessat2
            267, 269, 273, 309, 318, 324, 332, 334, 439,
        }),
        (257, 234, 72),
    ),
    "aarch64": (
        0xC00000B7,
        frozenset({
            # getcwd dup statfs fstatfs faccessat close getdents64 lseek read write
            17, 23, 43, 44, 48, 57, 61, 62, 63, 64,
            # readv writev pread64 pselect6 ppoll readlinkat newfstatat fstat exit exit_group futex
            65, 66, 67, 72, 73, 78, 79, 80, 93, 94, 98,
            # set_robust_list nanosleep clock_gettime clock_getres clock_nanosleep restart_syscall
            99, 101, 113, 114, 115, 128,
            # sched_getaffinity sched_yield sigaltstack rt_sigaction rt_sigprocmask rt_sigreturn
            123, 124, 132, 134, 135, 139,
            # times uname getrlimit getrusage getcpu gettimeofday getpid getppid getuid geteuid
            153, 160, 163, 165, 168, 169, 172, 173, 174, 175,
            # getgid getegid gettid sysinfo brk munmap mremap mmap mprotect madvise
            176, 177, 178, 179, 214, 215, 216, 222, 226, 233,
            # getrandom membarrier statx rseq faccessat2
            278, 283, 291, 293, 439,
        }),
        (56, 131, 25),
    ),
}
# fmt: on


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def supported() -> bool:
    """Whether a filter exists for this machine; the kernel may still refuse it."""
    return platform.system() == "Linux" and platform.machine() in _MACHINES


def forbid_new_privileges() -> None:
    """No program started from here gains rights; irrevocable.

    Raises:
        OSError: the kernel refuses.
    """
    check(LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def forbid_system_calls() -> None:
    """Install the filter for this process; irrevocable.

    Raises:
        OSError: the kernel has no seccomp, or :func:`forbid_new_privileges` was not called.
    """
    code = _filter(platform.machine(), os.getpid())
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p).value)
    check(LIBC.prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0), "seccomp")


def _filter(machine: str, pid: int) -> bytes:
    architecture, allowed, (openat, tgkill, fcntl) = _MACHINES[machine]
    steps = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    for number in sorted(allowed):
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    steps += [
        (_EQUAL, 0, 4, openat),
        (_LOAD, 0, 0, _THIRD),
        (_BITS, 0, 1, _WRITES),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
        # Descriptors may be copied and asked about, but not send signals: so no F_SETOWN.
        (_EQUAL, 0, 4, fcntl),
        (_LOAD, 0, 0, _SECOND),
        (_GREATER, 0, 1, _GET_FLAGS),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
        # A process may send signals to itself alone: that is how abort() works.
        (_EQUAL, 0, 3, tgkill),
        (_LOAD, 0, 0, _FIRST),
        (_EQUAL, 0, 1, pid),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
