"""Files made here of others: made once for each version of what makes them, and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from archcast.encoders._cache import cache_folder
from archcast.encoders._files import write_atomically
from archcast.encoders.errors import StorageError


def derived(name: str, version: str, make: Callable[[], bytes]) -> Path:
    """A file in the cache, made if it is not there or damaged.

    Its SHA-256 lies beside it, so that a damaged one is told from a whole one whatever its format.

    Args:
        name: of the file, with its ending.
        version: changes whenever the content would; files of other versions stay.
        make: gives the content.

    Returns:
        Path of the file, its SHA-256 checked in this call.

    Raises:
        StorageError: it cannot be written or read, a full disk for example.
    """
    stem, dot, ending = name.partition(".")
    path = cache_folder() / "derived" / f"{stem}-{version}{dot}{ending}"
    note = path.with_name(f"{path.name}.sha256")
    if path.exists() and note.exists() and note.read_bytes() == sha256(path).encode():
        return path
    content = make()
    digest = hashlib.sha256(content).hexdigest().encode()
    write_atomically(path, lambda file: file.write(content))
    write_atomically(note, lambda file: file.write(digest))
    return path


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error


def tampered(what: str, found: str, registered: str) -> str:
    """The message for a file that is not the registered one."""
    return (
        f"{what} has SHA-256 {found}, not the registered {registered}; "
        "it is damaged or was tampered with: delete it and fetch again"
    )
