"""NSGA-II: evolution towards a front."""

from __future__ import annotations

import numpy as np

from archcast.encoders.errors import InvalidSettingError
from archcast.search.domain import Domain
from archcast.search.pareto import crowding, fronts
from archcast.search.strategies._breeding import Breeding
from archcast.search.strategy import FloatArray, Measured

__all__ = ["NSGA2"]


class NSGA2(Breeding):
    """Generations; who is on a better front, or in a less crowded place of the same, survives.

    When as many children as there are members were measured, the better half of both is the next
    population, so nothing good is lost. Constraints need no handling: what breaks them is never
    proposed. With one objective, fronts are places in a ranking.

    Args:
        domain: the architectures to choose from.
        population: members.
        crossover: probability that a child has two parents.
        mutation: probability that a child is changed in one place besides; 1 - 1/e is how often
            the usual probability of 1/l for each of l choices changes anything. Children that
            were seen before change in any case.
        seed: of the random numbers.
        objectives: how many objectives are told.

    Raises:
        InvalidSettingError: a setting makes no sense.

    Reference:
        Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE
        Transactions on Evolutionary Computation, 2002.
    """

    name = "nsga2"
    multi_objective = True

    def __init__(
        self,
        domain: Domain,
        *,
        population: int = 50,
        crossover: float = 0.9,
        mutation: float = 0.63,
        seed: int = 0,
        objectives: int = 1,
    ) -> None:
        super().__init__(
            domain, start=population, crossover=crossover, seed=seed, objectives=objectives
        )
        if not 0 <= mutation <= 1:
            raise InvalidSettingError(f"mutation is a probability, not {mutation}")
        self.mutation = float(mutation)
        self._members: list[Measured] = []
        self._children: list[Measured] = []
        #: Places of the members in the order of who wins a tournament; None until wanted.
        self._places: list[int] | None = None

    def _told(self, measured: Measured) -> None:
        if measured.fidelity < 1 or measured.failed:
            return
        if len(self._members) < self.start:
            self._members.append(measured)
            self._places = None
            return
        self._children.append(measured)
        if len(self._children) == self.start:
            everyone = self._members + self._children
            self._members = [everyone[at] for at in best_first(_merits(everyone))[: self.start]]
            self._children, self._places = [], None

    def _child(self, rng: np.random.Generator) -> str | None:
        if not self._members:
            return None
        first = self._winner(rng)
        child = self._mixed(first, self._winner(rng), rng)
        if rng.random() < self.mutation:
            return self.domain.mutate(child, rng)
        return child

    def _winner(self, rng: np.random.Generator) -> str:
        """The better of two members drawn at random."""
        places = self._places
        if places is None:
            order = best_first(_merits(self._members))
            places = self._places = sorted(range(len(order)), key=order.__getitem__)
        drawn = rng.integers(len(self._members), size=2).tolist()
        return self._members[min(drawn, key=lambda at: places[at])].spec


def best_first(merits: FloatArray) -> list[int]:
    """Rows by front, and in a front from the least crowded to the most.

    Args:
        merits: (n, m), higher is better.

    Returns:
        Positions of the n rows.
    """
    ranks = fronts(merits)
    room = np.zeros(len(merits))
    for rank in np.unique(ranks):
        rows = ranks == rank
        room[rows] = crowding(merits[rows])
    return np.lexsort((-room, ranks)).tolist()


def _merits(measured: list[Measured]) -> FloatArray:
    return np.array([m.merits for m in measured], np.float64)
