"""Optuna: an objective, a sampler that proposes by forecasts, a pruner that forecasts curves.

>>> import optuna
>>> from archcast.search.adapters.optuna import ArchitectureObjective, ForecastSampler
>>> objective = ArchitectureObjective("nasbench201", "cifar10/test_accuracy")  # doctest: +SKIP
>>> study = optuna.create_study(
...     directions=objective.directions, sampler=ForecastSampler(objective, seed=0)
... )  # doctest: +SKIP
>>> study.optimize(objective, n_trials=100)  # doctest: +SKIP
>>> study.best_trial.user_attrs["spec"]  # doctest: +SKIP

A study that trains networks of its own keeps its function; the sampler reads its parameters:
``ForecastSampler(to_network, Objective("mine/accuracy", "max", "%"))``.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from archcast.encoders.errors import InvalidSettingError
from archcast.search.adapters._common import Problem, Scored, Wanted, missing
from archcast.search.domain import Domain
from archcast.search.journal import Journal

try:
    import optuna
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import TrialState
except ImportError as _error:
    raise missing("Optuna", "search") from _error

from archcast.search.adapters._optuna_pruner import CurvePruner
from archcast.search.adapters._optuna_sampler import ForecastSampler

__all__ = ["ArchitectureObjective", "CurvePruner", "ForecastSampler"]


class ArchitectureObjective:
    """A function of a trial for ``study.optimize``: suggests an architecture, and scores it.

    A trial's ``user_attrs`` tell ``spec`` (the architecture's text), ``interval`` (90 %, one pair
    an objective), ``source`` (``forecast``, ``cost`` or ``measured``, one an objective), and
    ``why`` where it was pruned or answered without measuring.

    An architecture is measured once a study: another trial with the same is answered with what
    was found. With ``journal`` that holds for all processes that share the file, and for a study
    that was killed; what another process is measuring just now is pruned. Forecasts and costs
    cost nothing and are given again.

    Args:
        domain: the architectures, or the name of a space.
        objectives: one or several; see :class:`~archcast.search.adapters.Problem`.
        infeasible: what becomes of an architecture that breaks the domain's constraints:
            ``prune``, or ``answer`` for samplers that handle constraints. By how much they are
            broken is told to Optuna either way (by ``trial.set_constraint``; before Optuna 5 by
            ``constraints_func=objective.constraints`` of the sampler).
        journal: file of measurements.

    Raises:
        InvalidSettingError: the space has no fixed choices, or an objective is not known.

    Reference:
        Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", KDD 2019.
    """

    def __init__(
        self,
        domain: Domain | str,
        objectives: Wanted | Sequence[Wanted],
        *,
        infeasible: Literal["prune", "answer"] = "prune",
        journal: str | os.PathLike[str] | None = None,
    ) -> None:
        if infeasible not in ("prune", "answer"):
            raise InvalidSettingError(f"infeasible is 'prune' or 'answer', not {infeasible!r}")
        self.problem = Problem(domain, objectives)
        self.parameters = self.problem.parameters
        self.infeasible = infeasible
        self.journal = journal
        self._kept: tuple[int, Journal] | None = None
        self._turn = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Without the open journal: every process opens its own."""
        return {k: v for k, v in vars(self).items() if k not in ("_kept", "_turn")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _kept=None, _turn=threading.Lock())

    @property
    def directions(self) -> list[Literal["maximize", "minimize"]]:
        """For ``create_study``: ``maximize`` or ``minimize``, one an objective."""
        kinds = [objective.direction for objective in self.problem.objectives]
        return ["maximize" if kind == "max" else "minimize" for kind in kinds]

    @property
    def distributions(self) -> dict[str, CategoricalDistribution]:
        """Optuna's names and distributions of the choices."""
        parts = zip(self.parameters.names, self.parameters.options, strict=True)
        return {name: CategoricalDistribution(labels) for name, labels in parts}

    def enqueue(self, study: optuna.Study, specs: Iterable[str]) -> None:
        """Let a study try given architectures first."""
        for spec in specs:
            study.enqueue_trial(dict(self.parameters.labels(spec)))

    def constraints(self, trial: Any) -> list[float]:
        """By how much each constraint of the domain is missed: a ``constraints_func``."""
        count = len(self.problem.domain.constraints)
        return list(trial.user_attrs.get("violation", [1e30] * count))

    def __call__(self, trial: optuna.Trial) -> float | tuple[float, ...]:
        """Score the architecture of a trial.

        Returns:
            The objective's value, or a tuple of several.

        Raises:
            optuna.TrialPruned: no architecture makes these choices, it breaks a constraint, it
                failed before, or another process is measuring it.
        """
        labels = {
            name: trial.suggest_categorical(name, options)
            for name, options in zip(self.parameters.names, self.parameters.options, strict=True)
        }
        spec = self.parameters.choose(labels)
        if spec is None:
            raise _pruned(trial, "no architecture makes these choices")
        trial.set_user_attr("spec", spec)
        self._constrain(trial, spec)
        values = self._values(trial, spec)
        return values[0] if len(self.problem.objectives) == 1 else values

    # ----------------------------------------------------------------- private
    def _constrain(self, trial: optuna.Trial, spec: str) -> None:
        constraints = self.problem.domain.constraints
        if not constraints:
            return
        missed = [min(float(m), 1e30) for m in self.problem.violations([spec])[0]]
        trial.set_user_attr("violation", missed)
        tell: Any = getattr(trial, "set_constraint", None)  # since Optuna 5
        if tell is not None:
            for constraint, amount in zip(constraints, missed, strict=True):
                tell(str(constraint), amount)
        if self.infeasible == "prune" and any(missed):
            broken = [str(c) for c, m in zip(constraints, missed, strict=True) if m]
            raise _pruned(trial, f"it breaks {' and '.join(broken)}")

    def _values(self, trial: optuna.Trial, spec: str) -> tuple[float, ...]:
        if not self.problem.measured:
            return self._told(trial, self.problem.scored([spec])[0])
        if self.journal is not None:
            return self._journaled(trial, spec)
        for other in trial.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            if other.user_attrs.get("spec") == spec and "source" in other.user_attrs:
                trial.set_user_attr("why", f"trial {other.number} has measured it")
                return tuple(other.values)
        return self._told(trial, self.problem.scored([spec])[0])

    def _journaled(self, trial: optuna.Trial, spec: str) -> tuple[float, ...]:
        journal = self._opened()
        if not journal.claim(spec):
            known = next((t for t in journal.trials() if t.spec == spec and t.fidelity == 1), None)
            if known is not None and known.state == "done":
                trial.set_user_attr("why", "the journal has it")
                return known.values
            failed = known is not None and known.state == "failed"
            note = f"it failed before: {known.note}" if known and failed else "another measures it"
            raise _pruned(trial, note)
        started = time.monotonic()
        try:
            values = self._told(trial, self.problem.scored([spec])[0])
        except Exception as error:
            journal.fail(spec, seconds=time.monotonic() - started, note=repr(error))
            raise
        except BaseException:  # Ctrl-C: it was never finished
            journal.release(spec)
            raise
        journal.finish(spec, values, seconds=time.monotonic() - started)
        return values

    def _told(self, trial: optuna.Trial, found: Scored) -> tuple[float, ...]:
        trial.set_user_attr("interval", [list(p) for p in zip(found.low, found.high, strict=True)])
        trial.set_user_attr("source", list(found.origins))
        return found.values

    def _opened(self) -> Journal:
        """This process's connection; threads share it."""
        with self._turn:
            if self._kept is None or self._kept[0] != os.getpid():
                facts = {
                    "space": self.problem.domain.space.name,
                    "objectives": [f"{o.name}:{o.direction}" for o in self.problem.objectives],
                }
                self._kept = os.getpid(), Journal(self.journal, facts)
            return self._kept[1]


def _pruned(trial: optuna.Trial, why: str) -> optuna.TrialPruned:
    trial.set_user_attr("why", why)
    return optuna.TrialPruned(why)
