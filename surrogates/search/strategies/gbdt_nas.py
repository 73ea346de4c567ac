"""GBDT-NAS: boosted trees on choices, in a space that they make smaller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import InvalidSettingError, InvalidSpecError
from archcast.search.domain import Domain
from archcast.search.strategies._choices import Encoded
from archcast.search.strategies._guided import GuidedSearch
from archcast.search.strategy import Measured

__all__ = ["GBDTNAS"]

FloatArray = NDArray[np.float64]
#: Architectures that the trees are asked what choices contribute to, half of the space at most.
_ASKED: Final = 2000


class GBDTNAS(GuidedSearch):
    """Measure some at random, fit boosted trees, prune the space, measure the top; repeat.

    The trees see choices, one-hot, as published. The choices that lower forecasts most (SHAP
    values) are dropped, candidates are drawn from what is left, and those of the highest forecasts
    are measured. In spaces without fixed choices (whose architectures have different numbers of
    places, as in NAS-Bench-101) trees see tabular features of the network, and nothing is pruned.

    Args:
        domain: the architectures to choose from.
        start: measurements at random before the first trees.
        top: measurements from one fit to the next.
        pool: candidates in a space too large to be looked at as a whole.
        drop: share of all choices that are dropped, at most.
        seed: of the random numbers.
        objectives: 1.

    Raises:
        InvalidSettingError: a setting makes no sense.

    Reference:
        Luo et al., "Accuracy Prediction with Non-neural Model for Neural Architecture Search",
        2020.
    """

    name = "gbdt-nas"

    def __init__(
        self,
        domain: Domain,
        *,
        start: int = 50,
        top: int = 25,
        pool: int = 5000,
        drop: float = 0.2,
        seed: int = 0,
        objectives: int = 1,
    ) -> None:
        super().__init__(
            domain, start=start, refit=top, pool=pool, acquisition="mean", seed=seed,
            objectives=objectives,
        )  # fmt: skip
        if not 0 <= drop < 1:
            raise InvalidSettingError(f"drop is a share in [0, 1), not {drop}")
        self.drop = float(drop)

    def _fit(self, measured: Sequence[Measured]) -> None:
        from archcast.predictors.trees.gbdt_nas import GBDTNASPredictor
        from archcast.predictors.trees.pruning import prune

        if not self._learned:
            self._encoded = Encoded(self.domain)
        specs, merits = [m.spec for m in measured], [m.merits[0] for m in measured]
        self._model = GBDTNASPredictor(seed=self.seed)
        self._model.fit(self._encoded(specs), merits)
        self._pruned = None
        if self._encoded.choices is not None and self.drop:
            self._pruned = prune(
                self.domain.space, specs, merits, drop=self.drop, seed=self.seed,
                asked=min(_ASKED, (self.domain.size or 2 * _ASKED) // 2),
                predictor=GBDTNASPredictor(seed=self.seed),
            )  # fmt: skip

    def _moments(self, specs: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        return self._model._moments(self._encoded(specs))

    def _pool(self, rng: np.random.Generator) -> list[str]:
        if self._pruned is None:
            return super()._pool(rng)
        if (whole := self._whole()) is not None:
            kept = self._new([spec for spec in whole if spec in self._pruned])
            return kept or self._new(whole)  # all that is left of it was measured
        return self._new(self._drawn(rng)) or super()._pool(rng)

    def _drawn(self, rng: np.random.Generator) -> list[str]:
        """From the pruned space, what the domain has and its constraints allow."""
        assert self._pruned is not None
        try:
            drawn = self._pruned.sample(self.pool, int(rng.integers(2**31)))
        except ValueError:  # it has fewer
            drawn = [s for s in self.domain.sample(self.pool, rng) if s in self._pruned]
        own = [spec for spec in drawn if self._has(spec)]
        return [s for s, ok in zip(own, self.domain.feasible(own), strict=True) if ok]

    def _has(self, spec: str) -> bool:
        try:
            self.domain.text(spec)
        except InvalidSpecError:
            return False
        return True
