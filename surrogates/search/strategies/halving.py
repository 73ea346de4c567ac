"""Successive halving: many short trainings, few long ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from archcast.encoders.errors import InvalidSettingError
from archcast.search.domain import Domain
from archcast.search.strategies._gains import Gains
from archcast.search.strategies._rungs import Rungs
from archcast.search.strategy import Measured, Proposal, Strategy

__all__ = ["SuccessiveHalving"]


class SuccessiveHalving(Strategy):
    """Begins with little training, and gives more to the best of every rung.

    Whenever a worker is free, the highest rung is looked for where somebody is among the best
    1/eta and has not gone on; if there is nobody, an architecture is drawn at random and begins.
    So no worker waits for another. With several brackets (Hyperband), bracket b begins at rung
    b, and each new architecture goes to the bracket that has had the least training.

    With ``curve_forecast``, who is best is not who is ahead at the rung, but who is expected to
    end ahead, once ten full results are known: see :class:`Gains`. It pays where curves cross
    for reasons that the architecture shows. On NAS-Bench-101, where each length is a training
    with a schedule of its own, it found nothing better than the rung's own order.

    Args:
        domain: the architectures to choose from.
        fidelities: shares of the full training, rising to 1.
        eta: one of this many goes on.
        brackets: how many rungs architectures may begin at.
        curve_forecast: whether the forecast end of a curve decides, instead of its present value.
        seed: of the random numbers.
        objectives: 1.

    Raises:
        InvalidSettingError: a setting makes no sense.

    Reference:
        Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
        Optimization", AISTATS 2016. Li et al., "A System for Massively Parallel Hyperparameter
        Tuning", MLSys 2020 (ASHA). Li et al., "Hyperband", JMLR 2018.
    """

    name = "successive-halving"

    def __init__(
        self,
        domain: Domain,
        *,
        fidelities: Sequence[float] = (1 / 27, 1 / 9, 1 / 3, 1.0),
        eta: float = 3.0,
        brackets: int = 1,
        curve_forecast: bool = False,
        seed: int = 0,
        objectives: int = 1,
    ) -> None:
        super().__init__(domain, seed=seed, objectives=objectives)
        ladder = tuple(float(fidelity) for fidelity in fidelities)
        if not ladder or ladder[0] <= 0 or ladder[-1] != 1 or (np.diff(ladder) <= 0).any():
            raise InvalidSettingError(f"fidelities rise from above 0 to 1, not {list(ladder)}")
        if not eta > 1:
            raise InvalidSettingError(f"eta is greater than 1, not {eta}")
        if not 1 <= brackets <= len(ladder):
            raise InvalidSettingError(f"{len(ladder)} rungs make 1 to {len(ladder)} brackets")
        self.fidelities = ladder
        self.eta = float(eta)
        self.brackets = int(brackets)
        self.curve_forecast = bool(curve_forecast)
        self._entry = ladder[0]
        self._rungs = Rungs(ladder)
        self._gains = Gains(domain, self._rungs, seed=self.seed)
        self._most: dict[str, float] = {}

    def _told(self, measured: Measured) -> None:
        self._rungs.add(measured)
        self._most[measured.spec] = max(measured.fidelity, self._most.get(measured.spec, 0.0))

    def _seen(self, proposal: Proposal) -> bool:
        """Whether it was trained as long, or longer."""
        if self._most.get(proposal.spec, 0.0) >= proposal.fidelity:
            return True
        running = (fidelity for spec, fidelity in self._pending if spec == proposal.spec)
        return any(fidelity >= proposal.fidelity for fidelity in running)

    def _propose(self, n: int, rng: np.random.Generator) -> Sequence[Proposal]:
        for proposal in self._promoted(self.eta):
            return [proposal]
        begun = self._fresh(1, rng)
        if begun:
            least = int(self._rungs.spent(self.brackets, self._pending).argmin())
            return [Proposal(begun[0].spec, self.fidelities[least])]
        # Everything has begun: whoever is next goes on, as many as there are workers.
        return list(self._promoted(1.0))[:n]

    def _promoted(self, eta: float) -> Iterator[Proposal]:
        """Those among the best 1/eta of a rung that have not gone on, from the highest rung."""
        for rung in reversed(range(len(self.fidelities) - 1)):
            for bracket in range(min(self.brackets, rung + 1)):
                members = self._rungs.members(bracket, rung)
                for spec in self._best(members, rung, int(len(members) / eta)):
                    proposal = Proposal(spec, self.fidelities[rung + 1])
                    if not self._seen(proposal):
                        yield proposal

    def _best(self, members: list[str], rung: int, count: int) -> list[str]:
        """The first ``count`` of a rung, best first, without those that failed."""
        if not count:
            return []
        merits = np.array([self._rungs.merits[rung][spec] for spec in members])
        if self.curve_forecast:
            merits = merits + self._gains.expected(members, rung)
        order = np.argsort(-merits, kind="stable")[:count].tolist()
        return [members[at] for at in order if merits[at] > -np.inf]
