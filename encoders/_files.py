"""Writing files so that a crash or a full disk never leaves half of one."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

from archcast.encoders.errors import StorageError


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


#: What the process takes from files' modes. It can only be read by setting it, for all threads at
#: once, so that is done when there are none yet.
_UMASK: Final = _umask()


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file under a temporary name beside its place, then rename it.

    Args:
        path: where the file goes; missing folders are made.
        write: called with the open binary file.

    Raises:
        StorageError: the disk is full, or the place cannot be written; the old file stays.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_UMASK)
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file; a text that no file can be called is none."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long, or a null character
        return False
