"""ScAn-Bench's table from its Python package, for those without a mirror of it."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path
from typing import Final

from archcast.datasets._wheels import made_of, members
from archcast.encoders.errors import UnreadableModelError

_PACKAGE: Final = "scan-bench"
_MEMBER: Final = "scan_bench/llm/configs_intermediate_summary.csv"


def llm_table() -> Path:
    """The measurements of all language models as a table; made once from the package.

    Raises:
        DownloadError: the package is not here and cannot be fetched.
        UnreadableModelError: the table in it is missing or damaged.
    """
    return made_of(_PACKAGE, "scan_bench_llm.csv", lambda path: read_table(path).encode(), __file__)


def read_table(path: Path) -> str:
    """The table in a wheel, numbers cut to the seven digits of the mirror's table.

    Raises:
        UnreadableModelError: it is missing or damaged.
    """
    found = next((data for _, data in members(path, lambda name: name == _MEMBER)), None)
    if found is None:
        raise UnreadableModelError(f"{path} has no {_MEMBER}")
    out = StringIO(newline="")
    try:
        header, *rows = csv.reader(StringIO(found.decode("utf-8"), newline=""))
        csv.writer(out).writerows([header, *([_short(value) for value in row] for row in rows)])
    except (ValueError, csv.Error) as error:
        raise UnreadableModelError(f"{path}: {_MEMBER} is not a table") from error
    return out.getvalue()


def _short(text: str) -> str:
    """Fractions with seven digits; everything else as it is."""
    if "." not in text and "e" not in text:
        return text
    try:
        return f"{float(text):.7g}"
    except ValueError:
        return text
