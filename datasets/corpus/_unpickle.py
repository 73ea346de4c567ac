"""Reading the pickles some benchmarks were published as, without running what is in them."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from archcast.encoders.errors import StorageError, UnreadableModelError


def load_pickle(path: Path) -> Any:
    """Read a pickle that may hold plain containers, numbers, strings and numpy scalars only.

    Args:
        path: the file.

    Returns:
        The object.

    Raises:
        UnreadableModelError: the file is damaged, or asks for anything else.
        StorageError: it cannot be opened.
    """
    with telling(path), path.open("rb") as file:
        return PlainUnpickler(file).load()


def load_torch(path: Path) -> Any:
    """Read what ``torch.save`` wrote of plain containers, numbers and strings, without torch.

    Only the zip format is known, which torch writes since 1.6. No file here holds a tensor, so
    one that does is refused.

    Args:
        path: the file.

    Returns:
        The object.

    Raises:
        UnreadableModelError: the file is damaged, or asks for anything else.
        StorageError: it cannot be opened.
    """
    with telling(path), zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.split("/")[1:] == ["data.pkl"])
        if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
            # torch never compresses; what does could unpack to any size.
            raise UnreadableModelError("a torch file has no compressed part")
        with archive.open(name) as file:
            return PlainUnpickler(file).load()


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Turn what a damaged or hostile file raises into the library's errors."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    except UnreadableModelError as error:
        raise UnreadableModelError(f"{path}: {error}") from error
    except Exception as error:  # a damaged stream can make the unpickler raise nearly anything
        raise UnreadableModelError(f"{path}: not a readable pickle ({error})") from error


def _numeric_dtype(text: str, *_: Any) -> np.dtype[Any]:
    dtype = np.dtype(text) if isinstance(text, str) else np.dtype(object)
    if dtype.kind not in "biuf":
        raise UnreadableModelError(f"numpy type {text!r} in a pickle is not a plain number")
    return dtype


def _number(dtype: np.dtype[Any], data: bytes) -> float | int:
    return np.frombuffer(data, dtype, 1)[0].item()


def _latin1(text: str, encoding: str) -> bytes:
    """How old protocols write bytes."""
    if encoding != "latin1":
        raise UnreadableModelError(f"the pickle asks for the encoding {encoding!r}")
    return text.encode("latin1")


#: The only names a pickle may call, and what is called in their place.
ALLOWED: Final[dict[tuple[str, str], Callable[..., Any]]] = {
    ("_codecs", "encode"): _latin1,
    ("numpy", "dtype"): _numeric_dtype,
    ("numpy.core.multiarray", "scalar"): _number,
    ("numpy._core.multiarray", "scalar"): _number,
}


class PlainUnpickler(pickle.Unpickler):
    """Knows plain containers and numbers, and whatever else a subclass allows."""

    #: Module and name -> what is called in its place; anything else is refused.
    allowed: ClassVar[Mapping[tuple[str, str], Callable[..., Any]]] = ALLOWED

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise UnreadableModelError(f"the pickle asks for {module}.{name}, which is refused")
        return self.allowed[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise UnreadableModelError(f"the pickle refers to an outside object {pid!r}")
