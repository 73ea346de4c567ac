"""BANANAS: path encoding, an ensemble of small dense nets, a loss for good architectures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast._transforms import Transform
from archcast.encoders.errors import InvalidSettingError
from archcast.predictors._encoding import Encoding
from archcast.predictors._protocol import State
from archcast.predictors.bayes._dense import Nets, Schedule, train
from archcast.predictors.bayes._paths import indicators, path_counts, vocabulary
from archcast.predictors.bayes._sampling import IndependentSampling

FloatArray = NDArray[np.float64]


class BananasPredictor(IndependentSampling):
    """``mean_i f_i(paths)``, each net minimising ``mean |(f - b) / (y - b) - 1|``, b a bound.

    The bound lies beyond the best label, so that a miss weighs more the better the architecture.
    The standard deviation is the one between the nets, which says what they do not know and not
    what noise the labels have; ``conformal`` around this predictor makes intervals of it.

    The paper encodes one cell by which of all paths from its input to its output it has. Here the
    network is known, not the cell, and a path is a sequence of operators (with window, stride and
    grouping, without sizes) between two neighbouring cell ends: nodes that everything passes
    through and where branches meet or part. The entry is log(1 + number of cells with such a
    path), in place of 0 or 1. Truncation is twofold: a node keeps the shortest paths that lead to
    it, and of all paths those that most architectures have are encoded, which the paper's rule,
    the shortest ones, stands for. Networks whose paths nowhere meet (high-resolution or densely
    connected nets) are encoded by the shortest of their paths only, and networks that differ in
    width alone are all one.

    Args:
        members: nets.
        layers: hidden layers of a net.
        width: of a hidden layer.
        paths: most paths that are encoded.
        truncation: most paths that are followed at a node.
        epochs: passes over the labels.
        rate: Adam's first step size.
        maximise: whether the best label is the greatest.
        margin: distance of the bound beyond the best label, in standard deviations of the labels.
        transform: scale of the targets.
        seed: of the nets and of the order of rows.
        progress: whether a progress bar is shown.

    Reference:
        White et al., "BANANAS: Bayesian Optimization with Neural Architectures for Neural
        Architecture Search", AAAI 2021.
    """

    kind = "bananas"

    def __init__(
        self,
        members: int = 5,
        layers: int = 10,
        width: int = 20,
        paths: int = 500,
        truncation: int = 64,
        epochs: int = 150,
        rate: float = 0.01,
        maximise: bool = True,
        margin: float = 0.5,
        transform: Transform = "identity",
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.members = members
        self.layers = layers
        self.width = width
        self.paths = paths
        self.truncation = truncation
        self.epochs = epochs
        self.rate = rate
        self.maximise = maximise
        self.margin = margin
        self.transform: Transform = transform
        self.seed = seed
        self.progress = progress

    @property
    def encoding(self) -> Encoding:
        """Computation graphs."""
        return "graph"

    def _fit(self, X: Any, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        if min(self.members, self.width, self.paths, self.truncation) < 1 or self.margin <= 0:
            raise InvalidSettingError("members, width, paths, truncation and margin are positive")
        bags = path_counts(X, self.truncation)
        self.paths_ = vocabulary(bags, self.paths)
        x = np.log1p(indicators(bags, self.paths_))
        spread = x.std(0)
        self.centre_of_ = x.mean(0)
        self.scale_of_ = np.where(spread > 0, spread, 1).astype(np.float32)
        widths = [x.shape[1], *[self.width] * self.layers, 1]
        self.nets_ = Nets.draw(self.members, widths, self.seed)
        good = y if self.maximise else -y
        importance = 1 / (good.max() + self.margin - good)
        schedule = Schedule(self.epochs, 32, self.rate, self.progress)
        train(self.nets_, self._scaled(x), y, importance, schedule, self.seed)

    def _scaled(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return ((x - self.centre_of_) / self.scale_of_).astype(np.float32)

    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        x = np.log1p(indicators(path_counts(X, self.truncation), self.paths_))
        values = self.nets_.predict(self._scaled(x))
        return values.mean(0), values.std(0)

    def _state(self) -> State:
        arrays = {f"nets.{name}": array for name, array in self.nets_.arrays().items()}
        arrays |= {"paths": self.paths_, "centre": self.centre_of_, "scale": self.scale_of_}
        return State(arrays)

    def _restore(self, state: State) -> None:
        arrays = state.arrays
        self.paths_, self.centre_of_ = arrays["paths"], arrays["centre"]
        self.scale_of_ = arrays["scale"]
        prefix = "nets."
        self.nets_ = Nets.from_arrays(
            {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        )
