"""LEMUR's two tables from its Python package, for those without a mirror of them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from archcast.datasets._wheels import fetch_wheel, members, wheel
from archcast.encoders._cache import cache_folder
from archcast.encoders._files import write_atomically

_PACKAGE: Final = "nn-dataset"
_CODE, _STATS = "ab/nn/nn/", "ab/nn/stat/train/"
HEADER: Final = (
    "task", "dataset", "metric", "net", "epoch", "accuracy", "batch", "lr", "momentum", "dropout",
    "transform", "duration_s", "uid8", "extra",
)  # fmt: skip
_OWN: Final = frozenset(
    ("accuracy", "batch", "dropout", "duration", "epoch", "lr", "momentum", "transform", "uid")
)


def code_table() -> Path:
    """Name and source of every network, one JSON object a line; made once from the package.

    Raises:
        DownloadError: the package is not here and cannot be fetched.
    """
    path = _place("code.jsonl.xz")
    if not path.exists():
        lines = [json.dumps(row) + "\n" for row in code_rows(fetch_wheel(_PACKAGE))]
        data = lzma.compress("".join(lines).encode())
        write_atomically(path, lambda file: file.write(data))
    return path


def trial_table() -> Path:
    """One row an epoch of every training run; made once from the package.

    Raises:
        DownloadError: the package is not here and cannot be fetched.
    """
    path = _place("trials.csv.gz")
    if not path.exists():
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(trial_rows(fetch_wheel(_PACKAGE)))
        data = gzip.compress(text.getvalue().encode(), 6, mtime=0)
        write_atomically(path, lambda file: file.write(data))
    return path


def code_rows(path: Path) -> Iterator[dict[str, str]]:
    """Name and source of every network in a wheel, sorted by name."""

    def wanted(name: str) -> bool:
        inside = name.removeprefix(_CODE)
        return name.startswith(_CODE) and inside.endswith(".py") and "/" not in inside

    found = {Path(name).stem: data.decode("utf-8") for name, data in members(path, wanted)}
    for name in sorted(found):
        yield {"net": name, "code": found[name]}


def trial_rows(path: Path) -> Iterator[list[str]]:
    """Epochs of training runs in a wheel, numbers rounded as the registered table has them."""
    for name, data in members(path, lambda n: n.startswith(_STATS) and n.endswith(".json")):
        folder, _, file = name.removeprefix(_STATS).partition("/")
        task, dataset, metric, net = folder.split("_", 3)
        for trial in json.loads(data):
            yield [task, dataset, metric, net, file.removesuffix(".json"), *_row(trial)]


def _row(trial: dict[str, Any]) -> list[str]:
    extra = {k: _rounded(v) for k, v in sorted(trial.items()) if k not in _OWN}
    duration = trial.get("duration")
    return [
        _number(trial.get("accuracy"), 5),
        str(trial.get("batch", "")),
        *(_number(trial.get(name), 4) for name in ("lr", "momentum", "dropout")),
        str(trial.get("transform", "")),
        _number(None if duration is None else float(duration) / 1e9, 3),
        str(trial.get("uid", ""))[:8],
        json.dumps(extra, separators=(",", ":")) if extra else "",
    ]


def _number(value: Any, digits: int) -> str:
    return "" if value is None else f"{float(value):.{digits}g}"


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value


def _place(name: str) -> Path:
    return cache_folder() / "derived" / f"lemur-{wheel(_PACKAGE).version}-{name}"
