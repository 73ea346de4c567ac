"""What the user named: files, patterns, folders, cell strings; shapes; recipe fields."""

from __future__ import annotations

import glob
import json
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from archcast.encoders.errors import ArchcastError, ShapeError

Shapes = tuple[int, ...] | dict[str, tuple[int, ...]] | None


class UsageError(ArchcastError, ValueError):
    """An option's value cannot be understood."""


def expand(names: Iterable[str]) -> list[str]:
    """Turn what was named into single networks, in order.

    A folder stands for every ``.onnx`` file below it; a pattern that the shell left alone is
    expanded here. Whatever is neither stays as it is: a cell string, or a file that is missing,
    which reading will tell.
    """
    return [item for name in names for item in _expand_one(name)]


def _expand_one(name: str) -> list[str]:
    path = Path(name)
    try:
        if name and path.is_dir():
            files = (file for file in path.rglob("*") if file.suffix.lower() == ".onnx")
            return sorted(map(str, files)) or [name]
        if path.exists() or not glob.has_magic(name):
            return [name]
        found = glob.glob(name, recursive=True)  # noqa: PTH207  Path.glob takes no absolute pattern
        return sorted(found) or [name]
    except (OSError, ValueError):  # a cell string too long for a file name, a NUL byte
        return [name]


def parse_shapes(texts: Sequence[str]) -> Shapes:
    """Input shapes as given by ``--input-shape``.

    Args:
        texts: ``1,3,224,224`` or ``1x3x224x224``, once; or ``name=1,3,224,224``, once an input.

    Returns:
        One shape, or shapes by input name; None if nothing was given.

    Raises:
        ShapeError: not positive whole numbers, or named and nameless shapes mixed.
    """
    if not texts:
        return None
    named = {name: _shape(sizes) for name, eq, sizes in map(_split_name, texts) if eq}
    if not named and len(texts) == 1:
        return _shape(texts[0])
    if len(named) != len(texts):
        raise ShapeError("several --input-shape options need different names: name=1,3,224,224")
    return named


def _split_name(text: str) -> tuple[str, str, str]:
    return text.rpartition("=")


def _shape(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(size) for size in text.replace("x", ",").split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise ShapeError(f"--input-shape {text}: give positive whole numbers, as in 1,3,224,224")
    return sizes


def parse_recipe(texts: Sequence[str]) -> dict[str, int | float | str] | None:
    """Recipe fields as given by ``--recipe key=value``; None if nothing was given.

    Raises:
        UsageError: no ``=``, or no key.
    """
    fields: dict[str, int | float | str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--recipe {text}: write it as key=value, as in pretrain=in21k")
        fields[key] = _number(value)
    return fields or None


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Settings of a predictor as given by ``--set key=value``, values TOML, JSON or bare texts.

    Raises:
        UsageError: no ``=``, or no key.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {text}: write it as key=value, as in rounds=100")
        settings[key.strip()] = _value(value.strip())
    return settings


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        pass
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, dict | list) else text


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
