"""A benchmark's distinct networks, encoded once, from the pooled table where it is built."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import archcast.datasets as corpus
from archcast.datasets.pool import Pool, open_pool
from archcast.encoders.errors import InvalidSettingError, MissingExtraError, StorageError
from archcast.encoders.tabular import tabular
from archcast.predictors._encoding import Encoding, encode

FloatArray = NDArray[np.float64]


class Networks:
    """N rows of a benchmark and the U distinct networks they are of.

    Args:
        benchmark: its name.

    Attributes:
        number: (N,) number of each row's network; -1 where its graph is not known.
        hashes: (U,) hashes of the networks.
    """

    def __init__(self, benchmark: str) -> None:
        self.benchmark = benchmark
        self._pool = _pool_with(benchmark)
        hashes = self._row_hashes()
        known = np.array([digest is not None for digest in hashes], bool)
        texts = np.array([digest for digest in hashes if digest is not None], np.str_)
        self.hashes, number = np.unique(texts, return_inverse=True)
        self.number = np.full(len(hashes), -1, np.int64)
        self.number[known] = number.reshape(-1)
        self._encoded: dict[Encoding, Any] = {}

    def __len__(self) -> int:
        return len(self.number)

    def labels(self, task: str) -> FloatArray:
        """(N,) labels of a task; NaN where missing.

        Raises:
            UnknownTaskError: no such task.
        """
        if self._pool is None:
            return corpus.load(self.benchmark).labels(task)
        table = self._pool.table("labels", self.benchmark, ["row", "value"], tasks=task)
        values = np.full(len(self), np.nan)
        values[table["row"].to_numpy()] = table["value"].to_numpy()
        return values

    def families(self) -> NDArray[np.str_]:
        """(N,) family of each row."""
        if self._pool is None:
            return np.array(corpus.load(self.benchmark).families, np.str_)
        table = self._pool.table("architectures", self.benchmark, ["family"])
        return np.array(table["family"].to_pylist(), np.str_)

    def encoded(self, encoding: Encoding, numbers: NDArray[np.integer[Any]]) -> Any:
        """Networks by number, as a predictor of that encoding sees them."""
        if encoding not in self._encoded:
            self._encoded[encoding] = self._encode(encoding)
        found = self._encoded[encoding]
        return found[numbers] if isinstance(found, np.ndarray) else [found[i] for i in numbers]

    def _encode(self, encoding: Encoding) -> Any:
        if encoding in ("tabular", "joined"):
            if self._pool is not None:
                return self._pool.features(self.benchmark)[1]  # sorted by hash, as ours
            return tabular(self._encode("graph")).values
        if encoding == "graph":
            if self._pool is not None:
                graphs = self._pool.graphs(self.benchmark)
                return [graphs[digest] for digest in self.hashes.tolist()]
            first = np.unique(self.number, return_index=True)[1][-len(self.hashes) :]
            return corpus.load(self.benchmark).graphs(first)
        return encode(self.encoded("graph", np.arange(len(self.hashes))), encoding)

    def _row_hashes(self) -> list[str | None]:
        if self._pool is not None:
            return self._pool.table("architectures", self.benchmark, ["hash"])["hash"].to_pylist()
        data = corpus.load(self.benchmark)
        hashes: list[str | None] = [None] * len(data)
        for row, graph in zip(data.with_graph.tolist(), data.graphs(), strict=True):
            hashes[row] = graph.hash
        return hashes


@cache
def networks(benchmark: str) -> Networks:
    """The networks of a benchmark, read once a process.

    Raises:
        UnknownDatasetError: no such benchmark.
        DownloadError: neither is it in the pool, nor can its data be fetched.
        InvalidSettingError: no graph of it is known, so that nothing can be forecast.
    """
    corpus.info(benchmark)
    found = Networks(benchmark)
    if not len(found.hashes):
        raise InvalidSettingError(f"{benchmark} knows no graph of its architectures")
    return found


def _pool_with(benchmark: str) -> Pool | None:
    """The pooled table, if it is here and has that benchmark."""
    try:
        pool = open_pool()
    except (StorageError, MissingExtraError):
        return None
    return pool if benchmark in pool.manifests else None
