"""Searches that a forecast guides: archcast's own, and BANANAS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from archcast.search.acquisition import expected_hypervolume_improvement
from archcast.search.domain import Domain
from archcast.search.forecaster import Forecaster
from archcast.search.objectives import Objective
from archcast.search.pareto import non_dominated
from archcast.search.strategies._guided import GuidedSearch
from archcast.search.strategies._targets import known, named
from archcast.search.strategy import Measured, Proposal

if TYPE_CHECKING:
    from archcast.encoders.graph import ComputeGraph
    from archcast.predictors import Predictor

__all__ = ["Bananas", "ForecastSearch"]

FloatArray = NDArray[np.float64]
#: Standard deviations of the prior's scores that draws of the opening are spread by.
_SPREAD: Final = 0.5
#: In a large space: rounds of climbing from the best candidates, and how many climb.
_CLIMBS: Final = 3
_CLIMBERS: Final = 10
#: Share of an objective's measured range by which the hypervolume's corner lies below it.
_BELOW: Final = 0.1
_GRAPHS: Final = 5000


class ForecastSearch(GuidedSearch):
    """What archcast knows of other spaces, corrected by each measurement; expected improvement.

    The first architectures are those the prior thinks best, with some chance; from then on a
    :class:`~archcast.search.Forecaster` learns from all measurements at each step. What is to be
    improved on is the highest forecast among the measured, so that a lucky measurement does not
    stop the search. Several proposals at once are chosen one after the other, each as if those
    before it (and those still being measured) had come out as expected.

    With several objectives it is the expected improvement of the hypervolume; objectives that
    are costs of the domain are known exactly, others are forecast independently.

    Args:
        domain: the architectures to choose from.
        objective: what is told: an objective, or all of them in order. It chooses the prior (see
            :class:`~archcast.search.Forecaster`) and the scale; one that is called like a cost of
            the domain is looked up there.
        prior: a fitted predictor, in place of those that ship.
        start: measurements that the prior alone chooses.
        pool: candidates in a space too large to be looked at as a whole.
        acquisition: for one objective; see :func:`archcast.search.get_acquisition`.
        seed: of the random numbers.
        objectives: how many objectives are told.

    Raises:
        InvalidSettingError: a setting makes no sense.

    Reference:
        Jones, Schonlau and Welch, "Efficient Global Optimization of Expensive Black-Box
        Functions", Journal of Global Optimization 1998; Ginsbourger, Le Riche and Carraro,
        "Kriging is well-suited to parallelize optimization", 2010, for several at once.
    """

    name = "forecast"
    multi_objective = True
    _fewest = 1

    def __init__(
        self,
        domain: Domain,
        *,
        objective: Objective | Sequence[Objective] | None = None,
        prior: Predictor | None = None,
        start: int = 3,
        pool: int = 1000,
        acquisition: str = "ei",
        seed: int = 0,
        objectives: int = 1,
    ) -> None:
        super().__init__(
            domain, start=start, pool=pool, acquisition=acquisition, seed=seed,
            objectives=objectives,
        )  # fmt: skip
        self.targets = named(objective, objectives)
        self._forecasters = [
            None if target.name in domain.costs else Forecaster(domain, target, prior=prior)
            for target in self.targets
        ]

    # -------------------------------------------------------------------- model
    def _fit(self, measured: Sequence[Measured]) -> None:
        specs = [m.spec for m in measured]
        for at, forecaster in enumerate(self._forecasters):
            if forecaster is not None:
                merits = np.array([m.merits[at] for m in measured])
                forecaster.learn(specs, self.targets[at].merit(merits))

    def _moments(self, specs: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        mean, std = self._expected(specs, [])
        return mean[:, 0], std[:, 0]

    def _expected(
        self, specs: Sequence[str], beside: Sequence[str]
    ) -> tuple[FloatArray, FloatArray]:
        """(n, objectives) expected merits and their standard deviations, 0 for costs."""
        columns = []
        for target, forecaster in zip(self.targets, self._forecasters, strict=True):
            if forecaster is None:
                own = known(self.domain, target, specs)
                assert own is not None
                columns.append((own, np.zeros(len(specs))))
            else:
                columns.append(forecaster.moments(specs, beside=beside))
        return np.stack([c[0] for c in columns], 1), np.stack([c[1] for c in columns], 1)

    # ----------------------------------------------------------------- choosing
    def _opening(self, n: int, rng: np.random.Generator) -> Sequence[Proposal]:
        pool = self._pool(rng)
        if not pool:
            return []
        mean = self._expected(pool, [])[0]
        spread = mean.std(0)
        unit = (mean - mean.mean(0)) / np.where(spread > 0, spread, 1.0)
        found: dict[str, None] = {}
        for _ in range(n):
            # Each draw weighs the objectives anew, so that several ends of a front are tried.
            weights = rng.dirichlet(np.ones(self.objectives))
            drawn = (unit + _SPREAD * rng.standard_normal(unit.shape)) @ weights
            found[pool[int(drawn.argmax())]] = None
        return [Proposal(spec) for spec in found]

    def _pool(self, rng: np.random.Generator) -> list[str]:
        pool = super()._pool(rng)
        if self._whole() is not None or not pool:
            return pool
        for _ in range(_CLIMBS):
            best = self._different(pool, self._promise(pool, [], rng), _CLIMBERS)
            near = [s for spec in best for s in self._neighbours(spec)]
            more = self._new([near[at] for at in rng.permutation(len(near))[: self.pool // 2]])
            pool = list(dict.fromkeys([*pool, *more]))
        return pool

    def _choose(self, pool: list[str], n: int, rng: np.random.Generator) -> list[str]:
        found: list[str] = []
        beside = [p.spec for p in self.pending]
        for _ in range(min(n, len(pool))):
            worth = self._promise(pool, [*beside, *found], rng)
            taken = set(found)
            order = np.argsort(-worth, kind="stable").tolist()
            found.append(next(pool[at] for at in order if pool[at] not in taken))
        return found

    def _promise(
        self, pool: Sequence[str], beside: Sequence[str], rng: np.random.Generator
    ) -> FloatArray:
        """(n,) what measuring each candidate is worth."""
        mean, std = self._expected(pool, beside)
        measured = self.completed()
        if not self._learned:
            return mean.sum(1)
        if self.objectives == 1:
            best = float(self._moments([m.spec for m in measured])[0].max())
            return self._worth(mean[:, 0], std[:, 0], best, rng)
        front, low, span = self._front(measured)
        gain = expected_hypervolume_improvement(
            (mean - low) / span, std / span, (front - low) / span, np.full(len(low), -_BELOW)
        )
        if gain.max() > 0:
            return gain
        return ((mean - low) / span).sum(1)  # nothing is expected to reach above the corner

    def _front(self, measured: Sequence[Measured]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Measured merits that none dominates, on the scale of forecasts; least, and range."""
        columns = []
        for at, (target, forecaster) in enumerate(
            zip(self.targets, self._forecasters, strict=True)
        ):
            merits = np.array([m.merits[at] for m in measured])
            own = merits if forecaster is None else forecaster.merit(target.merit(merits))
            columns.append(own)
        table = np.stack(columns, 1)
        low, span = table.min(0), np.ptp(table, 0)
        return table[non_dominated(table)], low, np.where(span > 0, span, 1.0)


