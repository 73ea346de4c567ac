"""What strategies share that fit a model to what was measured and ask it what to measure next."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import InvalidSettingError
from archcast.search.acquisition import get_acquisition
from archcast.search.domain import Domain
from archcast.search.strategy import Measured, Proposal, Strategy

__all__ = ["GuidedSearch"]

FloatArray = NDArray[np.float64]
#: Spaces up to this size are looked at as a whole.
_WHOLE: Final = 50_000
#: Best measured architectures whose neighbours are candidates, and parents remembered.
_PARENTS: Final = 10
_REMEMBERED: Final = 1000


class GuidedSearch(Strategy):
    """Measure a few, then repeat: fit a model, score candidates by acquisition, take the best.

    Candidates are all architectures of a small space, and in a large one the neighbours of the
    best measured and as many random ones. The model is fitted anew whenever ``refit`` more were
    measured; which measurements it knows follows from their number alone, so that a search that
    is resumed goes on as if it had not been stopped.

    A subclass writes :meth:`_fit` and :meth:`_moments`.

    Args:
        domain: the architectures to choose from.
        start: measurements before the first model, at random.
        refit: measurements from one model to the next.
        pool: candidates in a space too large to be looked at as a whole.
        acquisition: what is taken; see :func:`archcast.search.get_acquisition`.
        seed: of the random numbers.
        objectives: how many objectives are told.

    Raises:
        InvalidSettingError: a setting makes no sense.
    """

    #: Measurements that a model can be fitted to.
    _fewest: ClassVar[int] = 2

    def __init__(
        self,
        domain: Domain,
        *,
        start: int = 10,
        refit: int = 1,
        pool: int = 1000,
        acquisition: str = "ei",
        seed: int = 0,
        objectives: int = 1,
    ) -> None:
        super().__init__(domain, seed=seed, objectives=objectives)
        for name, value in (("start", start), ("refit", refit), ("pool", pool)):
            if value < 1:
                raise InvalidSettingError(f"{name} is at least 1, not {value}")
        self.start, self.refit, self.pool = int(start), int(refit), int(pool)
        self.acquisition = acquisition
        self._worth = get_acquisition(acquisition)
        self._learned = 0
        self._all: list[str] | None = None
        self._looked = False
        self._near: dict[str, list[str]] = {}
        self._beliefs: dict[str, tuple[float, float]] = {}

    # ------------------------------------------------------------- to implement
    @abstractmethod
    def _fit(self, measured: Sequence[Measured]) -> None:
        """Learn from at least ``_fewest`` full measurements; what was known before is forgotten."""

    @abstractmethod
    def _moments(self, specs: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """(n,) expected merits of n architectures, and (n,) standard deviations."""

    # ------------------------------------------------------------------ rounds
    def _propose(self, n: int, rng: np.random.Generator) -> Sequence[Proposal]:
        begun = sum(m.fidelity >= 1 for m in self.history) + len(self.pending)
        if begun < self.start:
            return self._opening(min(n, self.start - begun), rng)
        if not self._refitted():
            return []
        pool = self._pool(rng)
        return [Proposal(spec) for spec in self._choose(pool, n, rng)] if pool else []

    def _opening(self, n: int, rng: np.random.Generator) -> Sequence[Proposal]:
        """What is measured before there is a model."""
        return self._fresh(n, rng)

    def _refitted(self) -> bool:
        """Have the model know what it should; whether there is one."""
        measured = self.completed()
        count = len(measured) - max(len(measured) - self.start, 0) % self.refit
        if count < self._fewest:
            return False
        if count != self._learned:
            self._fit(measured[:count])
            self._learned = count
            self._beliefs.clear()
        return True

    def _believed(self, specs: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """:meth:`_moments`, asked of the model once an architecture from one fit to the next."""
        missing = [spec for spec in dict.fromkeys(specs) if spec not in self._beliefs]
        if missing:
            mean, std = self._moments(missing)
            pairs = zip(mean.tolist(), std.tolist(), strict=True)
            self._beliefs.update(zip(missing, pairs, strict=True))
        found = np.array([self._beliefs[spec] for spec in specs], np.float64).reshape(-1, 2)
        return found[:, 0], found[:, 1]

    def _choose(self, pool: list[str], n: int, rng: np.random.Generator) -> list[str]:
        """At most n of the pool, the most worthwhile first."""
        mean, std = self._believed(pool)
        if self.acquisition == "its":  # one draw each, so that several differ
            return list(
                dict.fromkeys(pool[int(self._score(mean, std, rng).argmax())] for _ in range(n))
            )
        return self._different(pool, self._score(mean, std, rng), n)

    def _score(self, mean: FloatArray, std: FloatArray, rng: np.random.Generator) -> FloatArray:
        best = max(m.merits[0] for m in self.completed())
        return self._worth(mean, std, best, rng)

    def _different(self, pool: Sequence[str], worth: FloatArray, n: int) -> list[str]:
        """The n of most worth, of networks that look alike only one."""
        order: list[int] = np.argsort(-worth, kind="stable").tolist()
        if n == 1:
            return [pool[order[0]]]
        found: dict[bytes, str] = {}
        for at in order:
            found.setdefault(self.domain.features([pool[at]])[0].tobytes(), pool[at])
            if len(found) >= n:
                break
        return list(found.values())

    # -------------------------------------------------------------- candidates
    def _pool(self, rng: np.random.Generator) -> list[str]:
        """Candidates that are new."""
        if (whole := self._whole()) is not None:
            return self._new(whole)
        near = self._mutants(self.pool // 2, rng)
        drawn = self.domain.sample(self.pool - len(near), rng)
        return self._new([*near, *drawn])

    def _whole(self) -> list[str] | None:
        """All architectures of a small space; None for a large one."""
        if not self._looked:
            self._all, self._looked = self.domain.everything(_WHOLE), True
        return self._all

    def _new(self, specs: Sequence[str]) -> list[str]:
        return [s for s in dict.fromkeys(specs) if not self._seen(Proposal(s))]

    def _mutants(self, n: int, rng: np.random.Generator) -> list[str]:
        """Up to n new neighbours of the best measured."""
        near = [s for parent in self._best(_PARENTS) for s in self._neighbours(parent)]
        new = self._new(near)
        return [new[at] for at in rng.permutation(len(new))[:n].tolist()]

    def _best(self, n: int) -> list[str]:
        """The n best measured, by the first objective."""
        ranked = sorted(self.completed(), key=lambda m: -m.merits[0])
        return [m.spec for m in ranked[:n]]

    def _neighbours(self, spec: str) -> list[str]:
        if len(self._near) > _REMEMBERED:
            self._near.clear()
        if spec not in self._near:
            self._near[spec] = self.domain.neighbours(spec)
        return self._near[spec]
