"""``Strategy``: what proposes the next architecture, by asking and telling."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast.encoders.errors import InvalidSettingError
from archcast.search.domain import Domain

__all__ = ["Measured", "Proposal", "Strategy"]

FloatArray = NDArray[np.float64]
#: Draws in a row without anything new before one believes that nothing is left; where a space
#: can be listed, it is listed then.
_IDLE: Final = 8


class Proposal(NamedTuple):
    """What to measure next.

    Attributes:
        spec: the architecture, in the space's own text.
        fidelity: share of the full training to spend on it, in (0, 1].
    """

    spec: str
    fidelity: float = 1.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What was told.

    Attributes:
        spec: the architecture.
        merits: objectives, each turned so that higher is better; NaN if it could not be measured.
        fidelity: share of the full training that was spent.
    """

    spec: str
    merits: tuple[float, ...]
    fidelity: float = 1.0

    @property
    def failed(self) -> bool:
        """Whether an objective is missing."""
        return any(math.isnan(merit) for merit in self.merits)


class Strategy(ABC):
    """Proposes architectures, and learns from what they are measured to score.

    Nothing is proposed twice at the same fidelity, and whatever is proposed meets the domain's
    constraints. Several may be asked for before any is told, and told in any order, so that
    workers can measure side by side. Everything a strategy knows follows from its arguments and
    from what it was told, in order; its random numbers follow from the seed and from how many
    were told and asked for. So an interrupted search is restored by telling its measurements
    again.

    A subclass writes :meth:`_propose`, and :meth:`_told` if it keeps something beside
    :attr:`history`.

    Args:
        domain: the architectures to choose from.
        seed: of the random numbers.
        objectives: how many objectives are told.

    Raises:
        InvalidSettingError: a setting makes no sense, or the strategy cannot handle so many
            objectives.
    """

    #: Name in the registry.
    name: ClassVar[str]
    #: Whether it can handle more than one objective.
    multi_objective: ClassVar[bool] = False
    #: Fidelity at which an architecture is measured first.
    _entry: float = 1.0

    def __init__(self, domain: Domain, *, seed: int = 0, objectives: int = 1) -> None:
        if objectives < 1 or (objectives > 1 and not self.multi_objective):
            raise InvalidSettingError(
                f"{self.name} searches for one objective, not {objectives}; "
                "for several take one that makes a front, such as nsga2"
            )
        self.domain = domain
        self.seed = int(seed)
        self.objectives = objectives
        self.history: list[Measured] = []
        self._pending: dict[Proposal, None] = {}
        self._known: set[Proposal] = set()

    # ------------------------------------------------------------------ public
    def ask(self, n: int = 1) -> list[Proposal]:
        """The next architectures to measure.

        Args:
            n: how many.

        Returns:
            n proposals; fewer, or none, if nothing new is left.

        Raises:
            InfeasibleError: nothing meets the constraints.
        """
        found: list[Proposal] = []
        while len(found) < n:
            more = self._propose(n - len(found), self._rng())
            fresh = [p for p in dict.fromkeys(more) if not self._seen(p)][: n - len(found)]
            if not fresh:
                rest = self._anything(n - len(found))
                self._pending.update(dict.fromkeys(rest))
                return found + rest
            self._pending.update(dict.fromkeys(fresh))
            found += fresh
        return found

    def tell(self, spec: str, merits: float | ArrayLike, fidelity: float = 1.0) -> None:
        """Take a measurement; of an architecture that was not asked for, too.

        Args:
            spec: the architecture.
            merits: its objective, or all of them, turned so that higher is better; NaN or
                infinite if it could not be measured.
            fidelity: share of the full training that was spent.

        Raises:
            InvalidSpecError: it is not of this space.
            InvalidSettingError: not one number for each objective.
        """
        values = np.atleast_1d(np.asarray(merits, np.float64))
        if values.shape != (self.objectives,):
            raise InvalidSettingError(
                f"{self.objectives} objective(s) are told, not an array of shape {values.shape}"
            )
        plain = tuple(float(v) if math.isfinite(v) else math.nan for v in values)
        measured = Measured(self.domain.text(spec), plain, float(fidelity))
        proposal = Proposal(measured.spec, measured.fidelity)
        self._pending.pop(proposal, None)
        self._known.add(proposal)
        self.history.append(measured)
        self._told(measured)

    def forget(self, proposal: Proposal) -> None:
        """Take back what was asked for and will never be told: a worker died."""
        self._pending.pop(proposal, None)

    @property
    def pending(self) -> tuple[Proposal, ...]:
        """What was asked for and not told yet, oldest first."""
        return tuple(self._pending)

    # ----------------------------------------------------------- for subclasses
    @abstractmethod
    def _propose(self, n: int, rng: np.random.Generator) -> Sequence[Proposal]:
        """At most about n proposals; what was seen before is dropped by :meth:`ask`.

        None at all, or none that is new, lets :meth:`ask` draw at random.
        """

    def _told(self, measured: Measured) -> None:  # noqa: B027  (most keep nothing)
        """Note a measurement; it is in :attr:`history` already."""

    def _seen(self, proposal: Proposal) -> bool:
        """Whether it was asked for or told before."""
        return proposal in self._known or proposal in self._pending

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, len(self.history), len(self._pending)])

    def _fresh(self, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Up to n architectures at random that are new."""
        found: dict[Proposal, None] = {}
        idle = 0
        while len(found) < n and idle < _IDLE:
            before = len(found)
            drawn = self.domain.sample(n - before + 4, rng)
            found.update(dict.fromkeys(self._unseen(drawn)))
            idle = 0 if len(found) > before else idle + 1
        return list(found)[:n]

    def _anything(self, n: int) -> list[Proposal]:
        """Up to n new architectures, however few are left."""
        rng = self._rng()
        found = self._fresh(n, rng)
        if len(found) < n and (rest := self.domain.everything()) is not None:
            left = self._unseen(rest)
            mixed = [left[at] for at in rng.permutation(len(left)).tolist()]
            return list(dict.fromkeys(found + mixed))[:n]
        return found

    def _unseen(self, specs: Sequence[str]) -> list[Proposal]:
        """First measurements of those architectures that have had none."""
        begun = (Proposal(spec, self._entry) for spec in specs)
        return [proposal for proposal in begun if not self._seen(proposal)]

    # ------------------------------------------------------------------ results
    def completed(self) -> list[Measured]:
        """What was measured fully and did not fail, in the order it was told."""
        return [m for m in self.history if m.fidelity >= 1 and not m.failed]

    def merits(self) -> FloatArray:
        """(t, objectives) of :meth:`completed`."""
        rows: list[Any] = [m.merits for m in self.completed()]
        return np.array(rows, np.float64).reshape(len(rows), self.objectives)
