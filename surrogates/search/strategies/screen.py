"""Screening: all there is, or a hundred thousand candidates, forecast before any is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from archcast.encoders.errors import InvalidSettingError
from archcast.search.domain import Domain
from archcast.search.fast import FastForecaster, Fidelity
from archcast.search.fast._codes import coder
from archcast.search.fast._hunt import hunt
from archcast.search.forecaster import Forecaster
from archcast.search.objectives import Objective
from archcast.search.strategies._targets import named
from archcast.search.strategy import Proposal, Strategy

if TYPE_CHECKING:
    from archcast.predictors import Predictor

__all__ = ["ScreenSearch", "has_codes"]

#: Up to so many candidates are forecast in full; and no more where a space has no codes.
_DIRECT: Final = 2000
#: Best architectures whose neighbours are forecast, and how many at once.
_PARENTS: Final = 20
_AT_ONCE: Final = 4
_BATCH: Final = 2048


def has_codes(domain: Domain, samples: int = 20_000) -> bool:
    """Whether a hundred thousand candidates of a domain are forecast in seconds.

    So it is in spaces that are small or lists of choices; not where only the rows of a table
    may be proposed.
    """
    return type(domain) is Domain and coder(domain.space, samples) is not None


class ScreenSearch(Strategy):
    """Forecasts everything, or very many, first; then proposes in the order of the forecasts.

    Small spaces are forecast as a whole. Of larger ones, candidates are drawn and bred through a
    :class:`~archcast.search.FastForecaster`; the most promising are forecast in full, and so are
    the neighbours of the best, as long as they are better. Measurements change nothing: it is the
    search of those who train nothing, or only confirm.

    Args:
        domain: the architectures to choose from.
        objective: what is told; it chooses the predictor.
        prior: a fitted predictor, in place of the one that ships.
        candidates: how many are forecast at most. Up to 2,000 are all forecast in full, and no
            more are where the space is neither small nor a list of choices.
        shortlist: of these, how many are forecast in full.
        polish: how many of them are neighbours of the best; half of them at most.
        samples: forecasts in full that fast ones are learned from, in a large space.
        seed: of the random numbers.
        objectives: 1.

    Attributes:
        screened: candidates that were forecast, fast or in full; 0 before the first is asked for.
        fidelity: how near fast forecasts are to the full ones; None where there were none.

    Raises:
        InvalidSettingError: a setting makes no sense.
    """

    name = "screen"

    def __init__(
        self,
        domain: Domain,
        *,
        objective: Objective | None = None,
        prior: Predictor | None = None,
        candidates: int = 100_000,
        shortlist: int = 500,
        polish: int = 1000,
        samples: int = 5000,
        seed: int = 0,
        objectives: int = 1,
    ) -> None:
        super().__init__(domain, seed=seed, objectives=objectives)
        if candidates < 1 or shortlist < 1 or polish < 0:
            raise InvalidSettingError(
                f"{self.name} looks at 1 candidate at least, and at 0 neighbours, not at "
                f"{candidates}, {shortlist} and {polish}"
            )
        self.candidates, self.shortlist = int(candidates), int(shortlist)
        self.polish, self.samples = min(int(polish), self.candidates // 2), int(samples)
        (target,) = named(objective, objectives)
        self.forecaster = Forecaster(domain, target, prior=prior)
        self.screened = 0
        self.fidelity: Fidelity | None = None
        self._order: list[str] | None = None

    def _propose(self, n: int, rng: np.random.Generator) -> Sequence[Proposal]:
        del rng  # what is screened does not depend on when it is asked for
        if self._order is None:
            self._order = self._ranked(np.random.default_rng(self.seed))
        found: list[Proposal] = []
        for spec in self._order:
            if not self._seen(proposal := Proposal(spec)):
                found.append(proposal)
                if len(found) == n:
                    break
        return found

    def _ranked(self, rng: np.random.Generator) -> list[str]:
        """All that was forecast in full, the best first."""
        merits: dict[str, float] = {}
        self._forecast(self._promising(rng), merits)
        if not self._whole:
            self._climb(merits)
        return sorted(merits, key=lambda spec: -merits[spec])

    @property
    def _whole(self) -> bool:
        """Whether everything is looked at."""
        return self.domain.size is not None and self.domain.size <= self.candidates

    def _promising(self, rng: np.random.Generator) -> list[str]:
        """What is to be forecast in full."""
        domain, codes = self.domain, None
        if self.candidates > _DIRECT and type(domain) is Domain:
            codes = coder(domain.space, self.samples)
        if codes is None:
            most = min(self.candidates, _DIRECT)
            whole = domain.everything(most)
            found = domain.sample(max(most - self.polish, 1), rng) if whole is None else whole
            self.screened = len(found)
        else:
            fast = FastForecaster(domain, self.forecaster, samples=self.samples)
            n = self.candidates if self._whole else self.candidates - self.polish
            found = hunt(fast, codes, n, self.shortlist, rng)
            self.screened, self.fidelity = min(n, domain.size or n), fast.fidelity
        return found or domain.sample(self.shortlist, rng)  # or it tells why there is none

    def _climb(self, merits: dict[str, float]) -> None:
        """Forecast the neighbours of the best, until all of the best are known."""
        climbed: set[str] = set()
        left = self.polish
        while left > 0:
            best = sorted(merits, key=lambda spec: -merits[spec])[:_PARENTS]
            parents = [spec for spec in best if spec not in climbed][:_AT_ONCE]
            if not parents:
                return
            climbed.update(parents)
            near = dict.fromkeys(s for spec in parents for s in self.domain.neighbours(spec))
            new = [spec for spec in near if spec not in merits][:left]
            self._forecast(new, merits)
            left -= len(new)
            self.screened += len(new)

    def _forecast(self, specs: Sequence[str], merits: dict[str, float]) -> None:
        for start in range(0, len(specs), _BATCH):
            part = specs[start : start + _BATCH]
            merits.update(zip(part, self.forecaster.moments(part)[0].tolist(), strict=True))
