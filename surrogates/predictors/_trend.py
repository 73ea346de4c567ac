"""What is true in every search space: a linear trend, learned from differences inside each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from archcast.predictors._experts import Population
from archcast.predictors._kernel import Scaler

FloatArray = NDArray[np.float64]

#: Ridge penalty, in units of the mean variance of a column inside a space, for each space.
_PENALTY: Final = 0.5


@dataclass(frozen=True, slots=True)
class Trend:
    """``(scaled x[columns]) @ slopes``.

    Attributes:
        columns: (K,) columns that are looked at.
        slopes: (K,) slopes per standard deviation.
    """

    columns: NDArray[np.intp]
    slopes: FloatArray

    def predict(self, z: FloatArray) -> FloatArray:
        """(n, F) scaled features to (n,) trends, 0 for average features."""
        return z[:, self.columns] @ self.slopes


@dataclass(frozen=True, slots=True)
class Moments:
    """What a population says about the trend.

    Attributes:
        space: where it belongs.
        square: (K, K) covariance of the columns inside it, of mean variance one.
        cross: (K,) their covariance with the normal scores.
    """

    space: str
    square: FloatArray
    cross: FloatArray


def moments(population: Population, scaler: Scaler, columns: NDArray[np.intp]) -> Moments:
    """Covariances inside one population; constants and levels between spaces drop out."""
    z = scaler.apply(population.x)[:, columns]
    z = z - z.mean(0)
    y = population.y - population.y.mean()
    deviation = max(float(np.sqrt(z.var(0).mean())), 1e-6)
    z = z / deviation
    return Moments(population.space, z.T @ z / len(y), z.T @ y / len(y))


def fit_trend(
    parts: Sequence[Moments], columns: NDArray[np.intp], without: str | None = None
) -> Trend:
    """Ridge regression on differences inside spaces, each space counting as one.

    Args:
        parts: one for each population.
        columns: (K,) columns that they are about.
        without: a space that is left out.

    Reference:
        Hoerl and Kennard, "Ridge Regression", Technometrics 1970; the differences are the
        fixed-effects estimator of panel data (Mundlak, Econometrica 1978).
    """
    used = [part for part in parts if part.space != without] or list(parts)
    spaces = [part.space for part in used]
    weights = [1 / spaces.count(space) for space in spaces]
    square = sum(w * part.square for w, part in zip(weights, used, strict=True))
    cross = sum(w * part.cross for w, part in zip(weights, used, strict=True))
    penalty = _PENALTY * len(set(spaces)) * np.eye(len(columns))
    slopes = np.asarray(np.linalg.solve(square + penalty, cross), np.float64)
    return Trend(columns, slopes)
