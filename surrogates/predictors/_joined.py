"""Architectures joined with numbers that are not of the architecture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast.encoders.errors import ShapeError
from archcast.encoders.tabular import TabularFeatures


class Joined:
    """Architectures, and E numbers beside each: recipe, partial curve, measurements.

    Every predictor of tabular features takes it (the numbers are more columns), and those of the
    encoding ``joined`` know which are which. Rows are taken as from an array, so that
    cross-validation works.

    Args:
        X: n architectures: graphs, or their features.
        columns: (n, E) numbers, or (n,) for one each; NaN where unknown, which only predictors of
            the encoding ``joined`` know how to read.

    Raises:
        ShapeError: not one row of numbers an architecture, or infinite ones.
    """

    def __init__(self, X: Any, columns: ArrayLike) -> None:
        table = np.asarray(columns, np.float64)
        table = table[:, None] if table.ndim == 1 else table
        if table.ndim != 2 or len(table) != len(X):
            raise ShapeError(f"{len(X)} architectures, but numbers of shape {table.shape}")
        if np.isinf(table).any():
            raise ShapeError("a number beside an architecture is infinite; NaN says unknown")
        self.X = X.values if isinstance(X, TabularFeatures) else X
        self.columns: NDArray[np.float64] = table

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, rows: Any) -> Joined:
        """Some of the rows, by number or as a mask."""
        if isinstance(rows, tuple):  # scikit-learn asks for [rows, ...]
            rows = rows[0]
        index = np.atleast_1d(np.arange(len(self))[rows])
        X = self.X[index] if isinstance(self.X, np.ndarray) else [self.X[i] for i in index]
        return Joined(X, self.columns[index])

    @property
    def shape(self) -> tuple[int, int]:
        """(n, E), what scikit-learn counts rows by."""
        return self.columns.shape[0], self.columns.shape[1]
