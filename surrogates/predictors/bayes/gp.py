"""A Gaussian process on tabular features, or on what another predictor has learned to see."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast._transforms import Transform
from archcast.encoders.errors import InvalidSettingError
from archcast.predictors._encoding import Encoding, take
from archcast.predictors._kernel import Scaler
from archcast.predictors._nested import template
from archcast.predictors._protocol import Predictor, State
from archcast.predictors.bayes._exact import ExactProcess, some
from archcast.predictors.bayes._relevance import Kernel, covariance, squares, tune
from archcast.predictors.storage import pack, unpack

FloatArray = NDArray[np.float64]


class GaussianProcessPredictor(ExactProcess):
    """``f ~ GP(0, s² k(d))``, ``d² = Σ_g w_g mean_{j in g} (x_j - x'_j)²``, g families of columns.

    One length scale a family (sizes, counts, widths, stages, ends, topology, pairs, paths) stands
    between one for all and one a column, which a few labels cannot tell. Length scales and noise
    maximise the marginal likelihood; the signal's variance has a closed form.

    Args:
        base: a predictor with a method ``embed``, whose (n, D) embeddings are compared in place of
            features, or the name of one; it is fitted first, unless it is already. None for
            features.
        options: keywords of the base's constructor.
        kernel: ``rbf`` or ``matern`` (smoothness 3/2).
        limit: most architectures that are conditioned on (their number cubed is the cost); of
            more, a random part.
        tuning: most architectures that the hyper-parameters are chosen on.
        transform: scale of the targets.
        seed: draws the parts.

    Reference:
        Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, chapters 2, 5; on
        embeddings: Wilson et al., "Deep Kernel Learning", AISTATS 2016 (here the two are fitted
        one after the other).
    """

    kind = "gp"

    def __init__(
        self,
        base: Predictor | str | None = None,
        options: dict[str, Any] | None = None,
        kernel: Kernel = "rbf",
        limit: int = 3000,
        tuning: int = 500,
        transform: Transform = "identity",
        seed: int = 0,
    ) -> None:
        self.base = base
        self.options = options
        self.kernel: Kernel = kernel
        self.limit = limit
        self.tuning = tuning
        self.transform: Transform = transform
        self.seed = seed

    @property
    def encoding(self) -> Encoding:
        """What the base sees; tabular features without one."""
        if self.base is None:
            return "tabular"
        return template(self.base, self.options, self.transform).encoding

    def _fit(self, X: Any, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        self.base_ = self._fitted_base(X, y, groups)
        kept = some(len(y), self.limit, self.seed)
        x = self._columns(take(X, kept))
        self.scaler_ = Scaler.fit(x)
        z = self.scaler_.apply(x)
        self.families_ = _families(x.shape[1])
        part = some(len(kept), self.tuning, self.seed + 1)
        found = tune(squares(z[part], self.families_), y[kept][part], self.kernel)
        sizes = np.bincount(self.families_[z[part].std(0) > 0], minlength=len(found.rates))
        self.stretch_ = np.sqrt(found.rates / np.maximum(sizes, 1))[self.families_]
        self._condition(z * self.stretch_, y[kept], found.noise, found.variance)

    def _fitted_base(
        self, X: Any, y: FloatArray, groups: NDArray[np.intp] | None
    ) -> Predictor | None:
        if self.base is None:
            return None
        known = isinstance(self.base, Predictor) and hasattr(self.base, "centre_")
        base = self.base if known else template(self.base, self.options, self.transform)
        assert isinstance(base, Predictor)
        if not hasattr(base, "embed"):
            raise InvalidSettingError(f"{type(base).__name__} has no embeddings")
        return base if known else base.fit(X, y, groups=groups)

    def _columns(self, X: Any) -> NDArray[np.float32]:
        if self.base_ is None:
            return X
        embedded: Any = self.base_
        return np.asarray(embedded.embed(X), np.float32)

    def _represent(self, X: Any) -> FloatArray:
        return self.scaler_.apply(self._columns(X)) * self.stretch_

    def _kernel(self, a: FloatArray, b: FloatArray) -> FloatArray:
        square = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * (a @ b.T)
        return covariance(np.maximum(square, 0), self.kernel)

    def _state(self) -> State:
        state = self._process_state()
        packed, arrays = pack(self.base_, "base_/") if self.base_ is not None else (None, {})
        arrays |= state.arrays | {
            "rows": self.rows_,
            "stretch": self.stretch_,
            "scaler.centre": self.scaler_.centre,
            "scaler.scale": self.scaler_.scale,
        }
        return State(arrays, state.facts | {"base": packed})

    def _restore(self, state: State) -> None:
        arrays, packed = state.arrays, state.facts["base"]
        self.base_ = None if packed is None else unpack(packed, arrays, "base_/")
        self.scaler_ = Scaler(arrays["scaler.centre"], arrays["scaler.scale"])
        self.stretch_ = arrays["stretch"]
        self._restore_process(arrays["rows"], state)


def _families(columns: int) -> NDArray[np.intp]:
    """(F,) number of each column's family; one for columns that are not our own."""
    from archcast.encoders.tabular import feature_families

    names = feature_families()
    if columns != len(names):
        return np.zeros(columns, np.intp)
    return np.unique(names, return_inverse=True)[1].reshape(-1)
