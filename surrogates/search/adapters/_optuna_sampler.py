"""``ForecastSampler``: Optuna's next trial, by what is forecast of architectures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from optuna.samplers import BaseSampler, TPESampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import StudyDirection
from optuna.trial import TrialState

from archcast.encoders.errors import InvalidSettingError
from archcast.predictors import Predictor
from archcast.search.acquisition import expected_hypervolume_improvement, get_acquisition
from archcast.search.adapters._optuna_pool import KnownPool, Pool, ReadPool, discrete
from archcast.search.forecaster import Forecaster
from archcast.search.objectives import Objective

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from archcast.search.adapters.optuna import ArchitectureObjective

__all__ = ["ForecastSampler"]

FloatArray = NDArray[np.float64]
#: Candidates a trial; those whose networks have to be read take a tenth of a second each.
_KNOWN, _READ = 256, 64
#: Best architectures whose neighbours are candidates.
_PARENTS: Final = 10
#: Spread of a merit that is known exactly, as a share of the merits' range.
_EXACT: Final = 1e-9


class ForecastSampler(BaseSampler):
    """Proposes what an acquisition values most, by a forecaster that learns from the study.

    Candidates are drawn at random and from the neighbours of the best trials; nothing that is
    known or being tried is proposed again, as long as something else is left. The forecaster's
    prior knows other search spaces, so the first proposals are informed already.

    The parameters it chooses are categorical ones and integers, of the objective or, with a
    function, of all trials so far (``search_space`` tells them beforehand). Others, such as a
    learning rate, are left to ``independent_sampler``; every architecture is tried once, whatever
    they were, so where they decide much, fix them first or take ``@archcast.search.surrogate``.

    Args:
        source: an :class:`~archcast.search.adapters.optuna.ArchitectureObjective`; or a function
            from a trial's categorical and integer parameters, a dict, to a network:
            whatever :func:`archcast.encoders.read` takes. None, or an error, for choices that
            make no network.
        objectives: what the study's values are, with a function only; names choose priors. Names
            without meaning and the study's directions if None.
        prior: a fitted predictor for the first objective; the usual one if None.
        acquisition: for one objective; see :func:`archcast.search.acquisition.get_acquisition`.
            Several are searched by expected hypervolume improvement.
        startup: trials of the independent sampler before the first proposal.
        candidates: architectures that are compared for a trial; 256, or 64 with a function.
        search_space: distributions of the parameters, with a function only.
        input_shape: of modules that the function gives, batch first.
        independent_sampler: for all other parameters; TPE if None.
        seed: the same seed and the same trials give the same proposals.

    Raises:
        InvalidSettingError: a setting makes no sense, or contradicts the study's directions.
    """

    def __init__(
        self,
        source: ArchitectureObjective | Callable[[dict[str, Any]], Any],
        objectives: Objective | Sequence[Objective] | None = None,
        *,
        prior: Predictor | None = None,
        acquisition: str = "log-ei",
        startup: int = 0,
        candidates: int | None = None,
        search_space: Mapping[str, BaseDistribution] | None = None,
        input_shape: Any = None,
        independent_sampler: BaseSampler | None = None,
        seed: int | None = None,
    ) -> None:
        self.seed = int(np.random.default_rng().integers(2**31)) if seed is None else int(seed)
        self.acquisition = get_acquisition(acquisition)
        self.startup = startup
        self.prior = prior
        self.independent_sampler = independent_sampler or TPESampler(seed=self.seed)
        known = hasattr(source, "distributions")
        self.candidates = candidates or (_KNOWN if known else _READ)
        if startup < 0 or self.candidates < 2:
            raise InvalidSettingError("startup is 0 or more, and candidates are 2 at least")
        single = isinstance(objectives, Objective)
        self.objectives: tuple[Objective, ...] | None = None
        if known:
            own: Any = source
            self._pool: Pool = KnownPool(own)
            self._space: dict[str, BaseDistribution] | None = dict(own.distributions)
            self.objectives = own.problem.objectives
            if objectives is not None or search_space is not None:
                raise InvalidSettingError(
                    "objectives and search_space are those of the ArchitectureObjective"
                )
        else:
            function: Any = source
            self._pool = ReadPool(function, input_shape)
            self._space = None if search_space is None else discrete(search_space)
            if objectives is not None:
                self.objectives = (objectives,) if single else tuple(objectives)  # type: ignore[arg-type]
        self._seen_space = IntersectionSearchSpace(include_pruned=True)
        self._forecasters: list[Forecaster | None] | None = None
        self._learned: tuple[str, ...] | None = None

    def reseed_rng(self) -> None:
        """Other random numbers for the independent sampler; one's own follow from trials."""
        self.independent_sampler.reseed_rng()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters that are chosen together: those of the architecture."""
        del trial
        self._prepare(study)
        return discrete(self._seen_space.calculate(study)) if self._space is None else self._space

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The choices of the next architecture; none where nothing new is left."""
        if not search_space:
            return {}
        done, values, seen, running = self._history(study, trial, search_space)
        if len(seen) < self.startup:
            return {}
        rng = np.random.default_rng([self.seed, trial.number])
        merits = self._merits(values)
        best = [done[at] for at in _best_first(merits)[:_PARENTS]]
        pool = self._pool.draw(search_space, best, self.candidates, rng, seen)
        pool = self._new(pool, done)
        if not pool:
            return {}
        forecasters = self._prepare(study)
        self._learn(forecasters, done, values)
        worth = self._worth(forecasters, pool, values, running, rng)
        return self._pool.params(pool[int(np.argmax(worth))])

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Any other parameter, by the independent sampler."""
        return self.independent_sampler.sample_independent(
            study, trial, param_name, param_distribution
        )

    # ----------------------------------------------------------------- private
    def _prepare(self, study: Study) -> list[Forecaster | None]:
        """A forecaster an objective; None where it is a cost that is known."""
        if self._forecasters is not None:
            return self._forecasters
        turned = ["max" if d == StudyDirection.MAXIMIZE else "min" for d in study.directions]
        if self.objectives is None:
            named: Any = [Objective(f"study/{at}", d) for at, d in enumerate(turned)]  # type: ignore[arg-type]
            self.objectives = tuple(named)
        if [objective.direction for objective in self.objectives] != turned:
            wanted = [f"{objective.name} {objective.direction}" for objective in self.objectives]
            raise InvalidSettingError(
                f"the study's directions are {', '.join(turned)}, but the objectives' "
                f"{', '.join(wanted)}"
            )
        self._forecasters = [
            None
            if objective.name in self._pool.costs
            else Forecaster(self._pool, objective, prior=None if at else self.prior)
            for at, objective in enumerate(self.objectives)
        ]
        return self._forecasters

    def _history(
        self, study: Study, trial: FrozenTrial, space: dict[str, BaseDistribution]
    ) -> tuple[list[str], FloatArray, set[str], list[str]]:
        """Names and values of what was measured; names of all trials; those still running."""
        found: dict[str, tuple[float, ...]] = {}
        seen: set[str] = set()
        running: dict[str, None] = {}
        for other in study.get_trials(deepcopy=False):
            if other.number == trial.number or not space.keys() <= other.params.keys():
                continue
            name = self._pool.name({key: other.params[key] for key in space})
            if name is None:
                continue
            seen.add(name)
            if other.state == TrialState.RUNNING:
                running[name] = None
            if other.state == TrialState.COMPLETE and np.isfinite(other.values).all():
                found.setdefault(name, tuple(other.values))
        values = np.array(list(found.values()), np.float64).reshape(
            len(found), len(study.directions)
        )
        return list(found), values, seen, [name for name in running if name not in found]

    def _new(self, pool: list[str], done: list[str]) -> list[str]:
        """Candidates whose network is not that of a measured one by another name, if any are."""
        known = {row.tobytes() for row in self._pool.features(done)}
        rows = self._pool.features(pool)
        fresh = [n for n, row in zip(pool, rows, strict=True) if row.tobytes() not in known]
        return fresh or pool

    def _merits(self, values: FloatArray) -> FloatArray:
        if not len(values) or self.objectives is None:
            return values
        columns = zip(self.objectives, values.T, strict=True)
        return np.stack([objective.merit(column) for objective, column in columns], 1)

    def _learn(
        self, forecasters: list[Forecaster | None], done: list[str], values: FloatArray
    ) -> None:
        if self._learned == tuple(done):
            return
        for forecaster, column in zip(forecasters, values.T, strict=False):
            if forecaster is not None:
                forecaster.learn(done, _percent(forecaster.objective, column))
        self._learned = tuple(done)

    def _worth(
        self,
        forecasters: list[Forecaster | None],
        pool: list[str],
        values: FloatArray,
        running: list[str],
        rng: np.random.Generator,
    ) -> FloatArray:
        """(n,) how much it is worth to try each candidate, beside those that are being tried."""
        objectives = self.objectives or ()
        means, stds, merits = [], [], []
        for at, (objective, forecaster) in enumerate(zip(objectives, forecasters, strict=True)):
            column = values[:, at] if len(values) else np.zeros(0)
            if forecaster is None:
                mean = objective.merit(self._pool.cost(objective.name, pool))
                std = np.full(len(pool), _EXACT * (1 + np.ptp(mean)))
                known = objective.merit(column)
            else:
                mean, std = forecaster.moments(pool, beside=running)
                known = forecaster.merit(_percent(objective, column))
            means.append(mean)
            stds.append(std)
            merits.append(known)
        if not len(values):
            return _by_ranks(np.stack(means, 1), rng)
        if len(objectives) == 1:
            return self.acquisition(means[0], stds[0], float(merits[0].max()), rng)
        front = np.stack(merits, 1)
        corner = front.min(0) - 0.1 * (np.ptp(front, axis=0) + 1e-9)
        return expected_hypervolume_improvement(
            np.stack(means, 1), np.stack(stds, 1), front, corner
        )


def _percent(objective: Objective, values: FloatArray) -> FloatArray:
    """Accuracies that a person gives as fractions, in percent where that is the unit."""
    fractions = objective.unit == "%" and len(values) > 0 and float(np.max(values)) <= 1.0
    return values * 100.0 if fractions else values


def _best_first(merits: FloatArray) -> list[int]:
    """Rows in the order of their mean rank over the objectives."""
    if not len(merits):
        return []
    ranks = np.argsort(np.argsort(-merits, axis=0, kind="stable"), axis=0, kind="stable")
    return np.argsort(ranks.mean(1), kind="stable").tolist()


def _by_ranks(means: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Before any measurement: what is expected to be best, objectives weighed at random."""
    spread = means.std(0)
    weights = rng.dirichlet(np.ones(means.shape[1]))
    return (means - means.mean(0)) / np.where(spread > 0, spread, 1.0) @ weights
