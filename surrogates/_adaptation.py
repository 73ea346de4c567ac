"""A predictor brought to labels of one's own, and what that gains on networks left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.datasets import Benchmark, splits
from archcast.encoders.errors import InvalidLabelsError
from archcast.evaluation import metrics
from archcast.predictors import Predictor
from archcast.predictors._encoding import encode, take

#: More groups than these are left out several at a time.
_FOLDS: Final = 30


@dataclass(frozen=True)
class Adaptation:
    """A predictor adapted to labels, and its errors.

    Attributes:
        predictor: adapted to all labels.
        labels: how many there were.
        before: mean absolute error of the base on them, in their unit; NaN if its forecasts have
            no unit.
        after: mean absolute error of networks left out of the adaptation; NaN if all are of one
            family.
        kendall_before: Kendall's tau of the base.
        kendall_after: Kendall's tau of the forecasts of networks left out.
    """

    predictor: Predictor
    labels: int
    before: float
    after: float
    kendall_before: float
    kendall_after: float


def adapt_to(base: Predictor, data: Benchmark, task: str) -> Adaptation:
    """Adapt a predictor to a benchmark of one's own.

    Networks are left out one at a time, with all of their family where the table has families, and
    with equal networks always.

    Args:
        base: a fitted predictor.
        data: measured networks, as :func:`archcast.datasets.from_csv` reads them.
        task: which of its labels.

    Raises:
        UnknownTaskError: no such label.
        InvalidLabelsError: no network has one.
        ArchcastError: a network cannot be read.
    """
    labels = data.labels(task)
    rows = np.flatnonzero(np.isfinite(labels) & np.isin(np.arange(len(data)), data.with_graph))
    if not len(rows):
        raise InvalidLabelsError(f"no network of {data.name} has a label of {task}")
    graphs = data.graphs(rows)
    y, X = labels[rows], encode(graphs, base.encoding)
    groups = _groups([graph.hash for graph in graphs], [data.families[i] for i in rows.tolist()])
    before, after = base.predict(X), _left_out(base, X, y, groups)
    return Adaptation(
        base.adapt(X, y),
        len(y),
        float("nan") if getattr(base, "unitless", False) else metrics.mae(y, before),
        metrics.mae(y, after) if np.isfinite(after).all() else float("nan"),
        metrics.kendall(y, before),
        metrics.kendall(y, after),
    )


def _groups(hashes: list[str], families: list[str]) -> list[str]:
    """Families where there are several, else networks; equal networks are never apart."""
    if len(set(families)) < 2:
        return hashes
    named: dict[str, str] = {}
    return [named.setdefault(h, f or h) for h, f in zip(hashes, families, strict=True)]


def _left_out(
    base: Predictor, X: Any, y: NDArray[np.float64], groups: list[str]
) -> NDArray[np.float64]:
    """(n,) forecasts of each network by a predictor adapted to all groups but its own."""
    found = np.full(len(y), np.nan)
    count = len(set(groups))
    if count < 2:
        return found
    for train, test in splits.by_group(groups, min(count, _FOLDS)):
        found[test] = base.adapt(take(X, train), y[train]).predict(take(X, test))
    return found
