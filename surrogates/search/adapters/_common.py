"""``Problem``: what every adapter shows its optimizer: architectures in, objectives out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from archcast._tasks import get_task, tasks
from archcast.encoders._words import shown
from archcast.encoders.errors import EvaluationError, InvalidSettingError, MissingExtraError
from archcast.search.adapters._parameters import Parameters
from archcast.search.domain import Domain
from archcast.search.forecaster import Forecaster
from archcast.search.objectives import Objective

__all__ = ["Measure", "Problem", "Scored", "Wanted", "missing"]

FloatArray = NDArray[np.float64]
Origin = Literal["forecast", "cost", "measured"]


@dataclass(frozen=True, slots=True)
class Measure:
    """An objective that a function of one's own measures: a training, a table, a formula.

    Attributes:
        objective: its name, direction and unit.
        function: canonical text of an architecture -> value in the objective's unit; NaN if it
            could not be measured.
    """

    objective: Objective
    function: Callable[[str], float]


#: An objective: a task or cost by name, an objective, a forecaster, a function of one's own.
Wanted = str | Objective | Forecaster | Measure


@dataclass(frozen=True, slots=True)
class Scored:
    """What an architecture scores.

    Attributes:
        spec: its canonical text.
        values: of the objectives, each in its unit.
        low: lower ends of the 90 % intervals; the value itself where it is no forecast.
        high: upper ends.
        origins: where each value is from: ``forecast``, ``cost`` or ``measured``.
    """

    spec: str
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    origins: tuple[Origin, ...]


class Problem:
    """Objectives of architectures: forecasts, costs that are known, measurements of one's own.

    Args:
        domain: the architectures, or the name of a space without constraints.
        objectives: one or several: the name of a task or of one of the domain's costs; an
            :class:`Objective` (a cost if the domain knows one of its name, a forecast otherwise);
            a :class:`Forecaster`; or a :class:`Measure`.

    Raises:
        InvalidSettingError: no objective, two of one name, or a name that is not known.
    """

    def __init__(self, domain: Domain | str, objectives: Wanted | Sequence[Wanted]) -> None:
        self.domain = Domain(domain) if isinstance(domain, str) else domain
        single = isinstance(objectives, get_args(Wanted))
        wanted: Sequence[Any] = [objectives] if single else list(objectives)  # type: ignore[arg-type]
        self._sources = [_source(self.domain, one) for one in wanted]
        self.objectives = tuple(source.objective for source in self._sources)
        names = [objective.name for objective in self.objectives]
        if not names or len(set(names)) < len(names):
            raise InvalidSettingError(
                f"objectives have different names, one at least; these are {', '.join(names)}"
            )

    @cached_property
    def parameters(self) -> Parameters:
        """The space as categorical parameters.

        Raises:
            InvalidSettingError: its architectures are no lists of choices.
        """
        return Parameters.of(self.domain.space)

    @property
    def measured(self) -> bool:
        """Whether a function of one's own is called for an objective."""
        return any(source.origin == "measured" for source in self._sources)

    def scored(self, specs: Sequence[str]) -> list[Scored]:
        """What n architectures score.

        Raises:
            EvaluationError: a function of one's own gave no number.
            NotFittedError: a forecaster only ranks as yet; see :class:`Forecaster`.
        """
        if not specs:
            return []
        parts = [source.answer(specs) for source in self._sources]
        values, low, high = (np.stack([part[at] for part in parts], 1) for at in range(3))
        origins: tuple[Origin, ...] = tuple(source.origin for source in self._sources)
        rows = zip(specs, values.tolist(), low.tolist(), high.tolist(), strict=True)
        return [Scored(s, tuple(v), tuple(lo), tuple(hi), origins) for s, v, lo, hi in rows]

    def values(self, specs: Sequence[str]) -> FloatArray:
        """(n, K) values of the K objectives, each in its unit."""
        rows: list[Any] = [one.values for one in self.scored(specs)]
        return np.array(rows, np.float64).reshape(len(specs), len(self.objectives))

    def losses(self, specs: Sequence[str]) -> FloatArray:
        """(n, K) values turned so that lower is better."""
        return -self.merits(self.values(specs))

    def merits(self, values: FloatArray) -> FloatArray:
        """(n, K) values turned so that higher is better."""
        columns = zip(self.objectives, values.T, strict=True)
        return np.stack([objective.merit(column) for objective, column in columns], 1)

    def violations(self, specs: Sequence[str]) -> FloatArray:
        """(n, C) by how much each of the domain's constraints is missed; 0 where it is kept."""
        columns = [c.violation(self.domain.cost(c.cost, specs)) for c in self.domain.constraints]
        return np.stack(columns, 1) if columns else np.zeros((len(specs), 0))


def missing(package: str, extra: str = "optimizers") -> MissingExtraError:
    """The error that names what to install."""
    return MissingExtraError(f"this adapter needs {package}: pip install 'archcast[{extra}]'")


@dataclass(frozen=True, slots=True)
class _Source:
    objective: Objective
    origin: Origin
    answer: Callable[[Sequence[str]], tuple[FloatArray, FloatArray, FloatArray]]


def _source(domain: Domain, wanted: Wanted) -> _Source:
    if isinstance(wanted, Measure):
        return _Source(wanted.objective, "measured", _Measured(wanted))
    if isinstance(wanted, Forecaster):
        return _Source(wanted.objective, "forecast", _Forecast(wanted))
    objective = _named(domain, wanted) if isinstance(wanted, str) else wanted
    if not isinstance(objective, Objective):
        raise InvalidSettingError(
            f"{shown(wanted)} is no objective; give a name, an Objective, a Forecaster or a Measure"
        )
    if objective.name in domain.costs:
        return _Source(objective, "cost", _Cost(domain, objective.name))
    return _Source(objective, "forecast", _Forecast(Forecaster(domain, objective)))


def _named(domain: Domain, name: str) -> Objective:
    if name in domain.costs:
        return Objective(name, "min")
    known = [task.name for task in tasks()]
    if name not in known:
        costs = ", ".join(domain.costs) or "none"
        raise InvalidSettingError(
            f"{name!r} is neither a task ({', '.join(known)}) nor a cost of the domain ({costs}); "
            f"give the domain such a cost (costs=[{name!r}]), an Objective or a Measure"
        )
    task = get_task(name)
    return Objective(name, task.direction, task.unit)


# Classes, not closures, so that a problem can be sent to other processes.
@dataclass(frozen=True, slots=True)
class _Measured:
    measure: Measure

    def __call__(self, specs: Sequence[str]) -> tuple[FloatArray, FloatArray, FloatArray]:
        values = np.array([self._one(spec) for spec in specs], np.float64)
        return values, values, values

    def _one(self, spec: str) -> float:
        found: Any = self.measure.function(spec)
        try:
            return float(found)
        except (TypeError, ValueError) as error:
            raise EvaluationError(
                f"{self.measure.objective.name}: the function gave {shown(found)} for {spec}, "
                "no number"
            ) from error


@dataclass(frozen=True, slots=True)
class _Forecast:
    forecaster: Forecaster

    def __call__(self, specs: Sequence[str]) -> tuple[FloatArray, FloatArray, FloatArray]:
        found = self.forecaster.forecast(specs)
        return found.values, found.low, found.high


@dataclass(frozen=True, slots=True)
class _Cost:
    domain: Domain
    name: str

    def __call__(self, specs: Sequence[str]) -> tuple[FloatArray, FloatArray, FloatArray]:
        values = self.domain.cost(self.name, specs)
        return values, values, values
