"""What a search may know before it begins: universal predictors that never saw its space."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from archcast._universal_set import pooled_rows
from archcast.predictors import Predictor, load_predictor, save_predictor
from archcast.predictors.universal import UniversalPredictor

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


def left_out_prior(benchmark: str, task: str, work: Path) -> Predictor:
    """The universal predictor for a search on a benchmark, fitted once and kept.

    Args:
        benchmark: a key of :data:`LEFT_OUT`.
        task: data set and metric that the search is after.
        work: folder where fitted predictors are kept.
    """
    path = work / f"prior-{benchmark}.safetensors"
    if not path.exists():
        save_predictor(_fitted(benchmark), path)
    prior = load_predictor(path)
    return prior.set_params(task=task)


def _fitted(benchmark: str) -> UniversalPredictor:
    rows = pooled_rows(limit=LIMIT)
    known = rows.take(~np.isin(rows.benchmarks, LEFT_OUT[benchmark]))
    if benchmark in known.spaces:  # a benchmark's own space goes by its name
        raise ValueError(f"{benchmark} is still among what the prior learns from")
    return UniversalPredictor(trees=TREES, rows=ROWS).fit(
        known.x, known.y, spaces=known.spaces, tasks=known.tasks,
        smaller_is_better=known.smaller_is_better,
    )  # fmt: skip
