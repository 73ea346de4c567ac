"""Versions of derived files: digits that change when the code that made them does."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

#: Parts of the encoders that no graph depends on.
_NO_GRAPHS: Final = {
    *("_cache.py", "_files.py", "_fingerprint.py"),
    *("_layout.py", "drawing.py", "summary.py"),
}


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


@cache
def _digest(path: Path) -> bytes:
    return hashlib.sha256(ast.dump(ast.parse(path.read_text("utf-8"))).encode()).digest()
