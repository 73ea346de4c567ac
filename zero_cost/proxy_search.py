"""Search with a forecast: a Gaussian process from scores and features to the objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast.encoders.errors import ShapeError
from archcast.zero_cost._ask_tell import ProxyGuided, SearchResult, run
from archcast.zero_cost._gaussian_process import GaussianProcess
from archcast.zero_cost.aggregate import average_ranks, rank_aggregate

__all__ = ["ProxySearch", "SearchResult", "proxy_search"]

FloatArray = NDArray[np.float64]
#: Measurements before the first forecast.
START: Final = 5
#: The linear kernel's part of the prior variance.
_LINEAR: Final = 0.3
#: Inputs are rotated to this share of their variance, in at most so many directions.
_VARIANCE, _DIRECTIONS = 0.99, 40
_erf = np.frompyfunc(math.erf, 1, 1)


class ProxySearch(ProxyGuided):
    """Bayesian optimisation of the objective itself, over what is known without training.

    RoBoT learns k weights and forgets, of each measurement, everything but its value at one
    weighting. Here every measurement teaches a Gaussian process what the objective is at all N
    architectures, as a function of their scores and of any other features, and the one with the
    largest expected improvement is measured next. The first five are not forecast: three come
    from the top of the scores' rank aggregate, two at random from its upper half, so that scores
    that mislead are noticed.

    Inputs enter by their rank (as normal scores, the median where missing), so that scale,
    outliers and skew do not matter; labels likewise, so that a diverged training does not drown
    what separates the good ones. Inputs of equal ranks are one input, the rest is rotated to its
    principal components. How much the scores count beside the features, however many these are,
    is chosen with the process's other settings, by their likelihood.

    Args:
        scores: k names -> (N,) scores, higher is better, NaN where not applicable.
        budget: measurements, at most.
        seed: of the random numbers.
        features: (N, d) further numbers known of each architecture, of any sign and scale, NaN
            where missing; they do not take part in the aggregate.

    Raises:
        InvalidSettingError: a setting makes no sense.
        ShapeError: scores or features of different lengths.

    Reference:
        Expected improvement: Jones, Schonlau & Welch, Efficient Global Optimization of Expensive
        Black-Box Functions, Journal of Global Optimization 1998.
    """

    def __init__(
        self,
        scores: Mapping[str, ArrayLike],
        budget: int,
        seed: int = 0,
        *,
        features: ArrayLike | None = None,
    ) -> None:
        super().__init__(scores, budget, seed)
        blocks = [self._table]
        if features is not None:
            more = np.asarray(features, np.float64)
            if more.ndim != 2 or len(more) != len(self._table):
                raise ShapeError(f"features have shape ({len(self._table)}, d), not {more.shape}")
            blocks.append(more)
        self._inputs = [_rotated(_normal_scores(block)) for block in blocks]
        self._first = self._opening()

    def forecast(self) -> tuple[FloatArray, FloatArray]:
        """What the measurements so far say of all architectures.

        Returns:
            (N,) means and (N,) standard deviations of the objective's normal score among what
            was measured: 0 is the median of the measured, higher is better.

        Raises:
            InvalidSettingError: nothing was measured yet.
        """
        self.result()
        measured = [block[list(self._values)] for block in self._inputs]
        process = GaussianProcess(_LINEAR).fit(measured, self._labels())
        return process.predict(self._inputs)

    def _next(self) -> int:
        for index in self._first:
            if index not in self._values:
                return index
        mean, std = self.forecast()
        measured = list(self._values)
        # What is to be beaten is the best label, though part of it is luck: to aim at the best
        # forecast instead would stop exploring sooner.
        gain = _expected_improvement(mean, std, float(self._labels().max()))
        gain[measured] = -np.inf
        return int(gain.argmax())

    def _labels(self) -> FloatArray:
        return _normal_scores(np.array(list(self._worth().values()))[:, None])[:, 0]

    def _opening(self) -> list[int]:
        rng = np.random.default_rng([self.seed])
        table = dict(zip(self.names, self._table.T, strict=True))
        merit = rank_aggregate(table) if not np.isnan(self._table).all() else rng.random(len(table))
        order = np.lexsort((rng.random(len(merit)), -merit))
        top = (START + 1) // 2
        upper = order[top : max(len(order) // 2, START)]
        some = rng.choice(upper, min(START - top, len(upper)), replace=False)
        return [int(i) for i in (*order[:top], *some)]


def proxy_search(
    scores: Mapping[str, ArrayLike],
    objective: Callable[[int], float],
    budget: int,
    *,
    seed: int = 0,
    features: ArrayLike | None = None,
) -> SearchResult:
    """Search with :class:`ProxySearch` from start to end.

    Args:
        scores: k names -> (N,) scores, higher is better, NaN where not applicable.
        objective: index of an architecture -> its value, higher is better; called at most
            ``budget`` times, never twice for one architecture.
        budget: measurements, at most.
        seed: of the random numbers.
        features: (N, d) further numbers known of each architecture.

    Returns:
        The best architecture measured, and all measurements.

    Raises:
        InvalidSettingError: a setting makes no sense.
        ShapeError: scores or features of different lengths.
    """
    return run(ProxySearch(scores, budget, seed, features=features), objective)


def _normal_scores(table: FloatArray) -> FloatArray:
    """Each column by its ranks as normal quantiles; missing values at the median."""
    found = np.zeros(table.shape)
    for at, column in enumerate(table.T):
        known = ~np.isnan(column)
        if not known.any():
            continue
        # Ranks are halves: one quantile for each of them serves all ties.
        twice = np.rint(2 * average_ranks(column[known])).astype(int)
        share = (np.arange(2 * known.sum() + 1) - 1) / (2 * known.sum())
        distinct, back = np.unique(twice, return_inverse=True)
        quantiles = np.array([NormalDist().inv_cdf(share[i]) for i in distinct])
        found[known, at] = quantiles[back]
    return found


def _rotated(table: FloatArray) -> FloatArray:
    """Principal components of the distinct, standardised columns, rows of mean square one."""
    spread = table.std(0)
    table = (table - table.mean(0))[:, spread > 1e-9] / spread[spread > 1e-9]
    table = np.unique(table.round(6), axis=1)
    if not table.size:
        return np.zeros((len(table), 1))
    power, axes = np.linalg.eigh(table.T @ table / len(table))
    power, axes = power[::-1], axes[:, ::-1]
    enough = int(np.searchsorted(np.cumsum(power) / power.sum(), _VARIANCE)) + 1
    rotated = table @ axes[:, : min(enough, _DIRECTIONS)]
    return rotated / np.sqrt((rotated**2).sum(1).mean())


def _expected_improvement(mean: FloatArray, std: FloatArray, best: float) -> FloatArray:
    width = np.maximum(std, 1e-12)
    z = (mean - best) / width
    below = 0.5 * (1 + np.asarray(_erf(z / math.sqrt(2)), np.float64))
    return width * (z * below + np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi))
