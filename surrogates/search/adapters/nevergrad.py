"""nevergrad: the space as a parametrization, a loss, and any strategy as an optimizer.

>>> import nevergrad as ng
>>> from archcast.search.adapters.nevergrad import ArchitectureLoss
>>> loss = ArchitectureLoss("nasbench201", "cifar10/test_accuracy")  # doctest: +SKIP
>>> optimizer = ng.optimizers.NGOpt(loss.parametrization, budget=100)  # doctest: +SKIP
>>> loss.spec(optimizer.minimize(loss).value)  # doctest: +SKIP
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from archcast.encoders.errors import InfeasibleError, InvalidSettingError
from archcast.search.adapters._common import Problem, Wanted, missing
from archcast.search.domain import Domain
from archcast.search.strategy import Proposal, Strategy

try:
    import nevergrad as ng
    from nevergrad.optimization.base import Optimizer
except ImportError as _error:
    raise missing("nevergrad") from _error

__all__ = ["ArchitectureLoss", "StrategyOptimizer"]

#: Loss of what is no architecture, breaks a constraint or could not be measured.
WORST: Final = 1e15


class ArchitectureLoss:
    """A function to minimise: the choices of an architecture to its loss, or a list of losses.

    Args:
        domain: the architectures, or the name of a space.
        objectives: one or several; see :class:`~archcast.search.adapters.Problem`.

    Raises:
        InvalidSettingError: the space has no fixed choices, or an objective is not known.

    Reference:
        Bennet et al., "Nevergrad: Black-Box Optimization Platform", SIGEVOlution 2021.
    """

    def __init__(self, domain: Domain | str, objectives: Wanted | Sequence[Wanted]) -> None:
        self.problem = Problem(domain, objectives)
        self._parameters = self.problem.parameters

    @property
    def parametrization(self) -> Any:
        """A new ``ng.p.Dict`` of one ``ng.p.Choice`` a parameter.

        What is no architecture, or breaks the domain's constraints, is a cheap constraint:
        nevergrad draws again before it asks for a loss.
        """
        parts = zip(self._parameters.names, self._parameters.options, strict=True)
        found = ng.p.Dict(**{name: ng.p.Choice(list(labels)) for name, labels in parts})
        if self.problem.domain.constraints or self._parameters.partial:
            found.register_cheap_constraint(self.allowed)
        return found

    def spec(self, value: Mapping[str, Any]) -> str | None:
        """The architecture of a candidate's ``value``; None if it is none."""
        return self._parameters.choose(value)

    def value(self, spec: str) -> dict[str, Any]:
        """A candidate's ``value`` that gives an architecture: the inverse of :meth:`spec`."""
        return dict(self._parameters.labels(spec))

    def allowed(self, value: Mapping[str, Any]) -> bool:
        """Whether it is an architecture that meets the constraints."""
        spec = self.spec(value)
        return spec is not None and bool(self.problem.domain.feasible([spec])[0])

    def __call__(self, value: Mapping[str, Any]) -> float | list[float]:
        """The loss, lower is better; a list of several objectives.

        ``1e15`` where there is no architecture, a constraint is broken, or no value was measured.
        """
        if not self.allowed(value):
            losses = [WORST] * len(self.problem.objectives)
        else:
            found = self.problem.losses([str(self.spec(value))])[0].tolist()
            losses = [WORST if math.isnan(loss) else loss for loss in found]
        return losses if len(losses) > 1 else losses[0]


class StrategyOptimizer(Optimizer):
    """A strategy of archcast in the place of one of ``ng.optimizers``.

    Args:
        loss: what is minimised; its parametrization is used.
        strategy: made for the same domain, of one objective.
        budget: evaluations in all.
        num_workers: evaluations at once.

    Raises:
        InvalidSettingError: the strategy is for another domain or number of objectives, or, when
            asked, measures at several fidelities.
    """

    def __init__(
        self,
        loss: ArchitectureLoss,
        strategy: Strategy,
        budget: int | None = None,
        num_workers: int = 1,
    ) -> None:
        if strategy.domain is not loss.problem.domain:
            raise InvalidSettingError("strategy and loss have different domains; give them one")
        if strategy.objectives != 1 or len(loss.problem.objectives) != 1:
            raise InvalidSettingError("this optimizer is for one objective")
        super().__init__(loss.parametrization, budget=budget, num_workers=num_workers)
        self.loss = loss
        self.strategy = strategy
        self._proposals: dict[str, Proposal] = {}

    def _internal_ask_candidate(self) -> Any:
        found = self.strategy.ask(1)
        if not found:
            raise InfeasibleError("every architecture was asked for; give a smaller budget")
        if found[0].fidelity < 1:
            self.strategy.forget(found[0])
            raise InvalidSettingError(
                f"{self.strategy.name} measures at several fidelities, which nevergrad does not "
                "know; use the strategy itself"
            )
        candidate = self.parametrization.spawn_child(new_value=self.loss.value(found[0].spec))
        self._proposals[candidate.uid] = found[0]
        return candidate

    def _internal_tell_candidate(self, candidate: Any, loss: Any) -> None:
        asked = self._proposals.pop(candidate.uid, None)
        spec = self.loss.spec(candidate.value) if asked is None else asked.spec
        if spec is not None:
            merit = float("nan") if loss >= WORST else -float(loss)
            self.strategy.tell(spec, merit, 1.0 if asked is None else asked.fidelity)

    def _internal_tell_not_asked(self, candidate: Any, loss: Any) -> None:
        self._internal_tell_candidate(candidate, loss)
