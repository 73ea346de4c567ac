"""Benchmarks of measured architectures: fetched, verified, cached, tied to their graphs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from archcast.datasets._benchmark import Benchmark
from archcast.datasets._cards import DataCard, card, names
from archcast.datasets._export import export
from archcast.datasets._fetch import fetch
from archcast.datasets._own import from_csv
from archcast.datasets.onnx_folder import OnnxFolder, OnnxRow
from archcast.encoders._cache import cache_folder

if TYPE_CHECKING:
    from archcast.datasets.pool import Manifest, Pool, build_pool, open_pool

__all__ = [
    "Benchmark",
    "DataCard",
    "Manifest",
    "OnnxFolder",
    "OnnxRow",
    "Pool",
    "build_pool",
    "cache_folder",
    "export",
    "fetch",
    "from_csv",
    "info",
    "list_benchmarks",
    "load",
    "open_pool",
]


def __getattr__(name: str) -> Any:
    if name in ("Manifest", "Pool", "build_pool", "open_pool"):  # imported when first used
        return getattr(import_module("archcast.datasets.pool"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def list_benchmarks() -> list[str]:
    """Names of all benchmarks, sorted."""
    return names()


def info(name: str) -> DataCard:
    """The data card of a benchmark, without fetching anything.

    Raises:
        UnknownDatasetError: no such benchmark; the message has the closest names.
    """
    return card(name)


def load(name: str) -> Benchmark:
    """A benchmark by name.

    Args:
        name: one of :func:`list_benchmarks`.

    Returns:
        The benchmark; labels and graphs are read when first asked for.

    Raises:
        UnknownDatasetError: no such benchmark; the message has the closest names.
        DownloadError: its data is not here and cannot be fetched.
    """
    card(name)
    return import_module(f"archcast.datasets.benchmarks.{name}").load()
