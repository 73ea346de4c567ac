"""AutoFormer small: 1,001 vision Transformers with the weights of one supernet, on ImageNet-1k."""

from __future__ import annotations

from archcast.datasets._benchmark import Benchmark
from archcast.datasets.benchmarks._autoformer import benchmark


def load() -> Benchmark:
    """The benchmark, in the order of its file.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    return benchmark("small")
