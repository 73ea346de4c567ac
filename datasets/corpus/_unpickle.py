"""Reading the pickles some benchmarks were published as, without running what is in them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

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
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file).load()
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
_ALLOWED: Final[dict[tuple[str, str], Callable[..., Any]]] = {
    ("_codecs", "encode"): _latin1,
    ("numpy", "dtype"): _numeric_dtype,
    ("numpy.core.multiarray", "scalar"): _number,
    ("numpy._core.multiarray", "scalar"): _number,
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise UnreadableModelError(f"the pickle asks for {module}.{name}, which is refused")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise UnreadableModelError(f"the pickle refers to an outside object {pid!r}")
