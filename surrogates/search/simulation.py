"""``simulate``: a benchmark's table in place of training, with a clock."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from archcast.datasets import Benchmark, load
from archcast.datasets.transfers import lower_is_better
from archcast.encoders.errors import InvalidSettingError, InvalidSpecError
from archcast.encoders.spaces import get_space
from archcast.search._table_domain import Rows, TableDomain
from archcast.search._training_seconds import training_seconds
from archcast.search.domain import Cost
from archcast.search.evaluation import Result
from archcast.search.objectives import Constraint, Objective

__all__ = ["Lookup", "Simulation", "simulate"]

FloatArray = NDArray[np.float64]
_PERCENT: Final = re.compile(r"accuracy|top\d")
_UNITS: Final = {"_ms": "ms", "_mj": "mJ", "_s": "s"}
#: (benchmark, rows) -> what was found out about them in this process.
_SHARED: dict[tuple[str, bytes], Rows] = {}


class Lookup(NamedTuple):
    """What a simulated training gives.

    Attributes:
        value: the objective, in its unit; NaN where it was not measured at that fidelity.
        seconds: how long it took on the benchmark's machine; NaN where unknown.
        fidelity: share of the full training that the value comes from.
    """

    value: float
    seconds: float
    fidelity: float


class Simulation:
    """An objective that is looked up; made by :func:`simulate`.

    Attributes:
        domain: the measured architectures; strategies propose no others.
        objective: what is searched for.
        fidelities: shares of the full training that were measured, ascending, the last is 1.
            Each is a training of its own, from the start.
        trainings: what was spent since :meth:`reset`, in full trainings.
        seconds: the same on the clock of one worker; NaN where times are unknown.
    """

    def __init__(
        self,
        domain: TableDomain,
        objective: Objective,
        values: dict[float, FloatArray],
        reported: FloatArray,
        times: FloatArray | None,
        single: FloatArray | None,
        seed: int,
    ) -> None:
        self.domain = domain
        self.objective = objective
        self.fidelities = tuple(sorted(values))
        self._values = values
        self._reported = reported
        self._times = times
        self._single = single
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Set the clock to zero."""
        self.trainings = 0.0
        self.seconds = 0.0 if self._times is not None else math.nan

    # -------------------------------------------------------------------- a training
    def evaluate(self, spec: str, fidelity: float = 1.0) -> Lookup:
        """Train an architecture: look it up, and let the clock run on.

        Args:
            spec: an architecture of :attr:`domain`.
            fidelity: share of the full training; the longest measured one that is no longer.

        Raises:
            InvalidSpecError: it was not measured.
            InvalidSettingError: no training as short was measured.
        """
        result = self.look_up(spec, fidelity)
        self.trainings += result.fidelity
        self.seconds += result.seconds
        return result

    def __call__(self, spec: str, fidelity: float = 1.0) -> Result:
        """:meth:`evaluate` as a study takes it."""
        found = self.evaluate(spec, fidelity)
        return Result(found.value, found.seconds)

    def look_up(self, spec: str, fidelity: float = 1.0) -> Lookup:
        """As :meth:`evaluate`, but the clock stands still."""
        share = self._share(fidelity)
        at = self.domain.table.at(spec)
        seconds = math.nan if self._times is None else float(self._times[at]) * share
        return Lookup(self._value(share, at), seconds, share)

    # --------------------------------------------------------------- what is in the table
    @property
    def values(self) -> FloatArray:
        """(N,) values of the full training, means over its seeds, as ``domain.table.specs``."""
        return self._values[1.0]

    @property
    def optimum(self) -> float:
        """The best value among what meets the constraints."""
        merits = np.where(self._feasible(), self.objective.merit(self.values), -np.inf)
        return float(self.values[int(merits.argmax())])

    def regret(self, value: float) -> float:
        """By how much a value misses the optimum, in the objective's unit; 0 is perfect."""
        return float(self.objective.merit(self.optimum) - self.objective.merit(value))

    def reported(self, spec: str) -> float:
        """What is reported of an architecture in the end: of the task ``report``."""
        return float(self._reported[self.domain.table.at(spec)])

    def reported_regret(self, spec: str) -> float:
        """By how much an architecture misses the best one of the task ``report``."""
        merits = self.objective.merit(self._reported[self._feasible()])
        return float(np.nanmax(merits) - self.objective.merit(self.reported(spec)))

    # ---------------------------------------------------------------------------- private
    def _feasible(self) -> NDArray[np.bool_]:
        return self.domain.feasible(self.domain.table.specs)

    def _share(self, fidelity: float) -> float:
        found = [share for share in self.fidelities if share <= fidelity * (1 + 1e-6)]
        if not found or not fidelity <= 1 + 1e-6:
            raise InvalidSettingError(
                f"no training of {fidelity:g} of the full length was measured; "
                f"there are {', '.join(f'{share:.4g}' for share in self.fidelities)}"
            )
        return found[-1]

    def _value(self, share: float, at: int) -> float:
        if share == 1.0 and self._single is not None:
            measured = self._single[at][np.isfinite(self._single[at])]
            if len(measured):
                pick = np.random.default_rng([self._seed, at]).integers(len(measured))
                return float(measured[pick])
        return float(self._values[share][at])


