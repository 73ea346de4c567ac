"""How long the trainings behind a benchmark's labels took, where its source tells."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from archcast.datasets import Benchmark, fetch
from archcast.datasets._unpickle import load_pickle

__all__ = ["training_seconds"]

FloatArray = NDArray[np.float64]
#: Times of NAS-Bench-201's trainings of twelve epochs on CIFAR-10.
_SHORT: Final = "nasbench201/12-epochs.pickle"
_SHORT_EPOCHS: Final = 12


def training_seconds(benchmark: Benchmark, task: str) -> FloatArray | None:
    """Seconds that the trainings of a task took.

    NAS-Bench-101's and EC-NAS's were published. Of NAS-Bench-201 only trainings of 12 epochs on
    CIFAR-10 are at hand (half of the images to train on, with a validation after); longer ones
    count in proportion to their epochs.

    Returns:
        (N,) seconds, NaN where missing; None where none are known.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    epochs = benchmark.recipe(task).get("epochs")
    if benchmark.name == "nasbench201" and task.startswith("cifar10/") and epochs is not None:
        return _nasbench201(benchmark) * (float(epochs) / _SHORT_EPOCHS)
    for name in benchmark.tasks:
        if not name.endswith("/training_time_s") or epochs is None:
            continue
        if np.array_equal(benchmark.recipe(name).get("epochs", epochs), epochs):
            return benchmark.labels(name)
    return None


def _nasbench201(benchmark: Benchmark) -> FloatArray:
    found = {row["arch"]: float(row["cost"]) for row in load_pickle(fetch(_SHORT))}
    return np.array([found.get(spec, np.nan) for spec in benchmark.specs])
