"""Tables of measurements that need no corpus."""

import numpy as np
import pytest

from archcast.datasets import Benchmark
from archcast.encoders.spaces import get_space

TASK = "toy/val_accuracy"
SHORT = "toy/val_accuracy_3_epochs"


def benchmark(specs, space, **extra):
    """A benchmark of one's own; labels count up, the last row is not measured."""
    n = len(specs)
    full = np.arange(n, dtype=float)
    full[-1] = np.nan
    labels = {
        TASK: lambda: full,
        SHORT: lambda: full / 2,
        "toy/test_accuracy": lambda: full[::-1] * 1.0,
        "gpu/training_time_s": lambda: 100 + np.arange(n, dtype=float),
        "phone/latency_ms": lambda: np.arange(n, dtype=float) % 7,
    }
    known = get_space(space)
    return Benchmark(
        extra.pop("name", f"toy-{space}-{n}"),
        specs,
        labels,
        lambda rows: known.graphs([specs[row] for row in rows]),
        space=space,
        key=known.parse,
        recipes={TASK: {"epochs": 30}, SHORT: {"epochs": 3}, "gpu/training_time_s": {"epochs": 30}},
        **extra,
    )


@pytest.fixture(scope="session")
def table():
    """Makes a benchmark of specifications and the name of their space."""
    return benchmark


@pytest.fixture(scope="session")
def sampled():
    """A hundred of the 15,625 cells of NAS-Bench-201."""
    return benchmark(get_space("nasbench201").sample(100, seed=3), "nasbench201")
