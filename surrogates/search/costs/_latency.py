"""A device's latency or energy: operator costs that add up, and what known networks correct."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from archcast.search.costs._operators import AMOUNTS

FloatArray = NDArray[np.float64]

_RATES: Final = (0.6, 1.2, 2.4)
_NOISES: Final = (0.003, 0.03, 0.3)
#: Networks of a space that the correction compares with.
_SUPPORT: Final = 500
#: Least share of the whole that an amount is taken to cost before its kinds are told apart.
_LITTLE: Final = 0.01
#: Pull of the common prices to zero, and of each kind's to the common ones.
_RIDGE: Final = 1e-6
_PULL: Final = 1e-4
_SWEEPS: Final = 400
_CLOSE: Final = 1e-7
#: A value below this share of its space's median is a network that does next to nothing.
_LEAST: Final = 0.05
_REACH: Final = 6.0


@dataclass(frozen=True, slots=True)
class Device:
    """``y(x) = (Σ_k price_k cost_k(x)) * exp(correction(x))``.

    Prices of operators are not negative, so the sum goes on sensibly to networks of any size. The
    correction is a Gaussian process of the logarithm; it vanishes away from known networks.

    Attributes:
        prices: (K + 1,) of a network and of its operator costs.
        centre: (C,) of the logarithms of the costs.
        scale: (C,) of them; 0 where a cost never varies.
        support: (m, K) scaled logarithms of known networks.
        weights: (m,) of the correction.
        rate: inverse length scale of the correction.

    Reference:
        Prices that add up over operators: Cai, Zhu and Han, "ProxylessNAS: Direct Neural
        Architecture Search on Target Task and Hardware", ICLR 2019; the regression is that of
        Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, chapter 2.
    """

    prices: FloatArray
    centre: FloatArray
    scale: FloatArray
    support: FloatArray
    weights: FloatArray
    rate: float

    @classmethod
    def fit(cls, known: Mapping[str, tuple[FloatArray, FloatArray]], seed: int = 0) -> Device:
        """Learn a device.

        Args:
            known: space -> (n, K) operator costs of its networks and (n,) positive values.
            seed: draws the networks that the correction compares with.
        """
        costs = np.concatenate([x for x, _ in known.values()])
        values = np.concatenate([floored(y) for _, y in known.values()])
        shares = np.concatenate([np.full(len(y), 1 / len(y)) for _, y in known.values()])
        prices = _prices(costs, values, shares)
        logs = np.log1p(costs)
        centre, spread = logs.mean(0), logs.std(0)
        scale = np.where(spread > 1e-9, 1 / np.maximum(spread, 1e-9), 0.0)
        rest = np.log(values) - np.log(_added(costs, prices))
        rows = _support([len(y) for _, y in known.values()], seed)
        support = _scaled(logs[rows], centre, scale)
        rate, weights = _correct(support, rest[rows])
        return cls(prices, centre, scale, support, weights, rate)

    def predict(self, costs: FloatArray) -> FloatArray:
        """(n, K) operator costs to (n,) values."""
        z = _scaled(np.log1p(costs), self.centre, self.scale)
        correction = _matern(_distances(z, self.support), self.rate) @ self.weights
        return _added(costs, self.prices) * np.exp(np.clip(correction, -2, 2))

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """As named arrays, the inverse of :meth:`from_arrays`."""
        names = ("prices", "centre", "scale", "support", "weights")
        found = {name: np.ascontiguousarray(getattr(self, name)) for name in names}
        return found | {"rate": np.array([self.rate])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, FloatArray]) -> Device:
        """Rebuild what :meth:`arrays` gave."""
        names = ("prices", "centre", "scale", "support", "weights")
        return cls(**{name: arrays[name] for name in names}, rate=float(arrays["rate"][0]))


def floored(values: FloatArray) -> FloatArray:
    """(n,) values, those of networks that do next to nothing raised to what still matters."""
    return np.maximum(values, _LEAST * float(np.median(values)))


def _added(costs: FloatArray, prices: FloatArray) -> FloatArray:
    return np.maximum(prices[0] + costs @ prices[1:], 1e-12)


def _prices(costs: FloatArray, values: FloatArray, shares: FloatArray) -> FloatArray:
    """(K + 1,) prices of least squared relative error, none negative.

    What an operation, an element or a weight costs on average is found first, whatever the kind
    of operator; each kind's own prices are then pulled towards these, so that kinds which known
    networks hardly differ in have a price, too.

    Args:
        costs: (n, K) operator costs.
        values: (n,) what was measured.
        shares: (n,) weights of the networks.
    """
    weight = np.sqrt(shares / shares.sum())
    whole = costs.reshape(len(costs), -1, len(AMOUNTS)).sum(1)
    plain = np.column_stack([np.ones(len(costs)), whole])
    usual = values.mean() / np.maximum(plain.mean(0), 1e-12)
    share = _least_squares(plain * usual, values, weight, 0.0, _RIDGE)
    common = usual * np.maximum(share, _LITTLE)
    each = np.append(common[0], np.tile(common[1:], costs.shape[1] // len(AMOUNTS)))
    design = np.column_stack([np.ones(len(costs)), costs]) * each
    return each * _least_squares(design, values, weight, 1.0, _PULL)


def _least_squares(
    design: FloatArray, values: FloatArray, weight: FloatArray, prior: float, pull: float
) -> FloatArray:
    """Non-negative factors of the columns, pulled to a prior, by cyclic coordinate descent.

    Reference:
        Franc, Hlaváč and Navara, "Sequential Coordinate-Wise Algorithm for the Non-negative Least
        Squares Problem", CAIP 2005.
    """
    scaled = design * (weight / values)[:, None]
    square = scaled.T @ scaled + pull * np.eye(design.shape[1])
    cross = scaled.T @ weight + pull * prior
    found = np.full(design.shape[1], prior)
    for _ in range(_SWEEPS):
        before = found.copy()
        for k in range(len(found)):
            step = (cross[k] - square[k] @ found) / square[k, k]
            found[k] = max(found[k] + step, 0.0)
        if np.abs(found - before).max() < _CLOSE:
            break
    return found


def _support(lengths: Sequence[int], seed: int) -> NDArray[np.intp]:
    rng, start, found = np.random.default_rng(seed), 0, []
    for length in lengths:
        found.append(start + np.sort(rng.permutation(length)[:_SUPPORT]))
        start += length
    return np.concatenate(found)


def _scaled(logs: FloatArray, centre: FloatArray, scale: FloatArray) -> FloatArray:
    return np.clip((logs - centre) * scale, -_REACH, _REACH)


def _distances(a: FloatArray, b: FloatArray) -> FloatArray:
    """Root-mean-square differences: (n, C) and (m, C) to (n, m)."""
    square = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * (a @ b.T)
    return np.sqrt(np.maximum(square, 0) / a.shape[1])


def _matern(distance: FloatArray, rate: float) -> FloatArray:
    """Matérn kernel of smoothness 3/2."""
    r = np.sqrt(3.0) * rate * distance
    return (1 + r) * np.exp(-r)


def _correct(z: FloatArray, rest: FloatArray) -> tuple[float, FloatArray]:
    """Rate and weights of least leave-one-out error, which has a closed form."""
    distance = _distances(z, z)
    best = (np.inf, _RATES[0], np.zeros(len(z)))
    for rate, noise in product(_RATES, _NOISES):
        inverse = np.linalg.inv(_matern(distance, rate) + noise * np.eye(len(z)))
        weights = inverse @ rest
        error = float(np.abs(weights / np.diag(inverse)).mean())
        if error < best[0]:
            best = (error, rate, np.asarray(weights, np.float64))
    return best[1], best[2]
