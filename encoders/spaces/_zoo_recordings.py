"""What the models of a zoo compute: recorded once, without weights, and kept on disk."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from archcast.encoders._cache import cache_folder
from archcast.encoders._files import write_atomically
from archcast.encoders._fingerprint import fingerprint
from archcast.encoders._torch import capture
from archcast.encoders._torch import record as watcher
from archcast.encoders.spaces import _zoo_models

_MAKERS: Final[dict[str, Callable[[str, int, int | None], Any]]] = {
    "timm": _zoo_models.timm_model,
    "torchvision": _zoo_models.torchvision_model,
}


def recorded(
    library: str, name: str, size: int, num_classes: int | None = None
) -> capture.Recording:
    """The recording of an architecture, made if it is not kept yet.

    Recordings serve until the zoo's version or the recorder itself changes.

    Args:
        library: ``timm`` or ``torchvision``.
        name: architecture.
        size: height and width of its images.
        num_classes: outputs; those the package gives it if None.

    Raises:
        MissingExtraError: it must be made and the zoo is not installed.
    """
    classes = "" if num_classes is None else f"-{num_classes}"
    path = folder(library) / f"{name}@{size}{classes}.json.gz"
    kept = _kept(path)
    if kept is not None:
        return kept
    text = record(library, name, size, num_classes).to_json()
    data = gzip.compress(text.encode(), 6, mtime=0)
    write_atomically(path, lambda file: file.write(data))
    return capture.Recording.from_json(text)


def _kept(path: Path) -> capture.Recording | None:
    """What is kept; None if there is nothing, or it is damaged."""
    if not path.exists():
        return None
    try:
        return capture.Recording.from_json(gzip.decompress(path.read_bytes()).decode())
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError):
        return None


def folder(library: str) -> Path:
    """Where a zoo's recordings are kept."""
    return cache_folder() / "derived" / f"{library}-{_version(library)}"


def record(library: str, name: str, size: int, num_classes: int | None = None) -> capture.Recording:
    """Record an architecture on torch's meta device, which needs no memory for weights."""
    torch = _zoo_models.import_torch()
    with torch.device("meta"):
        model = _MAKERS[library](name, size, num_classes)
        example = torch.zeros(1, 3, size, size)
    make = watcher.record if watcher.available() else capture.capture
    return make(model, (example,))


@cache
def _version(library: str) -> str:
    try:
        release = version(library)
    except PackageNotFoundError:
        release = "none"
    return f"{release}-{fingerprint([Path(str(m.__file__)) for m in (capture, watcher)])}"
