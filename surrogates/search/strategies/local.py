"""Local search: the neighbours of the best, again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from archcast.encoders.errors import InvalidSettingError
from archcast.search.domain import Domain
from archcast.search.strategy import Measured, Proposal, Strategy

__all__ = ["LocalSearch"]


@dataclass(slots=True)
class _Stop:
    """An architecture that a climb has come to.

    Attributes:
        merit: of the architecture.
        near: its neighbours.
        left: whether all is known that decides where the climb goes on, if at all.
    """

    merit: float
    near: tuple[str, ...]
    left: bool = False


class LocalSearch(Strategy):
    """Measures the neighbours of an architecture, moves to a better one, restarts at an optimum.

    Where the climbs stand follows from what is known, not from what was asked for: an
    architecture is a stop of a climb if earlier stops that are its neighbours move to it, or if
    there are none (then a climb begins there). So it is restored by telling, and workers may
    answer in any order. Of several open stops the best goes on; workers that are more than its
    neighbours take those of the next best, or begin a climb at random.

    Args:
        domain: the architectures to choose from.
        query_until_lower: whether to move at the first better neighbour; otherwise all neighbours
            are measured and the best is moved to.
        start: random architectures at the beginning; the climb begins at the best.
        seed: of the random numbers.
        objectives: 1.

    Raises:
        InvalidSettingError: a setting makes no sense.

    Reference:
        White, Nolen and Savani, "Exploring the Loss Landscape in Neural Architecture Search",
        UAI 2021.
    """

    name = "local"

    def __init__(
        self,
        domain: Domain,
        *,
        query_until_lower: bool = True,
        start: int = 10,
        seed: int = 0,
        objectives: int = 1,
    ) -> None:
        super().__init__(domain, seed=seed, objectives=objectives)
        if start < 1:
            raise InvalidSettingError(f"{self.name} begins with one architecture at least")
        self.query_until_lower = bool(query_until_lower)
        self.start = int(start)
        self._near: dict[str, tuple[str, ...]] = {}
        self._left: set[str] = set()

    def _propose(self, n: int, rng: np.random.Generator) -> Sequence[Proposal]:
        missing = self.start - len(self.completed()) - len(self._pending)
        if missing > 0:
            return self._fresh(min(n, missing), rng)
        stops = [stop for stop in self._stops().values() if not stop.left]
        found: dict[Proposal, None] = {}
        for stop in sorted(stops, key=lambda stop: -stop.merit):
            near = [Proposal(stop.near[at]) for at in rng.permutation(len(stop.near)).tolist()]
            found.update(dict.fromkeys(p for p in near if not self._seen(p)))
            if len(found) >= n:
                return list(found)[:n]
        return [*found, *self._fresh(n - len(found), rng)]

    def _stops(self) -> dict[str, _Stop]:
        """Where the climbs have been and stand, by architecture."""
        merits = {m.spec: -np.inf if m.failed else m.merits[0] for m in self._finished()}
        stops: dict[str, _Stop] = {}
        beside: dict[str, list[_Stop]] = {}
        for spec, merit in merits.items():
            before = beside.get(spec, [])
            if merit == -np.inf or not all(self._leads(stop, merit, merits) for stop in before):
                continue
            stops[spec] = stop = _Stop(merit, self._around(spec))
            for other in stop.near:
                beside.setdefault(other, []).append(stop)
        for spec, stop in stops.items():
            stop.left = spec in self._left or self._is_left(stop, merits)
        self._left.update(spec for spec, stop in stops.items() if stop.left)
        return stops

    def _is_left(self, stop: _Stop, merits: dict[str, float]) -> bool:
        """Whether a climb is done with a stop; once it is, that stays so."""
        known = [merits[other] for other in stop.near if other in merits]
        rises = self.query_until_lower and max(known, default=-np.inf) > stop.merit
        return rises or len(known) == len(stop.near)

    def _leads(self, stop: _Stop, merit: float, merits: dict[str, float]) -> bool:
        """Whether a climb goes on from a stop to a neighbour of this merit."""
        if self.query_until_lower or merit <= stop.merit:
            return merit > stop.merit
        known = [merits.get(other, np.inf) for other in stop.near]  # unknown: it may be the best
        return merit >= max(known)

    def _finished(self) -> list[Measured]:
        return [m for m in self.history if m.fidelity >= 1]

    def _around(self, spec: str) -> tuple[str, ...]:
        if spec not in self._near:
            self._near[spec] = tuple(self.domain.neighbours(spec))
        return self._near[spec]
