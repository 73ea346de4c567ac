"""HW-GPT-Bench, the large space: decoders with the weights of one supernet, and their costs."""

from __future__ import annotations

from archcast.datasets._benchmark import Benchmark
from archcast.datasets.benchmarks._hwgpt import benchmark


def load() -> Benchmark:
    """The benchmark, in the order of its table.

    Raises:
        DownloadError: the table is not here; it has to come from a mirror.
    """
    return benchmark("l")
