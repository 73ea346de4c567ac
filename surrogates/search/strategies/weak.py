"""Weak predictors: each good in the part of the space that the one before it pointed to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import InvalidSettingError
from archcast.search.domain import Domain
from archcast.search.strategies._choices import Encoded
from archcast.search.strategies._guided import GuidedSearch
from archcast.search.strategy import Measured

__all__ = ["WeakPredictors"]

FloatArray = NDArray[np.float64]


class WeakPredictors(GuidedSearch):
    """Fit a small predictor to all measurements, draw from the top of its ranking; repeat.

    No predictor has to be good everywhere: as draws come from ever better architectures, each is
    good where it matters. Drawing from the top at random, instead of taking the top, is what
    explores.

    Args:
        domain: the architectures to choose from.
        start: measurements at random before the first predictor.
        refit: measurements from one predictor to the next.
        top: how many of the ranking are drawn from.
        pool: candidates in a space too large to be looked at as a whole.
        predictor: kind of tabular predictor (see :func:`archcast.predictors.get_predictor`), on
            the choices of a space where it has fixed ones.
        seed: of the random numbers.
        objectives: 1.

    Raises:
        InvalidSettingError: a setting makes no sense.

    Reference:
        Wu et al., "Stronger NAS with Weaker Predictors", NeurIPS 2021.
    """

    name = "weak"

    def __init__(
        self,
        domain: Domain,
        *,
        start: int = 20,
        refit: int = 10,
        top: int = 100,
        pool: int = 1000,
        predictor: str = "random-forest",
        seed: int = 0,
        objectives: int = 1,
    ) -> None:
        super().__init__(
            domain, start=start, refit=refit, pool=pool, acquisition="mean", seed=seed,
            objectives=objectives,
        )  # fmt: skip
        if top < 1:
            raise InvalidSettingError(f"at least the one at the top is drawn from, not {top}")
        self.top = int(top)
        self.predictor = predictor

    def _fit(self, measured: Sequence[Measured]) -> None:
        from archcast.predictors import get_predictor

        if not self._learned:
            self._encoded = Encoded(self.domain)
        self._model = get_predictor(self.predictor, seed=self.seed)
        specs = [m.spec for m in measured]
        merits = [m.merits[0] for m in measured]
        self._model.fit(self._encoded(specs), merits)

    def _moments(self, specs: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        return self._model._moments(self._encoded(specs))

    def _choose(self, pool: list[str], n: int, rng: np.random.Generator) -> list[str]:
        order = np.argsort(-self._believed(pool)[0], kind="stable")[: self.top]
        drawn = rng.choice(order, min(n, len(order)), replace=False)
        return [pool[at] for at in drawn.tolist()]
