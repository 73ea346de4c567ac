"""Regularized evolution, the usual yardstick beside random search."""

from __future__ import annotations

from collections import deque

import numpy as np

from archcast.encoders.errors import InvalidSettingError
from archcast.search.domain import Domain
from archcast.search.strategies._breeding import Breeding
from archcast.search.strategy import Measured

__all__ = ["RegularizedEvolution"]


class RegularizedEvolution(Breeding):
    """The best of a random few has a child; the population is whoever was measured last.

    Every member dies of age, however good, so that a lucky measurement does not stay for ever.
    What could not be measured, or only in part, is no member. A child that was seen before
    changes again until it is new. With several workers, a child's parents are those of the
    moment it was asked for.

    Args:
        domain: the architectures to choose from.
        population: members (100 in the paper).
        tournament: members drawn, with replacement, of which the best is the parent (25 in the
            paper).
        crossover: probability that a child has two parents (0 in the paper).
        seed: of the random numbers.
        objectives: 1.

    Raises:
        InvalidSettingError: a setting makes no sense.

    Reference:
        Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019.
    """

    name = "evolution"

    def __init__(
        self,
        domain: Domain,
        *,
        population: int = 50,
        tournament: int = 10,
        crossover: float = 0.0,
        seed: int = 0,
        objectives: int = 1,
    ) -> None:
        super().__init__(
            domain, start=population, crossover=crossover, seed=seed, objectives=objectives
        )
        if tournament < 1:
            raise InvalidSettingError(f"a tournament is among one at least, not {tournament}")
        self.tournament = int(tournament)
        self._members: deque[Measured] = deque(maxlen=self.start)

    def _told(self, measured: Measured) -> None:
        if measured.fidelity >= 1 and not measured.failed:
            self._members.append(measured)

    def _child(self, rng: np.random.Generator) -> str | None:
        if not self._members:
            return None
        first = self._winner(rng)
        child = self._mixed(first, self._winner(rng), rng) if self.crossover else first
        return self.domain.mutate(first, rng) if child == first else child

    def _winner(self, rng: np.random.Generator) -> str:
        drawn = rng.integers(len(self._members), size=self.tournament)
        return max((self._members[at] for at in drawn.tolist()), key=lambda m: m.merits[0]).spec
