"""Bayesian linear regression on tabular features."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast._transforms import Transform
from archcast.predictors._evidence import LinearPosterior
from archcast.predictors._kernel import Scaler
from archcast.predictors._protocol import Predictor, State

__all__ = ["BayesianLinearPredictor"]

FloatArray = NDArray[np.float64]


class BayesianLinearPredictor(Predictor):
    """``y = wᵀ z(features) + noise, w ~ N(0, I / alpha), noise ~ N(0, 1 / beta)``, in closed form.

    ``alpha`` and ``beta`` maximise the evidence of the labels. The standard deviation has both
    parts, of the weights (it grows away from the labelled architectures) and of the noise.

    Args:
        transform: scale of the targets: ``identity``, ``logit`` (percentages) or ``log``.
        seed: nothing here is random; taken because every predictor has one.

    Reference:
        MacKay, "Bayesian Interpolation", Neural Computation 1992.
    """

    kind = "bayesian-linear"

    def __init__(self, transform: Transform = "identity", seed: int = 0) -> None:
        self.transform: Transform = transform
        self.seed = seed

    def _fit(self, X: NDArray[np.float32], y: FloatArray, groups: Any) -> None:
        self.scaler_ = Scaler.fit(X)
        z = self.scaler_.apply(X).astype(np.float64)
        self.middle_ = z.mean(0)
        self.posterior_ = LinearPosterior.fit(z - self.middle_, y)

    def _predict(self, X: NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
        return self.posterior_.predict(self.scaler_.apply(X).astype(np.float64) - self.middle_)

    def _state(self) -> State:
        scale = {
            "scaler.centre": self.scaler_.centre,
            "scaler.scale": self.scaler_.scale,
            "middle": self.middle_,
        }
        return State(scale | self.posterior_.arrays())

    def _restore(self, state: State) -> None:
        arrays = state.arrays
        self.scaler_ = Scaler(arrays["scaler.centre"], arrays["scaler.scale"])
        self.middle_ = arrays["middle"]
        self.posterior_ = LinearPosterior.from_arrays(arrays)
