"""ONNX files one after another, out of folders, zip files and tar files, nothing unpacked."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

from archcast.encoders.errors import StorageError, UnreadableModelError

#: Ending of the files.
SUFFIX: Final = ".onnx"
_ARCHIVES: Final = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
#: A packed file of more bytes is not read: it could unpack to anything.
_LARGEST: Final = 1 << 30


_DAMAGE: Final = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
    *(EOFError, OSError),
)


class Member(NamedTuple):
    """One ONNX file.

    Attributes:
        name: path below the source, with ``/``; a file in an archive stands below the archive's.
        content: gives the file as a path, or as bytes where it is packed.
    """

    name: str
    content: Callable[[], Path | bytes]


def members(source: Path) -> Iterator[Member]:
    """All ONNX files of a folder or an archive, in an order that does not change.

    Args:
        source: a folder, whose archives are looked into as well; or an archive.

    Yields:
        Folders and zip files sorted by name; tar files as they are packed. Each member must be
        read before the next one is asked for.

    Raises:
        StorageError: there is no such folder or archive.
        UnreadableModelError: an archive is damaged.
    """
    if source.is_dir():
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            name = path.relative_to(source).as_posix()
            if name.lower().endswith(SUFFIX):
                yield Member(name, partial(_itself, path))
            elif name.lower().endswith(_ARCHIVES):
                for member in _packed(path):
                    yield Member(f"{name}/{member.name}", member.content)
    elif source.is_file() and source.name.lower().endswith(_ARCHIVES):
        yield from _packed(source)
    else:
        raise StorageError(f"{source}: neither a folder nor one of {', '.join(_ARCHIVES)}")


def _itself(path: Path) -> Path:
    return path


def _packed(path: Path) -> Iterator[Member]:
    try:
        yield from _zipped(path) if path.name.lower().endswith(".zip") else _tarred(path)
    except _DAMAGE as error:
        raise UnreadableModelError(f"{path}: a damaged archive ({error})") from error


def _zipped(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            if info.filename.lower().endswith(SUFFIX):
                yield Member(info.filename, partial(_unzipped, archive, info))


def _unzipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    _check(info.filename, info.file_size)
    try:
        return archive.read(info)
    except Exception as error:  # damaged data, a password, an unknown method: each its own type
        raise UnreadableModelError(f"{info.filename}: cannot be unpacked ({error})") from error


def _tarred(path: Path) -> Iterator[Member]:
    with _decompressed(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for info in archive:
            if info.isfile() and info.name.lower().endswith(SUFFIX):
                yield Member(info.name.removeprefix("./"), partial(_untarred, archive, info))
        # Where it is cut off, tarfile takes that for its end; the decompressors do not.
        while stream.read(1 << 20):
            pass
        end = archive.offset + tarfile.BLOCKSIZE
    if path.name.lower().endswith(".tar") and path.stat().st_size < end:
        raise tarfile.ReadError("it is cut off")


def _decompressed(path: Path) -> IO[bytes]:
    name = path.name.lower()
    if name.endswith((".gz", ".tgz")):
        return cast("IO[bytes]", gzip.open(path))
    if name.endswith(".bz2"):
        return cast("IO[bytes]", bz2.open(path))
    return cast("IO[bytes]", lzma.open(path)) if name.endswith(".xz") else path.open("rb")


def _untarred(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    _check(info.name, info.size)
    try:
        file = archive.extractfile(info)
        return b"" if file is None else file.read()
    except _DAMAGE as error:
        raise UnreadableModelError(f"{info.name}: cannot be unpacked ({error})") from error


def _check(name: str, size: int) -> None:
    if size > _LARGEST:
        raise UnreadableModelError(f"{name}: {size:,} bytes are too many for a packed file")
