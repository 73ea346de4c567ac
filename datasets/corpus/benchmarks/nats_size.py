"""The size space of NATS-Bench: 32,768 choices of widths, trained on CIFAR-10."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

import numpy as np

from archcast.datasets._benchmark import Benchmark
from archcast.datasets._fetch import fetch
from archcast.encoders.spaces.nats_size import NATSSize

_ROW: Final = re.compile(r"^'?([\d:]+)'?:\s*([\d.]+)\s*$", re.MULTILINE)
_TASK: Final = "cifar10/test_accuracy"


def load() -> Benchmark:
    """The benchmark, in the order of its file.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    space, specs = NATSSize(), list(_accuracies())
    return Benchmark(
        "nats_size",
        specs,
        {_TASK: lambda: np.array(list(_accuracies().values()))},
        lambda rows: space.graphs([specs[row] for row in rows]),
        key=space.parse,
        recipes={_TASK: {"epochs": 90, "optimizer": "sgd", "batch_size": 256}},
    )


@cache
def _accuracies() -> dict[str, float]:
    # The file is a flat mapping; its keys look like numbers of base 60 to a YAML reader.
    text = fetch("nats_size/cifar10.yml").read_text("utf-8")
    return {spec: float(value) for spec, value in _ROW.findall(text)}
