"""What measurements say beyond a prior: an offset, a slope, and a smooth rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import NormalDist
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from archcast.predictors._kernel import matern

FloatArray = NDArray[np.float64]

#: Tried by their evidence: inverse length scale, for distances that are about 1 in the mean,
#: variance of the smooth rest, of the prior's slope, and of the noise, all next to the labels'
#: variance.
_RATES: Final = (0.3, 0.6, 1.2)
LOCALS: Final = (0.03, 0.3, 1.0)
_TRUST: Final = (0.05, 1.0)
_NOISES: Final = (0.01, 0.1, 0.5)
#: Standard deviation of the offset, and weight in labels of the belief that the scale is right.
_OFFSET: Final = 2.0
_BELIEF: Final = 2.0
#: Degrees of freedom that choosing the shape takes; labels from which on residuals speak.
_CHOSEN: Final = 2
_ENOUGH: Final = 8


class Shape(NamedTuple):
    """What a correction may consist of.

    Attributes:
        rate: inverse length scale of the smooth rest.
        local: its variance.
        trust: variance of the slope.
        noise: variance of what is different at each measurement.
    """

    rate: float
    local: float
    trust: float
    noise: float


@dataclass(frozen=True, eq=False)
class Correction:
    """``offset + slope * prior(x) + g(x) + noise``, a Gaussian process on what the prior missed.

    Attributes:
        shape: of the process.
        variance: its scale.
        inverse: (n, n) inverse covariance of the measured, without the scale.
        weights: (n,) of the measured.
        prior: (n,) prior forecasts of the measured.
        missed: (n,) leave-one-out residuals in claimed standard deviations, ascending.

    Reference:
        Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, sections 2.7, 5.4;
        Vovk, "Cross-conformal predictors", Annals of Mathematics and AI 2015, for the intervals.
    """

    shape: Shape
    variance: float
    inverse: FloatArray
    weights: FloatArray
    prior: FloatArray
    missed: FloatArray

    @classmethod
    def fit(cls, near: FloatArray, prior: FloatArray, rest: FloatArray, shape: Shape) -> Self:
        """Learn from n measurements.

        Args:
            near: (n, n) distances between them, about 1 in the mean.
            prior: (n,) prior forecasts.
            rest: (n,) what the prior missed, on a scale where labels have variance one.
            shape: of the process; see :func:`likeliest`.
        """
        count = len(rest)
        covariance = _covariance(shape, near, prior, prior)
        inverse = np.asarray(np.linalg.inv(covariance + shape.noise * np.eye(count)), np.float64)
        weights = inverse @ rest
        variance = float(rest @ weights + _BELIEF) / (count + _BELIEF)
        claimed = np.sqrt(variance * np.maximum(np.diag(inverse), 1e-12))
        missed = np.sort(np.abs(weights) / claimed)
        # The shape was chosen on the same labels, so their residuals are a little too small.
        missed = missed * np.sqrt(count / max(count - _CHOSEN, 1))
        return cls(shape, variance, inverse, weights, prior, missed)

    def predict(self, near: FloatArray, prior: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Expected rest of m architectures, and its standard deviation without the noise.

        Args:
            near: (m, n) distances to the measured.
            prior: (m,) prior forecasts.

        Returns:
            (m,) means, to be added to the prior, and (m,) standard deviations.
        """
        cross = _covariance(self.shape, near, prior, self.prior)
        own = _OFFSET**2 + self.shape.trust * prior**2 + self.shape.local
        left = own - ((cross @ self.inverse) * cross).sum(1)
        return cross @ self.weights, np.sqrt(self.variance * np.maximum(left, 0.0))

    def beside(self, near: FloatArray, prior: FloatArray) -> Self:
        """The same correction had q more been measured to be what is expected of them.

        Args:
            near: (n + q, n + q) distances, the measured first.
            prior: (n + q,) prior forecasts.
        """
        covariance = _covariance(self.shape, near, prior, prior)
        inverse = np.linalg.inv(covariance + self.shape.noise * np.eye(len(prior)))
        return replace(self, inverse=inverse, prior=prior, weights=np.zeros(len(prior)))

    @property
    def noise(self) -> float:
        """Standard deviation of what is different at each measurement."""
        return float(np.sqrt(self.variance * self.shape.noise))

    @property
    def offset(self) -> float:
        """Standard deviation of the offset, had nothing been measured."""
        return float(np.sqrt(self.variance)) * _OFFSET

    @property
    def widening(self) -> float:
        """What claimed standard deviations were too small by at the measured, or too large."""
        return 1.0 if len(self.missed) < _ENOUGH else float(np.sqrt((self.missed**2).mean()))

    def step(self, level: float) -> float:
        """Claimed standard deviations (noise included) above the mean that a quantile lies.

        From eight measurements on it is a quantile of their own leave-one-out residuals; with
        fewer a rough guess, of Student's t distribution.
        """
        normal = NormalDist().inv_cdf(level)
        count = len(self.missed)
        if count < _ENOUGH:
            return student(level, max(count - 1, 1))
        inside = abs(2 * level - 1)
        ranks = np.arange(1, count + 1) / (count + 1)
        if inside > ranks[-1]:  # rarer than any label can tell: as a normal tail goes on
            last = NormalDist().inv_cdf((1 + float(ranks[-1])) / 2)
            return float(self.missed[-1] * normal / last)
        width = float(np.interp(inside, [0.0, *ranks], [0.0, *self.missed]))
        return width if normal > 0 else -width


def likeliest(
    near: FloatArray,
    prior: FloatArray,
    rest: FloatArray,
    locals_: Sequence[float] = LOCALS,
) -> Shape:
    """The shape under which n measurements are likeliest, of 18 for each variance of the rest.

    Args:
        near: (n, n) distances.
        prior: (n,) prior forecasts.
        rest: (n,) what the prior missed.
        locals_: variances of the smooth rest to choose from.
    """
    best, found = -np.inf, Shape(_RATES[1], locals_[-1], _TRUST[1], _NOISES[1])
    count = len(rest)
    linear = np.multiply.outer(prior, prior)
    for rate in _RATES:
        smooth = matern(near, rate)
        for local, trust, noise in product(locals_, _TRUST, _NOISES):
            covariance = _OFFSET**2 + trust * linear + local * smooth
            covariance[np.diag_indices(count)] += noise
            lower = np.linalg.cholesky(covariance)
            white = np.linalg.solve(lower, rest)
            # The scale's own distribution is integrated out, the belief worth a few labels.
            variance = (white @ white + _BELIEF) / (count + _BELIEF)
            evidence = -np.log(np.diag(lower)).sum() - (count + _BELIEF) / 2 * np.log(variance)
            if evidence > best:
                best, found = evidence, Shape(rate, local, trust, noise)
    return found


def _covariance(shape: Shape, near: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """(m, n) covariance of m and n architectures at these distances, noise left out."""
    slope = shape.trust * np.multiply.outer(a, b)
    return _OFFSET**2 + slope + shape.local * matern(near, shape.rate)


def student(level: float, freedom: int) -> float:
    """Quantile of Student's t distribution.

    Reference:
        Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964, 26.7.5; exact for one
        and two degrees of freedom.
    """
    if freedom == 1:
        return math.tan(math.pi * (level - 0.5))
    if freedom == 2:
        side = 2 * level - 1
        return side * math.sqrt(2 / (1 - side * side))
    z = NormalDist().inv_cdf(level)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))
