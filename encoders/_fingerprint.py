"""Versions of derived files: digits that change when the code that made them does."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Final

#: Parts of the encoders that no graph depends on.
_NO_GRAPHS: Final = {
    *("_cache.py", "_engine.py", "_files.py", "_fingerprint.py"),
    *("_layout.py", "drawing.py", "summary.py", "text"),
}

#: Parts of the encoders that no recorded torch module's graph depends on.
NOT_FOR_RECORDINGS: Final = ("_onnx", "spaces", "tabular")


def fingerprint(files: Iterable[Path], *texts: str) -> str:
    """Eight digits that change with the code of some files, not with its comments or layout.

    Args:
        files: Python sources.
        *texts: whatever else the result depends on.
    """
    parts = [_digest(path) for path in sorted(files)] + [text.encode() for text in texts]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:8]


def encoder_files(without: Iterable[str] = ()) -> list[Path]:
    """The sources that graphs and features depend on, but for files or folders of some names."""
    skipped = _NO_GRAPHS | set(without)
    root = Path(__file__).parent
    return [p for p in root.rglob("*.py") if not skipped & set(p.relative_to(root).parts)]


def imported_files(*modules: str) -> set[Path]:
    """The sources of some modules, and of all that they import of their packages and this library.

    Imports inside functions count, those for type checkers too; what is imported by a name made at
    run time does not.

    Args:
        *modules: full names.
    """
    packages = frozenset(name.partition(".")[0] for name in ("archcast", *modules))
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = None if name in found else _source(name, packages)
        if path is not None:
            found[name] = path
            waiting += _imports(path, packages)
    return set(found.values())


@cache
def _source(name: str, packages: frozenset[str]) -> Path | None:
    """Where a module of some packages is; None for what is none, a class for example."""
    if name.partition(".")[0] not in packages:
        return None
    spec = _spec(name)
    path = Path(spec.origin) if spec is not None and spec.origin else None
    return path if path is not None and path.suffix == ".py" else None


@cache
def _spec(name: str) -> ModuleSpec | None:
    """What would be imported under a name; nothing is, lest it be torch."""
    parent = name.rpartition(".")[0]
    if not parent or parent in sys.modules:
        try:
            return find_spec(name)
        except ImportError:  # the parent is no package
            return None
    package = _spec(parent)
    if package is None or package.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(name, package.submodule_search_locations)


@cache
def _imports(path: Path, packages: frozenset[str]) -> tuple[str, ...]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = [f"{node.module}.{alias.name}" for alias in node.names]
            # A package that is only named on the way to its modules adds nothing of its own.
            names += [part if _source(part, packages) else node.module for part in parts]
    return tuple(names)


@cache
def _digest(path: Path) -> bytes:
    return hashlib.sha256(ast.dump(ast.parse(path.read_text("utf-8"))).encode()).digest()
