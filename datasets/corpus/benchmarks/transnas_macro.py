"""The macro space of TransNAS-Bench-101: 3,256 networks on seven tasks of Taskonomy."""

from __future__ import annotations

from archcast.datasets._benchmark import Benchmark
from archcast.datasets.benchmarks._transnas import load_table
from archcast.encoders.spaces.transnas_macro import TransNASMacro


def load() -> Benchmark:
    """The benchmark; graphs end with the classifier of objects.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    return load_table(TransNASMacro())
