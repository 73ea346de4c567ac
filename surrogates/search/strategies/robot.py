"""Search down what scores without training say, corrected by measurements: RoBoT."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from archcast.encoders.errors import InvalidSettingError
from archcast.search.domain import Domain
from archcast.search.strategy import Measured, Proposal, Strategy

if TYPE_CHECKING:
    from archcast.zero_cost import ProxySearch, RoBoT

__all__ = ["RobotSearch"]

Guide = Literal["robot", "forecast"]
#: n architectures -> names and (n,) scores, higher is better, NaN where not applicable.
Scores = Callable[[Sequence[str]], Mapping[str, ArrayLike]]
#: Those that take a fraction of a second for a network, of different kinds.
_PROXIES: Final = ("params", "flops", "nwot", "zen", "synflow", "jacov")


class RobotSearch(Strategy):
    """Choose among candidates that are known by their scores without training.

    ``robot`` learns a weighting of the scores by Bayesian optimisation and goes down the ranking
    of the best (:class:`archcast.zero_cost.RoBoT`); ``forecast`` learns the objective itself as a
    function of scores and features (:class:`archcast.zero_cost.ProxySearch`). Candidates are the
    whole space if it is small, random architectures otherwise. What is still being measured counts
    as the mean of the measured until it is told.

    Args:
        domain: the architectures to choose from.
        scores: gives scores of candidates, all at once; by default those of ``proxies`` are
            computed, which takes a while for a thousand.
        proxies: names of scores to compute; see :data:`archcast.zero_cost.PROXIES`.
        candidates: most architectures to choose among.
        guide: ``robot`` or ``forecast``.
        explore: weightings that RoBoT tries before it goes down the best ranking.
        seed: of the random numbers.
        objectives: 1.

    Raises:
        InvalidSettingError: a setting makes no sense.

    Reference:
        He et al., "Robustifying and Boosting Training-Free Neural Architecture Search", ICLR 2024.
    """

    name = "robot"

    def __init__(
        self,
        domain: Domain,
        *,
        scores: Scores | None = None,
        proxies: Sequence[str] = _PROXIES,
        candidates: int = 1000,
        guide: Guide = "robot",
        explore: int = 50,
        seed: int = 0,
        objectives: int = 1,
    ) -> None:
        super().__init__(domain, seed=seed, objectives=objectives)
        if guide not in get_args(Guide):
            raise InvalidSettingError(f"guide is {' or '.join(get_args(Guide))}, not {guide!r}")
        if candidates < 1 or explore < 1:
            raise InvalidSettingError("there is one candidate and one weighting at least")
        self.guide: Guide = guide
        self.explore, self.candidates = int(explore), int(candidates)
        self._scores = scores or self._computed
        self._proxies = tuple(proxies)
        self._search: RoBoT | ProxySearch | None = None
        self._place: dict[str, int] = {}

    def _propose(self, n: int, rng: np.random.Generator) -> Sequence[Proposal]:
        search, usual = self._advanced(), 0.0
        specs = list(self._place)
        if len(search) == len(specs):
            return []  # all candidates were measured
        if n > 1 or self.pending:
            search = copy.deepcopy(search)
            known = [m.merits[0] for m in self.completed()]
            usual = float(np.mean(known)) if known else usual
            for proposal in self.pending:
                at = self._place.get(proposal.spec)
                if at is not None and at not in search._values:
                    search.tell(at, usual)
        found: list[Proposal] = []
        while len(found) < n and (at := search.ask()) is not None:
            found.append(Proposal(specs[at]))
            if len(found) < n:
                search.tell(at, float(usual))
        return found

    def _told(self, measured: Measured) -> None:
        """Nothing: :meth:`_advanced` reads the history when it is asked."""

    def _advanced(self) -> RoBoT | ProxySearch:
        """The search after all that was told, one at a time, whenever it was told."""
        if self._search is None:
            self._search, self._read = self._begun(), 0
        for measured in self.history[self._read :]:
            at = self._place.get(measured.spec)
            if at is not None and measured.fidelity >= 1 and at not in self._search._values:
                if self.guide == "robot":
                    self._search.ask()  # weightings follow from what was known at each step
                self._search.tell(at, measured.merits[0])
        self._read = len(self.history)
        return self._search

    def _begun(self) -> RoBoT | ProxySearch:
        from archcast.zero_cost import ProxySearch, RoBoT

        specs = self.domain.everything(self.candidates)
        if not specs:  # many, or none that meets the constraints, which is an error
            specs = self.domain.sample(self.candidates, np.random.default_rng(self.seed))
        self._place = {spec: at for at, spec in enumerate(specs)}
        table = self._scores(specs)
        if self.guide == "robot":
            return RoBoT(table, len(specs), self.seed, explore=self.explore)
        return ProxySearch(table, len(specs), self.seed, features=self.domain.features(specs))

    def _computed(self, specs: Sequence[str]) -> Mapping[str, ArrayLike]:
        from archcast.zero_cost import score

        return score(self.domain.graphs(specs), self._proxies)
