"""What predictors see of architectures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import ShapeError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.tabular import TabularFeatures, tabular
from archcast.predictors._joined import Joined

Encoding = Literal["tabular", "graph", "text", "joined"]


def encode(X: Any, encoding: Encoding) -> Any:
    """Architectures in a predictor's encoding.

    Args:
        X: n graphs; or, computed beforehand, an (n, F) array or a
            :class:`~archcast.encoders.tabular.TabularFeatures` (``tabular``), or n texts; for
            ``tabular`` and ``joined`` also a :class:`Joined`.
        encoding: ``tabular`` gives an (n, F) float32 array, ``graph`` a list of graphs, ``text`` a
            list of texts and of graphs (each predictor writes them within its own budget of
            tokens), ``joined`` the array of ``tabular`` and apart from it the numbers
            beside it, none unless X is a :class:`Joined`.

    Raises:
        ShapeError: neither graphs nor this encoding.
    """
    if isinstance(X, ComputeGraph):
        raise ShapeError("one graph is no list of graphs; give [graph]")
    if encoding == "joined":
        joined = isinstance(X, Joined)
        table = _table(X.X if joined else X)
        return Joined(table, X.columns if joined else np.zeros((len(table), 0)))
    if encoding == "tabular":
        return _table(X)
    items = list(X)
    wanted = (ComputeGraph, str) if encoding == "text" else ComputeGraph
    for item in items:
        if not isinstance(item, wanted):
            raise ShapeError(f"this predictor takes graphs, not {type(item).__name__}")
    return items


def _table(X: Any) -> NDArray[np.float32]:
    if isinstance(X, Joined):
        return np.hstack([_table(X.X), X.columns.astype(np.float32)])
    if isinstance(X, TabularFeatures):
        return X.values
    if hasattr(X, "__array__"):
        table = np.asarray(X)
        if table.dtype != object:
            if table.ndim != 2:
                raise ShapeError(f"features are (n, F), not {table.shape}")
            table = np.asarray(table, np.float32)
            if not np.isfinite(table).all():
                row = int(np.flatnonzero(~np.isfinite(table).all(1))[0])
                raise ShapeError(f"features are finite numbers; row {row} has others")
            return table
    items = list(X)
    if not all(isinstance(item, ComputeGraph) for item in items):
        odd = next(i for i, item in enumerate(items) if not isinstance(item, ComputeGraph))
        raise ShapeError(
            "this predictor takes graphs, or an (n, F) array of features; item "
            f"{odd} is {type(items[odd]).__name__} (archcast.encoders.read makes a graph of it)"
        )
    return tabular(items).values


def take(data: Any, rows: NDArray[Any] | Sequence[int]) -> Any:
    """Some of the encoded architectures, by number."""
    if isinstance(data, (np.ndarray, Joined)):
        return data[np.asarray(rows, np.intp)]
    return [data[i] for i in rows]
