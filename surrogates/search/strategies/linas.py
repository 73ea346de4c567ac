"""LINAS: many generations of evolution on a predictor for each round of measurements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import InvalidSettingError
from archcast.search.domain import Domain
from archcast.search.objectives import Objective
from archcast.search.strategies._guided import GuidedSearch
from archcast.search.strategies._targets import known, named
from archcast.search.strategies.nsga2 import NSGA2, best_first
from archcast.search.strategy import Measured

__all__ = ["LINAS"]

FloatArray = NDArray[np.float64]


class LINAS(GuidedSearch):
    """Measure, fit predictors, evolve on them, measure the best of what evolved; repeat.

    The inner loop is NSGA-II on forecasts, begun from the best measured; what is measured next is
    the front of all it has seen, least crowded places first. Objectives that are costs of the
    domain are looked up, each other has a predictor of its own.

    Args:
        domain: the architectures to choose from.
        objective: what is told: an objective, or all of them in order; one that is called like a
            cost of the domain is looked up there.
        start: measurements at random before the first round.
        refit: measurements of a round (the outer population).
        population: of the inner loop.
        generations: of the inner loop.
        predictor: kind of tabular predictor; see :func:`archcast.predictors.get_predictor`.
        seed: of the random numbers.
        objectives: how many objectives are told.

    Raises:
        InvalidSettingError: a setting makes no sense.

    Reference:
        Cummings et al., "A Hardware-Aware Framework for Accelerating Neural Architecture Search
        Across Modalities", 2022 (LINAS).
    """

    name = "linas"
    multi_objective = True

    def __init__(
        self,
        domain: Domain,
        *,
        objective: Objective | Sequence[Objective] | None = None,
        start: int = 20,
        refit: int = 20,
        population: int = 50,
        generations: int = 20,
        predictor: str = "extra-trees",
        seed: int = 0,
        objectives: int = 1,
    ) -> None:
        super().__init__(
            domain, start=start, refit=refit, acquisition="mean", seed=seed, objectives=objectives
        )
        if population < 2 or generations < 1:
            raise InvalidSettingError(
                f"the inner loop has 2 members and 1 generation at least, not "
                f"{population} and {generations}"
            )
        self.targets = named(objective, objectives)
        self.population, self.generations = int(population), int(generations)
        self.predictor = predictor
        self._evolved: list[str] = []

    def _fit(self, measured: Sequence[Measured]) -> None:
        from archcast.predictors import get_predictor

        x = self.domain.features([m.spec for m in measured])
        self._models = [
            None
            if target.name in self.domain.costs
            else get_predictor(self.predictor, seed=self.seed).fit(
                x, [m.merits[at] for m in measured]
            )
            for at, target in enumerate(self.targets)
        ]
        self._evolved = self._evolve(measured)

    def _moments(self, specs: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        mean = self._forecast(specs)[:, 0]
        return mean, np.zeros(len(specs))

    def _forecast(self, specs: Sequence[str]) -> FloatArray:
        """(n, objectives) expected merits."""
        x = self.domain.features(specs)
        columns = []
        for target, model in zip(self.targets, self._models, strict=True):
            own = known(self.domain, target, specs)
            columns.append(model._moments(x)[0] if own is None and model is not None else own)
        return np.stack(columns, 1)

    def _evolve(self, measured: Sequence[Measured]) -> list[str]:
        """All that the inner loop has seen."""
        inner = NSGA2(
            self.domain,
            population=self.population,
            seed=int(np.random.default_rng([self.seed, len(measured)]).integers(2**31)),
            objectives=self.objectives,
        )
        merits = np.array([m.merits for m in measured])
        best = [measured[at].spec for at in best_first(merits)[: self.population // 2]]
        seen = dict.fromkeys(best)
        for spec, row in zip(best, self._forecast(best), strict=True):
            inner.tell(spec, row)
        for _ in range(self.generations):
            asked = [proposal.spec for proposal in inner.ask(self.population)]
            if not asked:
                break
            seen.update(dict.fromkeys(asked))
            for spec, row in zip(asked, self._forecast(asked), strict=True):
                inner.tell(spec, row)
        return list(seen)

    def _pool(self, rng: np.random.Generator) -> list[str]:
        return self._new(self._evolved)

    def _choose(self, pool: list[str], n: int, rng: np.random.Generator) -> list[str]:
        return [pool[at] for at in best_first(self._forecast(pool))[:n]]