def simulate(
    benchmark: str | Benchmark,
    task: str,
    *,
    report: str | None = None,
    costs: Sequence[str] = (),
    constraints: Sequence[Constraint | str] = (),
    noise: int | None = None,
) -> Simulation:
    """A task of a benchmark as an objective that costs nothing.

    The predictors that ship with archcast learned from these tables: a search that they guide
    knows the answers. To measure what a strategy is worth, give it a prior without the
    benchmark; ``benchmarks/search.py`` does.

    Args:
        benchmark: a benchmark, or its name.
        task: what is searched for. Shorter trainings of it (``<task>_12_epochs``) are its
            fidelities.
        report: the task that counts in the end, such as test instead of validation accuracy;
            the same if None.
        costs: further columns of the table (``pixel3-cifar10/latency_ms``), or costs known of
            any network (``params``, ``macs``; see :func:`archcast.search.get_cost`).
        constraints: bounds on costs, or texts such as ``params<=1M``.
        noise: give one of the single measurements behind each label, drawn by this seed, rather
            than their mean.

    Raises:
        UnknownDatasetError: no such benchmark.
        UnknownTaskError: it has no such task.
        InvalidSettingError: it is not known which networks its rows are, or single measurements
            are wanted where there are none.
        DownloadError: the data is not here and cannot be fetched.

    Reference:
        Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search", ICML 2019,
        whose tables were the first to be searched like this.
    """
    data = load(benchmark) if isinstance(benchmark, str) else benchmark
    labels = data.labels(task)
    rows = _rows(data, np.isfinite(labels))
    bounds = tuple(Constraint.parse(c) if isinstance(c, str) else c for c in constraints)
    wanted = list(dict.fromkeys([*costs, *(bound.cost for bound in bounds)]))
    domain = TableDomain(
        rows,
        columns={name: data.labels(name) for name in wanted if name in data.tasks},
        costs={name: _computed(name) for name in wanted if name not in data.tasks},
        constraints=bounds,
    )
    values = {share: data.labels(name)[rows.rows] for share, name in _fidelities(data, task)}
    times = training_seconds(data, task)
    single = None if noise is None else data.seeds(task)[rows.rows]
    if single is not None and not single.size:
        raise InvalidSettingError(f"{data.name} tells no single measurements of {task}")
    return Simulation(
        domain,
        Objective(task, "min" if _smaller_is_better(task) else "max", _unit(task)),
        values,
        data.labels(report or task)[rows.rows],
        None if times is None else times[rows.rows],
        single,
        noise or 0,
    )


def _rows(data: Benchmark, measured: NDArray[np.bool_]) -> Rows:
    try:
        get_space(data.space).parse(data.specs[int(measured.argmax())])
    except InvalidSpecError as error:
        raise InvalidSettingError(
            f"{data.name}: its rows are no architectures of a search space; "
            "take another benchmark or task"
        ) from error
    rows = data.with_graph[measured[data.with_graph]]
    key = (data.name, rows.tobytes())
    if key not in _SHARED or _SHARED[key].benchmark.specs != data.specs:
        _SHARED[key] = Rows(data, rows)
    return _SHARED[key]


def _fidelities(data: Benchmark, task: str) -> list[tuple[float, str]]:
    """Shares of the full training, and the tasks that measured them."""
    full = data.recipe(task).get("epochs")
    found = [(1.0, task)]
    for name in data.tasks:
        match = re.fullmatch(re.escape(task) + r"_(\d+)_epochs", name)
        if match and isinstance(full, (int, float)):
            found.append((int(match[1]) / full, name))
    return found


def _computed(name: str) -> Cost:
    from archcast.search.costs import get_cost

    return get_cost(name)


def _smaller_is_better(task: str) -> bool:
    return lower_is_better(task) or "error" in task


def _unit(task: str) -> str:
    metric = task.rpartition("/")[2]
    if _PERCENT.search(metric):
        return "%"
    return next((unit for end, unit in _UNITS.items() if metric.endswith(end)), "")
