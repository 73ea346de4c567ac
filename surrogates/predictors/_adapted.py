"""A fitted predictor, corrected by a few labels of a new space."""

from __future__ import annotations

import math
from itertools import product
from statistics import NormalDist
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast import _transforms
from archcast._transforms import Transform
from archcast.encoders.errors import InvalidLabelsError
from archcast.encoders.graph import ComputeGraph
from archcast.predictors._encoding import Encoding, encode
from archcast.predictors._joined import Joined
from archcast.predictors._kernel import Scaler, distances, matern
from archcast.predictors._protocol import Predictor, State

FloatArray = NDArray[np.float64]

_RATES: Final = (0.3, 0.6, 1.2)
_LOCAL: Final = (0.03, 0.3, 1.0)
_TRUST: Final = (0.05, 1.0)
_NOISES: Final = (0.01, 0.1, 0.5)
#: Prior standard deviation of the new space's offset, on the base's own scale.
_OFFSET: Final = 2.0
#: Weight of the prior belief, in labels, that residuals are as large as the base's spread.
_PRIOR: Final = 2.0
#: Degrees of freedom that choosing the shape of the process takes from the labels.
_CHOSEN: Final = 2
#: Labels from which on their own residuals say how far forecasts miss.
_ENOUGH: Final = 8


