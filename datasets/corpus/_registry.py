"""What can be fetched: every upstream file by a short name, with its size and SHA-256."""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Final

from archcast.encoders.errors import UnknownDatasetError

#: Where the files lie upstream; their paths are ``owner/repository/commit/path``.
UPSTREAM: Final = "https://raw.githubusercontent.com/"
#: Where a mirror has tables that were made of other files, and that lie nowhere upstream.
DERIVED: Final = "derived/"


@dataclass(frozen=True)
class Entry:
    """One upstream file.

    Attributes:
        name: short name, ``<benchmark>/<file>``.
        path: ``owner/repository/commit/path``, the same under every mirror and in the cache.
        bytes: size.
        sha256: 64 hexadecimal digits.
        licence: the licence its source states.
        wheel: the Python package it is made of where there is no mirror; empty for files that lie
            upstream as they are.
        maker: ``<module>.<function>`` of the benchmarks that makes it of the package.
    """

    name: str
    path: str
    bytes: int
    sha256: str
    licence: str
    wheel: str = ""
    maker: str = ""


@cache
def registry() -> dict[str, Entry]:
    """All files by name."""
    document = json.loads(Path(__file__).with_name("registry.json").read_text("utf-8"))
    return {name: Entry(name, **fields) for name, fields in document.items()}


def entry(name: str) -> Entry:
    """The file of that name.

    Raises:
        UnknownDatasetError: no such file is registered.
    """
    if name not in registry():
        raise UnknownDatasetError(unknown("data file", name, list(registry())))
    return registry()[name]


def unknown(kind: str, name: str, names: list[str]) -> str:
    """The message for a name that is not known, with the closest ones."""
    close = get_close_matches(name, names, 3, 0.4)
    hint = f"did you mean {' or '.join(close)}" if close else f"known: {', '.join(names)}"
    return f"no {kind} is called {name!r}; {hint}?" if close else f"no {kind} {name!r}; {hint}"
