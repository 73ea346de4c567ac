"""Embeddings of texts, each computed once on a machine."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders._cache import cache_folder
from archcast.predictors.text._encoder import TextEncoder

FloatArray = NDArray[np.float32]

#: Texts of similar length that are embedded, and then kept, together.
_CHUNK: Final = 256
_LOOKED_UP: Final = 500


def embeddings(
    encoder: TextEncoder,
    fingerprint: str,
    texts: Sequence[str],
    *,
    batch_size: int,
    keep: bool,
    progress: bool,
) -> FloatArray:
    """Frozen embeddings of length 1.

    Args:
        encoder: the model.
        fingerprint: its weights' name.
        texts: n texts; equal ones are embedded once.
        batch_size: texts a batch; batches are of similar lengths.
        keep: whether to look in the cache folder first, and to leave there what was computed. A
            cache that cannot be used is done without.
        progress: whether to show a bar.

    Returns:
        (n, D) embeddings.
    """
    keys = [blake2b(f"{encoder.budget} {t}".encode(), digest_size=16).digest() for t in texts]
    found: dict[bytes, FloatArray] = {}
    with _Store.open(fingerprint if keep else None) as store:
        found |= store.get(list(dict.fromkeys(keys)))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        numbers = dict(zip(missing, encoder.ids(list(missing.values())), strict=True))
        order = sorted(missing, key=lambda key: (-len(numbers[key]), key))
        for chunk in _bar([order[i : i + _CHUNK] for i in range(0, len(order), _CHUNK)], progress):
            ids = [numbers[key] for key in chunk]
            new = dict(zip(chunk, _embed(encoder, ids, batch_size), strict=True))
            store.put(new)
            found |= new
    return np.stack([found[key] for key in keys])


def _embed(encoder: TextEncoder, ids: Sequence[Sequence[int]], batch_size: int) -> FloatArray:
    import torch

    parts = []
    with torch.inference_mode():
        for start in range(0, len(ids), batch_size):
            vectors = encoder.pooled(ids[start : start + batch_size])
            parts.append(torch.nn.functional.normalize(vectors, dim=1).float().cpu().numpy())
    return np.concatenate(parts)


def _bar(chunks: Sequence[Any], shown: bool) -> Iterator[Any]:
    from tqdm import tqdm

    yield from tqdm(chunks, "embedding texts", disable=not shown, leave=False)


class _Store:
    """One SQLite file a model: several processes may read and add at once."""

    def __init__(self, connection: sqlite3.Connection | None) -> None:
        self._connection = connection

    @classmethod
    @contextlib.contextmanager
    def open(cls, fingerprint: str | None) -> Iterator[_Store]:
        """The store of a model; an empty one that keeps nothing where it cannot be opened."""
        connection = None
        if fingerprint is not None:
            with contextlib.suppress(sqlite3.Error, OSError):
                connection = _connected(cache_folder() / "embeddings" / f"{fingerprint}.sqlite")
        try:
            yield cls(connection)
        finally:
            if connection is not None:
                connection.close()

    def get(self, keys: Sequence[bytes]) -> dict[bytes, FloatArray]:
        found: dict[bytes, FloatArray] = {}
        if self._connection is None:
            return found
        with contextlib.suppress(sqlite3.Error):
            for start in range(0, len(keys), _LOOKED_UP):
                part = keys[start : start + _LOOKED_UP]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, vector FROM vectors WHERE key IN ({marks})"
                for key, vector in self._connection.execute(query, part):
                    found[key] = np.frombuffer(vector, "<f4")
        return found

    def put(self, vectors: dict[bytes, FloatArray]) -> None:
        if self._connection is None:
            return
        rows = [(key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()]
        with contextlib.suppress(sqlite3.Error), self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)


def _connected(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=30)
    table = "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)"
    try:
        connection.execute(table)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