class AdaptedPredictor(Predictor):
    """``base(x) + offset + slope * base(x) + g(x)``, all but the base a Gaussian process.

    The offset and the slope say how the new space differs as a whole; ``g`` is a Matérn process on
    the tabular features. How much each may contribute is what makes the labels likeliest.

    Args:
        base: a fitted predictor, of whatever family.

    Reference:
        Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, sections 2.7, 5.4;
        Vovk, "Cross-conformal predictors", Annals of Mathematics and AI 2015, for the intervals.
    """

    kind = "adapted"

    def __init__(self, base: Predictor) -> None:
        self.base = base

    @property
    def transform(self) -> Transform:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Scale of the targets: the base's."""
        return self.base.transform

    @property
    def encoding(self) -> Encoding:
        """What the base sees."""
        return self.base.encoding

    def fit(self, X: Any, y: ArrayLike, *, groups: ArrayLike | None = None) -> Self:
        """Learn the correction from labels of the new space; one is enough.

        Args:
            X: n architectures, as for the base.
            y: (n,) labels in the natural unit, NaN where missing.
            groups: not used.

        Raises:
            NotFittedError: the base has learned nothing yet.
            InvalidLabelsError: no label, or infinite ones.
        """
        self.base._check_fitted()
        data, target, known = self._labelled(X, y)
        if not len(known):
            raise InvalidLabelsError("there is no label to adapt to")
        self.centre_, self.spread_ = self.base.centre_, self.base.spread_
        if getattr(self.base, "unitless", False):
            self.centre_, self.spread_ = target.mean(), _spread(target)
        self.constant_ = np.zeros_like(self.base.constant_)
        prior = self._prior(data)
        self._correct(_features(data), prior, (target - self.centre_) / self.spread_ - prior)
        return self

    def _fit(self, X: Any, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        raise NotImplementedError  # fit() does it all

    def _prior(self, data: Any) -> FloatArray:
        mean = self.base._predict(data)[0]
        return np.where(self.base.constant_, 0.0, mean)

    def _correct(self, x: NDArray[np.float32], prior: FloatArray, rest: FloatArray) -> None:
        """Choose and solve the Gaussian process of the residuals."""
        scaler = Scaler.fit(x)
        z = scaler.apply(x)
        self.level_ = float(prior.mean())
        distance = distances(z, z)
        best = (-np.inf, (0.0, 0.0, 0.0, 0.0), 1.0)
        for rate, local, trust, noise in product(_RATES, _LOCAL, _TRUST, _NOISES):
            covariance = self._covariance(distance, prior, prior, rate, local, trust)
            lower = np.linalg.cholesky(covariance + noise * np.eye(len(rest)))
            white = np.linalg.solve(lower, rest)
            # The scale's own distribution is integrated out, its prior worth a few labels.
            variance = (white @ white + _PRIOR) / (len(rest) + _PRIOR)
            evidence = -np.log(np.diag(lower)).sum() - (len(rest) + _PRIOR) / 2 * np.log(variance)
            if evidence > best[0]:
                best = (evidence, (rate, local, trust, noise), float(variance))
        self.shape_, self.variance_ = best[1], best[2]
        rate, local, trust, noise = self.shape_
        covariance = self._covariance(distance, prior, prior, rate, local, trust)
        self.inverse_ = np.linalg.inv(covariance + noise * np.eye(len(rest)))
        self.weights_ = self.inverse_ @ rest
        # Leave-one-out residuals have a closed form, and so do the variances claimed for them.
        precision = np.diag(self.inverse_)
        missed = np.abs(self.weights_) / np.sqrt(self.variance_ * precision)
        # The shape was chosen on the same labels: about two degrees of freedom.
        self.missed_ = np.sort(missed) * np.sqrt(len(rest) / max(len(rest) - _CHOSEN, 1))
        self.scaler_, self.support_, self.prior_ = scaler, z, prior

    def _covariance(
        self,
        distance: FloatArray,
        a: FloatArray,
        b: FloatArray,
        rate: float,
        local: float,
        trust: float,
    ) -> FloatArray:
        """(n, m) prior covariance of the residuals of n and m architectures."""
        slope = np.multiply.outer(a - self.level_, b - self.level_)
        return _OFFSET**2 + trust * slope + local * matern(distance, rate)

    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        prior = self._prior(X)
        rate, local, trust, noise = self.shape_
        distance = distances(self.scaler_.apply(_features(X)), self.support_)
        cross = self._covariance(distance, prior, self.prior_, rate, local, trust)
        own = _OFFSET**2 + trust * (prior - self.level_) ** 2 + local + noise
        variance = self.variance_ * (own - ((cross @ self.inverse_) * cross).sum(1))
        std = np.sqrt(np.maximum(variance, 0)) * self._widening()
        return prior + cross @ self.weights_, std

    def _widening(self) -> float:
        """What the claimed standard deviation was too small by, or too large, at the labels."""
        if len(self.missed_) < _ENOUGH:
            return 1.0
        return float(np.sqrt((self.missed_**2).mean()))

    def quantiles(self, X: Any, levels: ArrayLike) -> FloatArray:
        """Quantiles of what is forecast, see :meth:`Predictor.quantiles`.

        From eight labels on they are those of the labels' own leave-one-out residuals, which makes
        a central interval hold a new network of the same population as often as it says. With
        fewer they are a rough guess, of Student's t distribution.
        """
        centre, half = self._moments(X)
        steps = [self._step(level) for level in np.asarray(levels, np.float64).tolist()]
        half = half / self._widening()
        return _transforms.backward(self.transform, centre + np.multiply.outer(steps, half))

    def _step(self, level: float) -> float:
        """How many claimed standard deviations above the mean a quantile lies."""
        normal = NormalDist().inv_cdf(level)
        count = len(self.missed_)
        if count < _ENOUGH:  # the size of the error is hardly known, either
            return student(level, max(count - 1, 1))
        inside = abs(2 * level - 1)  # of so many networks the error is smaller
        ranks = np.arange(1, count + 1) / (count + 1)
        if inside > ranks[-1]:  # rarer than any label can tell: as a normal tail goes on
            last = NormalDist().inv_cdf((1 + float(ranks[-1])) / 2)
            return float(self.missed_[-1] * normal / last)
        width = float(np.interp(inside, [0.0, *ranks], [0.0, *self.missed_]))
        return width if normal > 0 else -width

    def _state(self) -> State:
        arrays = {
            "adapted.centre": self.scaler_.centre,
            "adapted.scale": self.scaler_.scale,
            "adapted.support": self.support_,
            "adapted.prior": self.prior_,
            "adapted.inverse": self.inverse_,
            "adapted.weights": self.weights_,
            "adapted.missed": self.missed_,
        }
        facts = {"shape": self.shape_, "variance": self.variance_, "level": self.level_}
        return State(arrays, facts)

    def _restore(self, state: State) -> None:
        arrays, facts = state.arrays, state.facts
        self.scaler_ = Scaler(arrays["adapted.centre"], arrays["adapted.scale"])
        self.support_, self.prior_ = arrays["adapted.support"], arrays["adapted.prior"]
        self.inverse_, self.weights_ = arrays["adapted.inverse"], arrays["adapted.weights"]
        self.missed_ = arrays["adapted.missed"]
        self.shape_ = tuple(facts["shape"])
        self.variance_, self.level_ = facts["variance"], facts["level"]


def _features(data: Any) -> NDArray[np.float32]:
    """(n, F) tabular features, nothing beside them; one constant of texts, which have none."""
    if isinstance(data, Joined):
        return data.X
    if isinstance(data, list) and not all(isinstance(item, ComputeGraph) for item in data):
        return np.zeros((len(data), 1), np.float32)
    return encode(data, "tabular")


def _spread(target: FloatArray) -> FloatArray:
    """Standard deviation of labels in a unit unknown before; never zero."""
    spread = float(target.std())
    return np.asarray(spread if spread > 0 else max(0.1 * float(np.abs(target).max()), 1e-9))


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
