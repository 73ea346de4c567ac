"""Benchmarks of measured architectures: fetched, verified, cached, tied to their graphs."""

from __future__ import annotations

from importlib import import_module

from archcast.datasets._benchmark import Benchmark
from archcast.datasets._cards import DataCard, card, names
from archcast.datasets._fetch import cache_folder, fetch

__all__ = ["Benchmark", "DataCard", "cache_folder", "fetch", "info", "list_benchmarks", "load"]


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
