"""Reading a pickled pandas table of numbers and texts, without pandas and without running it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from archcast.datasets._unpickle import ALLOWED, PlainUnpickler, telling
from archcast.encoders.errors import UnreadableModelError


def load_frame(path: Path) -> dict[str, list[Any]]:
    """Read the columns of a pickled ``DataFrame``.

    Stand-ins take the place of the classes the pickle names; they keep what they are given and do
    nothing else. Known is the layout of pandas 1: a block manager of dense blocks.

    Args:
        path: the file.

    Returns:
        Column -> its (N,) numbers or texts.

    Raises:
        UnreadableModelError: the file is damaged, or holds anything but a table of such columns.
        StorageError: it cannot be opened.
    """
    with telling(path), path.open("rb") as file:
        frame = _FrameUnpickler(file).load()
        (labels, _), blocks = _contents(frame)
        columns: dict[str, list[Any]] = {}
        for block in blocks:
            rows = block["mgr_locs"]
            for at, values in zip(range(*rows), block["values"].plain(), strict=True):
                columns[labels.plain()[at]] = list(values)
        return columns


def _contents(frame: Any) -> tuple[Any, list[Any]]:
    if not isinstance(frame, _Frame):
        raise UnreadableModelError("no table")
    parts = frame.state["_data"].state[-1]
    (version,) = parts.values()
    return version["axes"], version["blocks"]


class _Frame:
    """In place of the table, and of the manager of its blocks: keeps what it is given."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array:
    """In place of an array, of numbers or of texts."""

    shape: tuple[int, ...] = ()
    values: Any = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, dtype, fortran, content = state
        if isinstance(dtype, np.dtype):
            content = np.frombuffer(content, dtype).tolist()
        if fortran or len(content) != math.prod(self.shape):
            raise UnreadableModelError("an array of the table is not of the size it states")
        self.values = content

    def plain(self) -> list[Any]:
        """Its numbers or texts, nested as its shape says."""
        if len(self.shape) == 1:
            return self.values
        width = self.shape[1]
        return [self.values[at * width : (at + 1) * width] for at in range(self.shape[0])]


class _Objects:
    """In place of the type of an array whose items are pickled one by one."""

    def __setstate__(self, state: Any) -> None:
        """All of it belongs to numbers."""


def _type(text: str, *_: Any) -> Any:
    return _Objects() if text == "O8" else ALLOWED["numpy", "dtype"](text)


def _buffer(content: bytes, dtype: np.dtype[Any], shape: tuple[int, int], order: str) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, dtype, order != "C", content))
    return array


def _index(kind: Any, state: dict[str, Any]) -> _Array | None:
    """Names of columns are kept; what numbers the rows is not."""
    del kind
    return cast("_Array | None", state.get("data"))


def _slice(start: int, stop: int, step: int) -> tuple[int, int, int]:
    return start, stop, step


def _empty(*_: Any) -> _Array:
    return _Array()


_FRAME: Final = {
    ("pandas.core.frame", "DataFrame"): _Frame,
    ("pandas.core.internals.managers", "BlockManager"): _Frame,
    ("pandas.core.indexes.base", "_new_Index"): _index,
    ("pandas.core.indexes.base", "Index"): _Objects,
    ("pandas.core.indexes.range", "RangeIndex"): _Objects,
    ("numpy.core.multiarray", "_reconstruct"): _empty,
    ("numpy.core.numeric", "_frombuffer"): _buffer,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _type,
    ("builtins", "slice"): _slice,
}


class _FrameUnpickler(PlainUnpickler):
    allowed = ALLOWED | _FRAME
