"""Read an ONNX file without its weights.

The file is mapped into memory and its protobuf wire format walked just deep enough to leave out
the payload of every large tensor, documentation strings and training information; what is left is
small and is parsed as usual. Weights are never copied, external data never opened.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from archcast.encoders.errors import StorageError, UnreadableModelError

_Result = TypeVar("_Result")
#: Payloads and messages of at most this many bytes are kept as they are.
KEEP = 1024
#: After a payload of more than this many bytes, the pages read so far are given back.
_FORGET: Final = 1 << 20
_DEEPEST = 64
_DROP: Final = "drop"
_PAYLOAD: Final = "payload"
#: Message -> field number -> what is in it; fields not named are kept as they are.
_GRAMMAR: Final[dict[str, dict[int, str]]] = {
    "model": {6: _DROP, 7: "graph", 14: _DROP, 20: _DROP, 25: "function"},
    "graph": {1: "node", 5: "tensor", 10: _DROP, 15: "sparse", 16: _DROP},
    "function": {7: "node", 8: _DROP, 11: "attribute", 14: _DROP},
    "node": {5: "attribute", 6: _DROP, 9: _DROP},
    "attribute": {4: _PAYLOAD, 5: "tensor", 6: "graph", 7: _PAYLOAD, 9: _PAYLOAD, 10: "tensor",
                  11: "graph", 13: _DROP, 22: "sparse", 23: "sparse"},
    "tensor": {4: _PAYLOAD, 5: _PAYLOAD, 6: _PAYLOAD, 7: _PAYLOAD, 9: _PAYLOAD, 10: _PAYLOAD,
               11: _PAYLOAD, 12: _DROP, 13: _PAYLOAD},
    "sparse": {1: "tensor", 2: "tensor"},
}  # fmt: skip


def load_model(source: Any) -> Any:
    """The ``onnx.ModelProto`` of a path, of bytes or of a ``ModelProto``, without large payloads.

    Raises:
        StorageError: the file does not exist or cannot be read.
        UnreadableModelError: empty, truncated or not ONNX.
    """
    import onnx

    if isinstance(source, Path):
        skimmed = _skim_file(source)
    elif isinstance(source, (bytes, bytearray, memoryview)):
        skimmed = skim(memoryview(source).cast("B"))
    else:
        return source
    model = onnx.ModelProto()
    try:
        model.ParseFromString(skimmed)
    except Exception as error:  # DecodeError lives in a private place of each protobuf version
        raise UnreadableModelError(f"not a valid ONNX file: {error}") from error
    return model


def read_metadata(source: Path | bytes) -> dict[str, str]:
    """The metadata of an ONNX file, in its order: key -> text. Nothing else of it is parsed.

    Raises:
        StorageError: the file does not exist or cannot be read.
        UnreadableModelError: empty, truncated or not ONNX.
    """
    if isinstance(source, Path):
        return _of_file(source, _metadata)
    return _metadata(memoryview(source))


def _metadata(data: memoryview) -> dict[str, str]:
    found: dict[str, str] = {}
    for field, wire, _, body, stop in _fields(data, 0, len(data)):
        if field == 14 and wire == 2 and stop - body <= KEEP:
            entry = {f: bytes(data[b:s]) for f, w, _, b, s in _fields(data, body, stop) if w == 2}
            key, value = (entry.get(at, b"").decode("utf-8", "replace") for at in (1, 2))
            found[key] = value
    return found


def _skim_file(path: Path) -> bytes:
    return _of_file(path, skim)


def _of_file(path: Path, read: Callable[[memoryview], _Result]) -> _Result:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            view = memoryview(data)
            try:
                return read(view)
            finally:
                view.release()
    except (OSError, ValueError) as error:
        if isinstance(error, UnreadableModelError):
            raise
        if path.is_dir():
            raise StorageError(f"{path} is a folder; give an ONNX file") from error
        if path.exists() and path.stat().st_size == 0:
            raise UnreadableModelError("the file is empty; export the model again") from error
        reason = getattr(error, "strerror", None) or str(error)
        raise StorageError(f"cannot read {path}: {reason}") from error


def skim(data: memoryview) -> bytes:
    """The bytes of a serialised ``ModelProto`` without its large payloads.

    Args:
        data: the whole file.

    Raises:
        UnreadableModelError: empty, truncated, or no ONNX graph in it.
    """
    if not len(data):
        raise UnreadableModelError("the file is empty; export the model again")
    out = bytearray()
    seen = _message(data, 0, len(data), "model", out, 0)
    if 7 not in seen:
        raise UnreadableModelError("not an ONNX file (no graph in it); give a model saved as ONNX")
    return bytes(out)


def _message(
    data: memoryview, start: int, end: int, kind: str, out: bytearray, depth: int
) -> set[int]:
    """Append what is kept of one message; returns the numbers of the fields it had."""
    if depth > _DEEPEST:
        raise UnreadableModelError("sub-graphs are nested too deeply; is the file damaged?")
    grammar, seen, kept = _GRAMMAR[kind], set(), start
    for field, wire, begin, body, stop in _fields(data, start, end):
        seen.add(field)
        content = grammar.get(field)
        if content is None or wire != 2 or (content != _DROP and stop - body <= KEEP):
            continue
        out += data[kept:begin]
        kept = stop
        if stop - body > _FORGET:
            _forget(data)
        if content not in (_DROP, _PAYLOAD):
            inner = bytearray()
            _message(data, body, stop, content, inner, depth + 1)
            out += _varint(field << 3 | 2) + _varint(len(inner)) + inner
    out += data[kept:end]
    return seen


def _forget(data: memoryview) -> None:
    """Give back the pages read so far: the kernel maps large blocks of a file around each byte."""
    if isinstance(data.obj, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        data.obj.madvise(mmap.MADV_DONTNEED)


def _fields(data: memoryview, position: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """(field, wire type, start of the tag, start and end of the content) of each field."""
    while position < end:
        begin = position
        tag, position = _read_varint(data, position, end)
        field, wire = tag >> 3, tag & 7
        body = position
        if wire == 2:
            length, body = _read_varint(data, position, end)
            position = body + length
        elif wire == 0:
            _, position = _read_varint(data, position, end)
        elif wire in (1, 5):
            position += 8 if wire == 1 else 4
        if field == 0 or wire in (3, 4, 6, 7):
            raise UnreadableModelError(
                "not an ONNX file, or a damaged one; give a model saved as ONNX"
            )
        if position > end:
            raise UnreadableModelError("the file is cut off or damaged; fetch or export it again")
        yield field, wire, begin, body, position


def _read_varint(data: memoryview, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise UnreadableModelError("the file is cut off or damaged; fetch or export it again")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
