"""What a search may know before it begins: universal predictors that never saw its space."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from _search_problems import Problem

from archcast._universal_set import pooled_rows
from archcast.predictors import Predictor, load_predictor, save_predictor
from archcast.predictors.universal import UniversalPredictor
from archcast.search.forecaster import Remembered

#: Benchmark -> what the predictor for it did not learn from. Left out beside the space itself:
#: EC-NAS, which measured cells of NAS-Bench-101; the size space, which trains one cell of
#: NAS-Bench-201 by its recipe; TransNAS micro, whose cells are those of NAS-Bench-201 without
#: pooling; and TransNAS macro, measured on the same seven tasks.
LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    "nasbench101": ("nasbench101", "ec_nas"),
    "nasbench201": ("nasbench201", "nats_size", "transnas_micro"),
    "transnas_micro": ("transnas_micro", "transnas_macro", "nasbench201"),
    "nats_size": ("nats_size", "nasbench201"),
}
#: Trees of a space, and rows that a tree learns from at most, as in ``zero_shot.py``.
TREES, ROWS, LIMIT = 96, 2000, 2500


@cache
def left_out_prior(problem: Problem, work: Path) -> Predictor:
    """The universal predictor for a search, fitted once and kept, with its forecasts of the table.

    Forecasts are computed once because thirty searches ask for the same ones.

    Args:
        problem: what is searched.
        work: folder where predictors and forecasts are kept.
    """
    path = work / f"prior-{problem.benchmark}.safetensors"
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        save_predictor(_fitted(problem.benchmark), path)
    prior = _Known(load_predictor(path).set_params(task=problem.task))
    domain = problem.simulation().domain
    x = domain.features(domain.table.specs)
    kept = work / f"forecasts-{problem.name.replace(' ', '-')}.npy"
    if kept.exists():
        prior.recall(x, np.load(kept))
    else:
        np.save(kept, np.stack(prior._predict(x)))
    return prior


class _Known(Remembered):
    """Remembers forecasts of an earlier process."""

    def recall(self, x: np.ndarray, moments: np.ndarray) -> None:
        """Take (N, F) features and their (2, N) means and standard deviations."""
        keys = (row.tobytes() for row in np.ascontiguousarray(x, np.float32))
        self._found.update(zip(keys, map(tuple, moments.T.tolist()), strict=True))


def _fitted(benchmark: str) -> UniversalPredictor:
    rows = pooled_rows(limit=LIMIT)
    known = rows.take(~np.isin(rows.benchmarks, LEFT_OUT[benchmark]))
    if benchmark in known.spaces:  # a benchmark's own space goes by its name
        raise ValueError(f"{benchmark} is still among what the prior learns from")
    return UniversalPredictor(trees=TREES, rows=ROWS).fit(
        known.x, known.y, spaces=known.spaces, tasks=known.tasks,
        smaller_is_better=known.smaller_is_better,
    )  # fmt: skip
