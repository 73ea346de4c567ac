"""A fitted predictor, corrected by a few labels of a new space."""

from __future__ import annotations

from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast import _transforms
from archcast._transforms import Transform
from archcast.encoders.errors import InvalidLabelsError
from archcast.encoders.graph import ComputeGraph
from archcast.predictors._correction import Correction, Shape, likeliest
from archcast.predictors._encoding import Encoding, encode
from archcast.predictors._joined import Joined
from archcast.predictors._kernel import Scaler, distances
from archcast.predictors._protocol import Predictor, State

FloatArray = NDArray[np.float64]
#: Labels from which on it is known how far apart they are.
TELLING: Final = 3


class AdaptedPredictor(Predictor):
    """``base(x) + offset + slope * base(x) + g(x)``, all but the base a Gaussian process.

    The offset and the slope say how the new space differs as a whole; ``g`` is a Matérn process on
    the tabular features. How much each may contribute is what makes the labels likeliest. The
    offset is that of networks like the labelled: intervals of others are as wide as if it were
    not known.

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
        self.scaler_ = Scaler.fit(x)
        self.support_ = self.scaler_.apply(x)
        self.level_ = float(prior.mean())
        near, centred = distances(self.support_, self.support_), prior - self.level_
        shape = likeliest(near, centred, rest)
        self.correction_ = Correction.fit(near, centred, rest, shape)

    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        prior, found = self._prior(X), self.correction_
        near = distances(self.scaler_.apply(_features(X)), self.support_)
        rest, std = found.predict(near, prior - self.level_)
        std = np.hypot(np.hypot(std, found.noise), found.offset * self._estranged(near))
        return prior + rest, std * found.widening

    def _estranged(self, near: FloatArray) -> FloatArray:
        """How much of what labels say of the level does not carry over to networks unlike them.

        The level of one space tells little of that of another: it is unknown again where a network
        is much farther from all labelled ones than any of these is from the others.

        Args:
            near: (m, n) distances to the labelled.

        Returns:
            (m,) from 0, as near as the labelled are to each other, to 1.
        """
        if len(self.support_) < TELLING:
            return np.zeros(len(near))
        usual = float(self.lone().max())
        beyond = np.maximum(near.min(1) / max(usual, 1e-9) - 1, 0.0)
        return 1 - np.exp(-beyond)

    def lone(self) -> FloatArray:
        """(n,) distance of each labelled network to the nearest other."""
        apart = distances(self.support_, self.support_)
        np.fill_diagonal(apart, np.inf)
        return apart.min(1)

    def quantiles(self, X: Any, levels: ArrayLike) -> FloatArray:
        """Quantiles of what is forecast, see :meth:`Predictor.quantiles`.

        From eight labels on they are those of the labels' own leave-one-out residuals, which makes
        a central interval hold a new network of the same population as often as it says. With
        fewer they are a rough guess, of Student's t distribution.
        """
        centre, half = self._moments(X)
        found = self.correction_
        steps = [found.step(level) for level in np.asarray(levels, np.float64).tolist()]
        half = half / found.widening
        return _transforms.backward(self.transform, centre + np.multiply.outer(steps, half))

    def _state(self) -> State:
        found = self.correction_
        arrays = {
            "adapted.centre": self.scaler_.centre,
            "adapted.scale": self.scaler_.scale,
            "adapted.support": self.support_,
            "adapted.prior": found.prior + self.level_,
            "adapted.inverse": found.inverse,
            "adapted.weights": found.weights,
            "adapted.missed": found.missed,
        }
        facts = {"shape": list(found.shape), "variance": found.variance, "level": self.level_}
        return State(arrays, facts)

    def _restore(self, state: State) -> None:
        arrays, facts = state.arrays, state.facts
        self.scaler_ = Scaler(arrays["adapted.centre"], arrays["adapted.scale"])
        self.support_, self.level_ = arrays["adapted.support"], facts["level"]
        self.correction_ = Correction(
            Shape(*facts["shape"]),
            facts["variance"],
            arrays["adapted.inverse"],
            arrays["adapted.weights"],
            arrays["adapted.prior"] - self.level_,
            arrays["adapted.missed"],
        )


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
