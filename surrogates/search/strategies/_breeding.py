"""What strategies that breed share: a random beginning, then new children of chosen parents."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Final

import numpy as np

from archcast.encoders.errors import InvalidSettingError
from archcast.search.domain import Domain
from archcast.search.strategy import Proposal, Strategy

__all__ = ["Breeding"]

#: Children that are tried for each that is wanted, and changes each may take to become new.
_CHILDREN: Final = 32
_CHANGES: Final = 4


class Breeding(Strategy):
    """Random architectures until ``start`` are measured, then children of those measured.

    A subclass chooses parents in :meth:`_child`.

    Args:
        domain: the architectures to choose from.
        start: random architectures at the beginning.
        crossover: probability that a child has two parents.
        seed: of the random numbers.
        objectives: how many objectives are told.

    Raises:
        InvalidSettingError: a setting makes no sense.
    """

    def __init__(
        self,
        domain: Domain,
        *,
        start: int,
        crossover: float,
        seed: int = 0,
        objectives: int = 1,
    ) -> None:
        super().__init__(domain, seed=seed, objectives=objectives)
        if start < 1:
            raise InvalidSettingError(f"{self.name} begins with one architecture at least")
        if not 0 <= crossover <= 1:
            raise InvalidSettingError(f"crossover is a probability, not {crossover}")
        self.start = int(start)
        self.crossover = float(crossover)

    def _propose(self, n: int, rng: np.random.Generator) -> Sequence[Proposal]:
        missing = self.start - len(self.completed()) - len(self._pending)
        if missing > 0:
            return self._fresh(min(n, missing), rng)
        found: dict[Proposal, None] = {}
        for _ in range(n * _CHILDREN):
            child = self._child(rng)
            if child is None:
                break
            proposal = self._renewed(Proposal(child), found, rng)
            if proposal is not None:
                found[proposal] = None
            if len(found) == n:
                break
        return list(found)

    @abstractmethod
    def _child(self, rng: np.random.Generator) -> str | None:
        """A child, new or not; None if there are no parents."""

    def _mixed(self, first: str, second: str, rng: np.random.Generator) -> str:
        """A child of two, or with the other probability the first as it is."""
        if rng.random() >= self.crossover:
            return first
        return self.domain.crossover(first, second, rng)

    def _renewed(
        self, proposal: Proposal, others: dict[Proposal, None], rng: np.random.Generator
    ) -> Proposal | None:
        """The child, changed until it is new; None if it does not become so."""
        for _ in range(_CHANGES):
            if proposal not in others and not self._seen(proposal):
                return proposal
            other = self.domain.mutate(proposal.spec, rng)
            if other is None:
                return None
            proposal = Proposal(other)
        return None
