"""Tables of few labels inside one space of cells: ours, plain baselines, published figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from _report import table
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.pipeline import make_pipeline

from archcast.datasets.protocols import protocol
from archcast.encoders.tabular import feature_names
from archcast.evaluation import Results, evaluate
from archcast.evaluation.results import cited
from archcast.predictors import get_predictor


def forest() -> Any:
    return RandomForestRegressor(200, random_state=0, n_jobs=1)


def forest_on_sizes() -> Any:
    picked = [feature_names().index(name) for name in ("log_weights", "log_macs")]
    return make_pipeline(make_column_transformer(("passthrough", picked)), forest())


#: Row -> what makes it.
MODELS: Mapping[str, Callable[[], Any]] = {
    "archcast": lambda: get_predictor("tabular", transform="logit"),
    "random forest, same features": forest,
    "random forest, params and MACs": forest_on_sizes,
}


def measure(
    name: str, labels: Sequence[int], seeds: int, work: Path | None, models: Sequence[str] = ()
) -> Results:
    """All models under a protocol; twice as many draws of at most 200 labels."""
    found: Results | None = None
    for model in models or MODELS:
        for count in labels:
            draws = seeds if count > 200 else 2 * seeds
            part = evaluate(MODELS[model](), name, labels=count, seeds=draws, name=model, work=work)
            found = part if found is None else found + part
    assert found is not None
    return found


def ranks(results: Results, labels: Sequence[int], part: str = "all") -> str:
    """One row a model and published method, one column a number of labels."""
    metric = results.protocol.metric
    cells: dict[str, dict[int, str]] = {}
    for row in results.summary():
        if row.part == part:
            text = f"{row.mean[metric]:.3f} ± {row.std[metric]:.3f}"
            cells.setdefault(row.predictor, {})[row.labels] = text
    if part == "all":
        for method, figures in protocol(results.protocol.name).published.items():
            cells[cited(method)] = {n: f"{v:.3f}" for n, v in figures.items()}
    head = ("predictor", *(f"{n:,} labels" for n in labels))
    return table(head, [[name, *(row.get(n, "-") for n in labels)] for name, row in cells.items()])


def intervals(results: Results, labels: Sequence[int], part: str = "unseen") -> str:
    """How far the forecasts are off, and how honest the intervals of those that give one are."""
    rows = [
        [
            row.predictor,
            f"{row.labels:,}",
            *(f"{row.mean[key]:.3f}" for key in ("mae", "crps", "rmsce", "coverage", "width")),
        ]
        for row in results.summary()
        if row.part == part and row.labels in labels and math.isfinite(row.mean["coverage"])
    ]
    head = ("predictor", "labels", "MAE", "CRPS", "RMSCE", "coverage of 90 %", "width of 90 %")
    return table(head, rows)
