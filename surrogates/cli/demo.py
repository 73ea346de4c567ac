"""``archcast demo``: nine real ImageNet networks that every installation of onnx carries."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from archcast.cli import _columns, _render
from archcast.cli._forecasts import Query, forecast_rows
from archcast.cli._numbers import quantity
from archcast.cli._options import Json
from archcast.cli._render import Column
from archcast.cli._report import Failures
from archcast.encoders.errors import StorageError

#: Top-1 on ImageNet's validation set in percent, as the ONNX Model Zoo's page of each network
#: states it (single centre crop). The zoo states none for the four networks not named here.
PUBLISHED = {
    "bvlc_alexnet": 54.8,
    "inception_v1": 67.2,
    "squeezenet": 56.9,
    "vgg19": 73.7,
    "zfnet512": 56.0,
}
_TASK = "imagenet1k/top1"
_NOTES = (
    "Published: top-1 by the ONNX Model Zoo, of weights trained in 2012-2016. A forecast",
    "is for the usual recipe of networks like it; older ones score lower.",
)


def demo(json: Json = False) -> int:
    """Forecast the nine ImageNet networks inside the onnx package."""
    failures = Failures()
    rows = list(forecast_rows([str(path) for path in demo_files()], Query((_TASK,)), failures))
    rows = [_named(row) for row in rows]
    if json:
        for row in rows:
            _render.write_json(row)
    else:
        answered = [row for row in rows if "error" not in row]
        _write(answered)
    return failures.exit_code


def demo_files() -> list[Path]:
    """The network files inside the installed onnx package, without importing it.

    Raises:
        StorageError: this build of onnx carries none.
    """
    spec = importlib.util.find_spec("onnx")
    folders = (spec.submodule_search_locations if spec else None) or []
    found = [
        file
        for folder in folders
        for file in sorted((Path(folder) / "backend/test/data/light").glob("light_*.onnx"))
    ]
    if not found:
        raise StorageError("this build of onnx has no demo networks; pip install onnx brings them")
    return found


def _named(row: dict[str, Any]) -> dict[str, Any]:
    name = Path(row["file"]).stem.removeprefix("light_")
    return {**row, "network": name, "published": PUBLISHED.get(name)}


def _write(rows: list[dict[str, Any]]) -> None:
    published = Column("published", "published", _published, right=True)
    if not _render.is_terminal():
        columns = [Column("network", "network"), *_columns.PLAIN[1:], published]
        _render.write_table(columns, map(_columns.plain, rows))
        return
    columns = [
        Column("network", "network"),
        _columns.FORECAST,
        _columns.INTERVAL,
        _columns.PARAMS,
        _columns.MACS,
        _columns.FAMILIARITY,
        published,
    ]
    _render.write_table(columns, rows, _NOTES)


def _published(row: _render.Row) -> str:
    return "" if row["published"] is None else quantity(row["published"], "%")