class Bananas(GuidedSearch):
    """An ensemble of nets on path encodings, independent Thompson sampling, mutations of the best.

    As published: ten random architectures, a new ensemble after every ten measurements, and
    candidates that are mutations of the best. Of each draw the greatest is measured. Where all
    neighbours of the best were measured, candidates are random.

    Args:
        domain: the architectures to choose from.
        start: measurements at random before the first ensemble.
        refit: measurements from one ensemble to the next.
        pool: candidates.
        acquisition: see :func:`archcast.search.get_acquisition`.
        members: nets.
        epochs: passes over the labels.
        seed: of the random numbers.
        objectives: 1.

    Raises:
        InvalidSettingError: a setting makes no sense.

    Reference:
        White, Neiswanger and Savani, "BANANAS: Bayesian Optimization with Neural Architectures for
        Neural Architecture Search", AAAI 2021.
    """

    name = "bananas"

    def __init__(
        self,
        domain: Domain,
        *,
        start: int = 10,
        refit: int = 10,
        pool: int = 100,
        acquisition: str = "its",
        members: int = 5,
        epochs: int = 150,
        seed: int = 0,
        objectives: int = 1,
    ) -> None:
        super().__init__(
            domain, start=start, refit=refit, pool=pool, acquisition=acquisition, seed=seed,
            objectives=objectives,
        )  # fmt: skip
        self.members, self.epochs = members, epochs
        self._graphs: dict[str, ComputeGraph] = {}

    def _fit(self, measured: Sequence[Measured]) -> None:
        from archcast.predictors import get_predictor

        self._model = get_predictor(
            "bananas", members=self.members, epochs=self.epochs, seed=self.seed
        )
        merits = [m.merits[0] for m in measured]
        self._model.fit(self._read([m.spec for m in measured]), merits)

    def _moments(self, specs: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        return self._model._moments(self._read(specs))

    def _pool(self, rng: np.random.Generator) -> list[str]:
        near = self._mutants(self.pool, rng)
        return near or self._new(self.domain.sample(self.pool, rng))

    def _read(self, specs: Sequence[str]) -> list[ComputeGraph]:
        """Graphs, read once."""
        missing = [s for s in dict.fromkeys(specs) if s not in self._graphs]
        if len(self._graphs) + len(missing) > _GRAPHS:
            self._graphs.clear()
            missing = list(dict.fromkeys(specs))
        self._graphs.update(zip(missing, self.domain.graphs(missing), strict=True))
        return [self._graphs[s] for s in specs]
