"""Latency over architectures, for several devices at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.tabular import feature_names
from archcast.predictors._kernel import Scaler, distances, matern

FloatArray = NDArray[np.float64]

_RATES: Final = (0.15, 0.3, 0.6)
_NOISES: Final = (0.003, 0.01, 0.03, 0.1)
#: Costs are cut off here, in standard deviations: a line goes on, but not forever.
_REACH: Final = 10.0
_RIDGE: Final = 1e-3


@cache
def _cost_names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The kinds of operators whose elements, and whose multiplications the features tell."""
    names = set(feature_names())
    kinds = [name.removeprefix("elements_") for name in feature_names() if "elements_" in name]
    return tuple(kinds), tuple(kind for kind in kinds if f"macs_{kind}" in names)


def costs(x: NDArray[np.float32]) -> FloatArray:
    """What a sum over operators is linear in: their numbers, elements and multiplications by kind.

    Args:
        x: (n, F) tabular features; columns of one's own are costs as they are.

    Returns:
        (n, C) costs.
    """
    names = feature_names()
    if x.shape[1] != len(names):
        return x.astype(np.float64)
    column = dict(zip(names, x.T.astype(np.float64), strict=True))
    written, macs = np.exp2(column["log_written"]) - 1, np.exp2(column["log_macs"]) - 1
    kinds, multiplying = _cost_names()
    found = [np.exp2(column[f"count_{kind}"]) - 1 for kind in kinds]
    found += [column[f"elements_{kind}"] * written for kind in kinds]
    found += [column[f"macs_{kind}"] * macs for kind in multiplying]
    return np.stack(found, 1)


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs on a common scale, those that never varied left out.

    Attributes:
        kept: (K,) column numbers.
        centre: (K,) subtracted.
        scale: (K,) divided by.
    """

    kept: NDArray[np.int64]
    centre: FloatArray
    scale: FloatArray

    @classmethod
    def fit(cls, x: NDArray[np.float32]) -> Costs:
        """Mean and standard deviation of every column that varies."""
        found = costs(x)
        spread = found.std(0)
        kept = np.flatnonzero(spread > 1e-9 * (1 + np.abs(found).max(0)))
        return cls(kept, found[:, kept].mean(0), spread[kept])

    def apply(self, x: NDArray[np.float32]) -> FloatArray:
        """(n, F) features to (n, K) costs."""
        z = (costs(x)[:, self.kept] - self.centre) / self.scale
        return np.clip(z, -_REACH, _REACH)


@dataclass(frozen=True, slots=True)
class Surface:
    """``y_t(x) = Σ_c w_tc cost_c(x) + g_t(x)``: a Gaussian process for each of T devices.

    The devices share the covariance, a linear kernel of the costs and a Matérn kernel of the
    features, so one matrix is inverted for all.

    Attributes:
        scaler: of the features.
        costs: of the costs.
        additive: (K + 1, T) ridge regression on the costs alone, the intercept first.
        support: (m, F) scaled features the kernel compares with.
        priced: (m, K) their costs.
        weights: (m, T) of the support.
        inverse: (m, m) of the covariance.
        variance: (T,) scale of each device's process.
        rate: inverse length scale.
        noise: variance of the noise, relative to the process's.
    """

    scaler: Scaler
    costs: Costs
    additive: FloatArray
    support: FloatArray
    priced: FloatArray
    weights: FloatArray
    inverse: FloatArray
    variance: FloatArray
    rate: float
    noise: float

    @classmethod
    def fit(cls, x: NDArray[np.float32], y: FloatArray, rows: NDArray[np.integer]) -> Surface:
        """Learn (n, F) features and (n, T) targets without gaps, the kernel from some rows.

        Rate and noise are those of least leave-one-out error, which has a closed form.
        """
        scaler, priced = Scaler.fit(x), Costs.fit(x)
        design = np.column_stack([np.ones(len(x)), priced.apply(x)])
        ridge = _RIDGE * len(x) * np.eye(design.shape[1])
        additive = np.linalg.solve(design.T @ design + ridge, design.T @ y)
        support, price, target = scaler.apply(x[rows]), priced.apply(x[rows]), y[rows]
        best = None
        for rate, noise in product(_RATES, _NOISES):
            covariance = _covariance(support, price, support, price, rate)
            inverse = np.asarray(np.linalg.inv(covariance + noise * np.eye(len(rows))), np.float64)
            weights = inverse @ target
            error = float(np.abs(weights / np.diag(inverse)[:, None]).mean())
            if best is None or error < best[0]:
                best = (error, inverse, weights, rate, noise)
        assert best is not None
        _, inverse, weights, rate, noise = best
        variance = (target * weights).mean(0)
        parts = (support, price, weights, inverse, variance, rate, noise)
        return cls(scaler, priced, np.asarray(additive, np.float64), *parts)

    def mean(self, x: NDArray[np.float32]) -> FloatArray:
        """(n, T) means."""
        z, price = self.scaler.apply(x), self.costs.apply(x)
        return _covariance(z, price, self.support, self.priced, self.rate) @ self.weights

    def predict(self, x: NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation, each (n, T)."""
        z, price = self.scaler.apply(x), self.costs.apply(x)
        cross = _covariance(z, price, self.support, self.priced, self.rate)
        own = 2 + (price**2).mean(1) + self.noise if price.shape[1] else 2 + self.noise
        unknown = np.maximum(own - ((cross @ self.inverse) * cross).sum(1), 1e-6)
        return cross @ self.weights, np.sqrt(np.multiply.outer(unknown, self.variance))

    def added(self, x: NDArray[np.float32]) -> FloatArray:
        """(n, T) targets as far as they add up from the costs."""
        return self.additive[0] + self.costs.apply(x) @ self.additive[1:]


def _covariance(
    a: FloatArray, priced_a: FloatArray, b: FloatArray, priced_b: FloatArray, rate: float
) -> FloatArray:
    """(n, m) prior covariance: a level, the costs, and what is smooth in the features."""
    linear = priced_a @ priced_b.T / max(priced_a.shape[1], 1)
    return 1 + linear + matern(distances(a, b), rate)
