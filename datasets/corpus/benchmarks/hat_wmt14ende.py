"""Latencies of HAT's Transformers for translation, English to German, WMT'14."""

from __future__ import annotations

from archcast.datasets._benchmark import Benchmark
from archcast.datasets.benchmarks._hat import benchmark


def load() -> Benchmark:
    """The benchmark, in the order of its files.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    return benchmark("wmt14ende")
