"""Reading TFRecord files and protobuf messages without TensorFlow."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from archcast.encoders.errors import StorageError, UnreadableModelError

#: A record is its length and a checksum of that, its bytes and a checksum of those.
_LENGTH: Final = struct.Struct("<Q4x")
_CHECKSUM: Final = 4
_DOUBLE: Final = struct.Struct("<d")
_FLOAT: Final = struct.Struct("<f")


def read_records(path: Path) -> list[bytes]:
    """The records of a TFRecord file that is not compressed.

    The checksums are not compared: a fetched file was verified as a whole.

    Raises:
        UnreadableModelError: the file ends inside a record.
        StorageError: it cannot be opened.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    records, position = [], 0
    while position < len(data):
        body = position + _LENGTH.size
        if body > len(data):
            raise UnreadableModelError(f"{path}: the file ends inside a TFRecord")
        (length,) = _LENGTH.unpack_from(data, position)
        position = body + length + _CHECKSUM
        if position > len(data):
            raise UnreadableModelError(f"{path}: the file ends inside a TFRecord")
        records.append(data[body : body + length])
    return records


def read_message(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """The fields of a protobuf message, in their order.

    Args:
        data: an encoded message.

    Yields:
        Field number and value: an integer for a varint, a float for 4 or 8 fixed bytes, bytes for
        a text, an embedded message or a packed list.

    Raises:
        UnreadableModelError: the message is damaged, or has a group.
    """
    position = 0
    try:
        while position < len(data):
            tag, position = _varint(data, position)
            kind = tag & 7
            if kind == 0:
                value, position = _varint(data, position)
            elif kind == 2:
                length, position = _varint(data, position)
                if position + length > len(data):
                    raise UnreadableModelError("a protobuf message ends inside a field")
                value, position = data[position : position + length], position + length
            elif kind in (1, 5):
                form = _DOUBLE if kind == 1 else _FLOAT
                (value,), position = form.unpack_from(data, position), position + form.size
            else:
                raise UnreadableModelError(f"a protobuf message has a field of wire type {kind}")
            yield tag >> 3, value
    except (IndexError, struct.error) as error:
        raise UnreadableModelError("a protobuf message ends inside a field") from error


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """An integer of 7 bits a byte, and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position
