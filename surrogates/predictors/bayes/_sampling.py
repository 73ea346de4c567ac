"""Draws from what is forecast, for searches that choose by chance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast import _transforms
from archcast.predictors._protocol import Predictor


class IndependentSampling(Predictor):
    """A predictor whose forecasts can be drawn from: ``f(x) ~ N(mean(x), std(x)²)``.

    Reference:
        White et al., "BANANAS: Bayesian Optimization with Neural Architectures for Neural
        Architecture Search", AAAI 2021, section 4.3 (independent Thompson sampling).
    """

    transform: _transforms.Transform

    def sample(self, X: Any, draws: int = 1, seed: int = 0) -> NDArray[np.float64]:
        """Draw values of n architectures, each on its own: independent Thompson sampling.

        A search evaluates the architecture whose drawn value is best, one a draw.

        Args:
            X: n architectures, as for ``fit``.
            draws: how many for each architecture.
            seed: of the draws.

        Returns:
            (draws, n) values in the labels' unit; (draws, n, T) for several targets.

        Raises:
            NotFittedError: ``fit`` was not called.
        """
        centre, std = self._moments(X)
        noise = np.random.default_rng(seed).standard_normal((draws, *centre.shape))
        return _transforms.backward(self.transform, centre + noise * std)
