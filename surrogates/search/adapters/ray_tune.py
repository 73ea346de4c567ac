"""Ray Tune: a search space and trainable of architectures, and any strategy as a searcher.

>>> from ray import tune
>>> from archcast.search import Domain, get_strategy
>>> from archcast.search.adapters.ray_tune import ArchitectureTrainable, StrategySearcher
>>> domain = Domain("nasbench201")  # doctest: +SKIP
>>> train = ArchitectureTrainable(domain, "cifar10/test_accuracy")  # doctest: +SKIP
>>> searcher = StrategySearcher(get_strategy("forecast", domain))  # doctest: +SKIP
>>> config = tune.TuneConfig(
...     metric="cifar10/test_accuracy", mode="max", search_alg=searcher, num_samples=100
... )  # doctest: +SKIP
>>> tune.Tuner(train, tune_config=config).fit()  # doctest: +SKIP
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archcast.encoders._files import write_atomically
from archcast.encoders.errors import InvalidSettingError
from archcast.search.adapters._common import Problem, Wanted, missing
from archcast.search.adapters._parameters import Parameters
from archcast.search.domain import Domain
from archcast.search.strategy import Proposal, Strategy

try:
    from ray import tune
    from ray.tune.search import Searcher
except ImportError as _error:
    raise missing("Ray Tune") from _error

__all__ = ["ArchitectureTrainable", "StrategySearcher", "param_space"]


def param_space(domain: Domain | str) -> dict[str, Any]:
    """A domain's choices for ``tune.Tuner(param_space=...)``: ``tune.choice`` a parameter.

    Raises:
        InvalidSettingError: the space has no fixed choices.
    """
    space = domain.space if isinstance(domain, Domain) else Domain(domain).space
    parameters = Parameters.of(space)
    parts = zip(parameters.names, parameters.options, strict=True)
    return {name: tune.choice(list(labels)) for name, labels in parts}


class ArchitectureTrainable:
    """A function of a trial's config for ``tune.Tuner``, which reports what it scores.

    A config has the choices of :func:`param_space`, or ``spec``, an architecture's text. Reported
    are the objectives by name, ``spec``, and ``low``, ``high`` and ``source`` of the first
    objective. What is no architecture, or breaks a constraint, reports NaN and ``why``.

    Args:
        domain: the architectures, or the name of a space.
        objectives: one or several; see :class:`~archcast.search.adapters.Problem`.

    Raises:
        InvalidSettingError: an objective is not known.

    Reference:
        Liaw et al., "Tune: A Research Platform for Distributed Model Selection and Training",
        2018.
    """

    def __init__(self, domain: Domain | str, objectives: Wanted | Sequence[Wanted]) -> None:
        self.problem = Problem(domain, objectives)
        self.__name__ = self.__qualname__ = "architecture"  # Tune names experiments by it

    def score(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What a config scores, as it is reported.

        Raises:
            InvalidSettingError: a choice is missing or unknown.
            InvalidSpecError: ``spec`` is not of the space.
        """
        problem = self.problem
        given = config.get("spec")
        spec = problem.parameters.choose(config) if given is None else problem.domain.text(given)
        names = [objective.name for objective in problem.objectives]
        if spec is None or not problem.domain.feasible([spec])[0]:
            why = "it breaks a constraint" if spec else "no architecture makes these choices"
            return {**dict.fromkeys(names, math.nan), "spec": spec or "", "why": why}
        found = problem.scored([spec])[0]
        facts = {"low": found.low[0], "high": found.high[0], "source": found.origins[0]}
        return {**dict(zip(names, found.values, strict=True)), "spec": spec, **facts}

    def __call__(self, config: dict[str, Any]) -> None:
        """Score a config and report it to Tune."""
        tune.report(self.score(config))


class StrategySearcher(Searcher):
    """Any strategy as a ``search_alg``: a config has ``spec`` and ``fidelity``.

    A trial that fails is told as not measured. Tune saves the searcher beside the experiment, so
    ``tune.Tuner.restore`` goes on with what it knew.

    Args:
        strategy: proposes; told whatever Tune's trials report in the end.
        metric: what is reported, a list for several objectives in the strategy's order; Tune's
            own setting if None.
        mode: ``max`` or ``min``, a list for several.

    Raises:
        InvalidSettingError: not one metric for each of the strategy's objectives.
    """

    def __init__(
        self,
        strategy: Strategy,
        metric: str | list[str] | None = None,
        mode: str | list[str] | None = None,
    ) -> None:
        super().__init__(metric=metric, mode=mode)  # type: ignore[arg-type]  (lists work, too)
        self.strategy = strategy
        self._live: dict[str, Proposal] = {}
        self._check(metric)

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take metric and mode of ``TuneConfig``; a ``param_space`` beside it is refused."""
        del spec
        if config:
            return False
        self._metric = metric or self._metric
        self._mode = mode or self._mode or "max"
        self._check(self._metric)
        return True

    def suggest(self, trial_id: str) -> Any:
        """The next config; None while others are measured first, FINISHED at the end."""
        found = self.strategy.ask(1)
        if not found:
            return None if self._live else Searcher.FINISHED
        self._live[trial_id] = found[0]
        return {"spec": found[0].spec, "fidelity": found[0].fidelity}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the strategy what a trial reported last."""
        proposal = self._live.pop(trial_id, None)
        if proposal is None:
            return
        names, modes = _listed(self._metric), _listed(self._mode)
        merits = [math.nan] * self.strategy.objectives
        if result and not error:
            values = [float(result.get(name, math.nan)) for name in names]
            signs = [1.0 if mode == "max" else -1.0 for mode in modes]
            merits = [sign * value for sign, value in zip(signs, values, strict=True)]
        self.strategy.tell(proposal.spec, merits, proposal.fidelity)

    def save(self, checkpoint_path: str) -> None:
        """Keep what was told, as JSON."""
        told = [
            [m.spec, [None if math.isnan(v) else v for v in m.merits], m.fidelity]
            for m in self.strategy.history
        ]
        live = {trial: list(proposal) for trial, proposal in self._live.items()}
        text = json.dumps({"told": told, "live": live}).encode()
        write_atomically(Path(checkpoint_path), lambda file: file.write(text))

    def restore(self, checkpoint_path: str) -> None:
        """Tell a new strategy what was saved.

        Raises:
            InvalidSettingError: the strategy was told other measurements already.
        """
        if self.strategy.history:
            raise InvalidSettingError("restore a searcher with a strategy that was told nothing")
        kept = json.loads(Path(checkpoint_path).read_text())
        for spec, merits, fidelity in kept["told"]:
            self.strategy.tell(spec, [math.nan if v is None else v for v in merits], fidelity)
        self._live = {trial: Proposal(*proposal) for trial, proposal in kept["live"].items()}

    def _check(self, metric: str | list[str] | None) -> None:
        if metric is not None and len(_listed(metric)) != self.strategy.objectives:
            raise InvalidSettingError(
                f"{self.strategy.objectives} objective(s) are told, but the metric is {metric!r}"
            )


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
