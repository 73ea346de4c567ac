"""Measurements as tables and pictures."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from archcast.datasets.protocols import Protocol
from archcast.datasets.transfers import Transfer
from archcast.encoders._files import write_atomically
from archcast.encoders.errors import InvalidSettingError
from archcast.evaluation._measure import METRICS, Forecasts, Measurement

#: Columns of a table for people, if they have a figure.
_SHOWN: Final = (
    "kendall",
    "spearman",
    "ndcg",
    "mae",
    "isotonic_mae",
    "crps",
    "rmsce",
    "coverage",
    "width",
    "fit_seconds",
)

_PICTURES: Final = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Row:
    """Several draws of the same measurement.

    Attributes:
        predictor: what it is called.
        part: which rows; see :class:`~archcast.evaluation.Measurement`.
        labels: number of labels.
        draws: how many were averaged.
        rows: mean number of rows ranked.
        mean: metric -> mean over the draws.
        std: metric -> standard deviation over the draws.
    """

    predictor: str
    part: str
    labels: int
    draws: int
    rows: float
    mean: dict[str, float]
    std: dict[str, float]


@dataclass(frozen=True)
class Results:
    """What :func:`archcast.evaluation.evaluate` found.

    Attributes:
        measurements: one a draw and part.
        protocol: how they were made.
        forecasts: those of the first draw, for pictures.
    """

    measurements: tuple[Measurement, ...]
    protocol: Protocol | Transfer
    forecasts: Forecasts | None = None

    def summary(self) -> list[Row]:
        """One row a predictor, part and number of labels, in order of first appearance."""
        grouped: dict[tuple[str, str, int], list[Measurement]] = {}
        for m in self.measurements:
            grouped.setdefault((m.predictor, m.part, m.labels), []).append(m)
        return [_row(key, draws) for key, draws in grouped.items()]

    def mean(self, metric: str, *, labels: int | None = None, part: str = "all") -> float:
        """Mean of a metric over all draws, of one number of labels or all."""
        values = [
            m.values[metric]
            for m in self.measurements
            if m.part == part and labels in (None, m.labels)
        ]
        return float(np.mean(values))

    def published(self, labels: int) -> dict[str, float]:
        """Method -> figure that was published at that number of labels."""
        if isinstance(self.protocol, Transfer):
            return dict(self.protocol.published) if labels == 0 else {}
        return {k: v[labels] for k, v in self.protocol.published.items() if labels in v}

    def __add__(self, other: Results) -> Results:
        """Both in one table.

        Raises:
            InvalidSettingError: they were made by different protocols.
        """
        if self.protocol.name != other.protocol.name:
            raise InvalidSettingError(
                f"{self.protocol.name} and {other.protocol.name} make no common table"
            )
        both = self.measurements + other.measurements
        return Results(both, self.protocol, self.forecasts or other.forecasts)

    # ---------------------------------------------------------------------- out
    def to_markdown(self) -> str:
        """A Markdown table, published figures last."""
        summary = self.summary()
        shown = [k for k in _SHOWN if any(math.isfinite(row.mean[k]) for row in summary)]
        several = len({row.part for row in summary}) > 1
        head = ["predictor", *(["part"] if several else []), "labels", *(METRICS[k] for k in shown)]
        lines = []
        for row in summary:
            figures = [_figure(row, key) for key in shown]
            part = [row.part] if several else []
            lines.append([row.predictor, *part, f"{row.labels:,}", *figures])
        for labels in dict.fromkeys(row.labels for row in summary):
            for method, value in self.published(labels).items():
                figures = [f"{value:.3f}" if k == self.protocol.metric else "-" for k in shown]
                part = ["all"] if several else []
                lines.append([cited(method), *part, f"{labels:,}", *figures])
        rule = ["---", *["---:"] * (len(head) - 1)]
        return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *lines)) + "\n"

    def to_csv(self) -> str:
        """One line a measurement, every figure in full precision; empty where there is none."""
        text = io.StringIO()
        head = ["predictor", "protocol", "part", "labels", "seed", "rows"]
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*head, *METRICS])
        for m in self.measurements:
            figures = [m.values.get(key, math.nan) for key in METRICS]
            cells = [repr(v) if math.isfinite(v) else "" for v in figures]
            writer.writerow([*(getattr(m, key) for key in head), *cells])
        return text.getvalue()

    def save(self, path: str | Path) -> None:
        """Write a table (``.md``, ``.csv``) or pictures (``.png``, ``.svg``, ``.pdf``).

        Raises:
            InvalidSettingError: another kind of file.
            MissingExtraError: pictures need matplotlib.
            StorageError: the file cannot be written.
        """
        target = Path(path)
        check_kind(target)
        kind = target.suffix.lower()
        if kind in _PICTURES:
            from archcast.evaluation._plot import plot

            results: Any = self  # the other module needs this one, so the types are a circle
            data = plot(results, kind.removeprefix("."))
        else:
            data = (self.to_markdown() if kind == ".md" else self.to_csv()).encode()
        write_atomically(target, lambda file: file.write(data))


def check_kind(path: Path) -> None:
    """Whether results can be written to a file of that ending.

    Raises:
        InvalidSettingError: they cannot.
    """
    if path.suffix.lower() not in (".md", ".csv", *_PICTURES):
        raise InvalidSettingError(f"{path.name}: give .md, .csv, .png, .svg or .pdf")


def cited(method: str) -> str:
    """How a figure that was not measured here is called in a table."""
    return method if method.endswith("(quoted)") else f"{method} (published)"


def _row(key: tuple[str, str, int], draws: Sequence[Measurement]) -> Row:
    values = {k: np.array([m.values[k] for m in draws], np.float64) for k in METRICS}
    return Row(
        *key,
        len(draws),
        float(np.mean([m.rows for m in draws])),
        {k: float(v.mean()) for k, v in values.items()},
        {k: float(v.std()) for k, v in values.items()},
    )


def _figure(row: Row, key: str) -> str:
    mean, std = row.mean[key], row.std[key]
    if not math.isfinite(mean):
        return "-"
    if key == "fit_seconds":
        return f"{mean:.1f}"
    text: Any = f"{mean:.3f}" if abs(mean) < 100 else f"{mean:.4g}"
    return f"{text} ± {std:.3f}" if row.draws > 1 else text
