"""Forecasts by a model of one's own, as ``archcast adapt`` and ``archcast pretrain`` write it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archcast.cli._columns import FAMILIARITY, FORECAST, INTERVAL, MACS, PARAMS, short_names
from archcast.cli._forecasts import CHUNK, Query, read_each
from archcast.cli._render import Column, Row
from archcast.cli._report import Failures

if TYPE_CHECKING:
    from archcast.predictors import Predictor


class OwnModel:
    """A predictor's file, and what it says of itself.

    Args:
        path: the file.

    Raises:
        StorageError: no such file.
        ModelFormatError: damaged, or no predictor.
        MissingExtraError: what it is built on is not installed.
    """

    def __init__(self, path: Path) -> None:
        from archcast.evaluation._scale import usual_transform
        from archcast.predictors import load_predictor
        from archcast.predictors.storage import read_about

        self.predictor: Predictor = load_predictor(path)
        self.task = str(read_about(path).get("task") or path.stem)
        self.unit = "%" if usual_transform(self.task) == "logit" else ""

    def rows(
        self,
        names: Sequence[str],
        query: Query,
        failures: Failures,
        advance: Callable[[int], None],
    ) -> Iterator[dict[str, Any]]:
        """Forecasts of networks, in order, as the rows of ``archcast predict``."""
        for start in range(0, len(names), CHUNK):
            chunk = names[start : start + CHUNK]
            found = list(read_each(chunk, query, failures))
            begun = time.perf_counter()
            read = [slot for slot in found if not isinstance(slot, dict)]
            answers = iter(self._forecast([slot.graph for slot in read]))
            seconds = (time.perf_counter() - begun) / max(len(read), 1)
            for slot in found:
                if isinstance(slot, dict):
                    yield slot
                    continue
                facts = {"params": int(slot.graph.params), "macs": slot.graph.macs}
                spent = round(slot.seconds + seconds, 6)
                yield {"file": slot.name, **next(answers), **facts, "seconds": spent}
            advance(len(chunk))

    def _forecast(self, graphs: Sequence[Any]) -> list[dict[str, Any]]:
        from archcast._familiarity import familiarity

        if not graphs:
            return []
        values, stds = self.predictor.predict(graphs, return_std=True)
        low, high = self.predictor.interval(graphs, 0.9)
        known = familiarity(self.predictor, graphs) or [None] * len(graphs)
        return [
            {
                "task": self.task,
                "value": round(float(v), 6),
                "unit": self.unit,
                "std": round(float(s), 6),
                "interval": [round(float(a), 6), round(float(b), 6)],
                "familiarity": f.word if f else "",
                "reason": f.reason if f else "",
                "notes": [],
            }
            for v, s, a, b, f in zip(*map(np.ravel, (values, stds, low, high)), known, strict=True)
        ]


#: What a machine reads from a pipe.
PLAIN = tuple(
    Column(key, key)
    for key in (
        "file", "task", "value", "unit", "std", "low", "high", "familiarity", "params", "macs",
        "seconds", "remarks",
    )
)  # fmt: skip


def pretty(rows: Sequence[Row]) -> list[Column]:
    """Columns for a terminal; familiarity where the model can tell."""
    names = short_names(row["file"] for row in rows)
    known = [FAMILIARITY] if any(row["familiarity"] for row in rows) else []
    head = Column("network", "file", lambda row: names[row["file"]])
    return [head, FORECAST, INTERVAL, *known, PARAMS, MACS]
