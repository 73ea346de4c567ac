"""What to train of a space, whether or not the loop ever asked about it."""

from __future__ import annotations

from collections.abc import Mapping

from archcast.encoders.errors import InvalidSettingError
from archcast.search.domain import Domain
from archcast.search.journal import Trial
from archcast.search.objectives import Objective
from archcast.search.strategies.guided import ForecastSearch
from archcast.search.swap._arguments import JOINT
from archcast.search.swap._belief import Belief

__all__ = ["Beyond"]


class Beyond:
    """The strategy ``forecast``, which goes on where a loop that was told forecasts has ended.

    Args:
        domain: all that may be trained.
        belief: knows the prior, and the unit of what was measured.
        seed: of the random numbers.
    """

    def __init__(self, domain: Domain, belief: Belief, seed: int) -> None:
        self._domain, self._belief, self._seed = domain, belief, seed
        self._objective: Objective | None = None
        self._told: dict[str, float] = {}

    @staticmethod
    def refusal(argument: str) -> InvalidSettingError:
        """What is said to a function of more than an architecture."""
        return InvalidSettingError(
            "beyond=True trains architectures that the loop never called with, and cannot know "
            f"{argument} for them; name it in ignore= if it does not matter, or leave beyond= out"
        )

    def choose(self, trials: Mapping[str, Trial]) -> str | None:
        """The architecture most worth training next; None if none is left.

        Args:
            trials: by key, all that were begun.

        Raises:
            InvalidSettingError: the function has arguments beside the architecture.
        """
        for key in trials:
            if JOINT in key:  # of a journal that began without it
                raise self.refusal(key.partition(JOINT)[2])
        measured = {k: t.values[0] for k, t in trials.items() if t.state == "done"}
        strategy = self._strategy(measured)
        for proposal in strategy.pending:
            if proposal.spec not in trials:  # given back: whoever trained it was interrupted
                strategy.forget(proposal)
        while asked := strategy.ask(1):
            if asked[0].spec not in trials:  # or it failed, or another process is at it
                return asked[0].spec
        return None

    def _strategy(self, measured: Mapping[str, float]) -> ForecastSearch:
        """The strategy, told all that was measured; a new one if the unit was understood anew."""
        objective = self._belief.objective
        if objective != self._objective or any(measured.get(k) != v for k, v in self._told.items()):
            self._objective, self._told = objective, {}
            self._search = ForecastSearch(
                self._domain, objective=objective, prior=self._belief.prior, seed=self._seed
            )
        new = {key: value for key, value in measured.items() if key not in self._told}
        merits = objective.merit(self._belief.inside(list(new.values())))
        for (key, value), merit in zip(new.items(), merits.tolist(), strict=True):
            self._search.tell(key, merit)
            self._told[key] = value
        return self._search
