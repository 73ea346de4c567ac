"""Syne Tune: architectures as a blackbox of its simulator, forecast or looked up.

>>> from syne_tune.blackbox_repository import UserBlackboxBackend
>>> from archcast.search import simulate
>>> from archcast.search.adapters.syne_tune import SimulationBlackbox
>>> blackbox = SimulationBlackbox(simulate("nasbench201", task))  # doctest: +SKIP
>>> backend = UserBlackboxBackend(blackbox, elapsed_time_attr="elapsed_time")  # doctest: +SKIP

Importing it takes two seconds and brings pandas, scikit-learn and xgboost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import InvalidSettingError, InvalidSpecError
from archcast.search.adapters._common import Problem, Wanted, missing
from archcast.search.adapters._parameters import Parameters
from archcast.search.domain import Domain
from archcast.search.objectives import Objective

if TYPE_CHECKING:
    from archcast.search.simulation import Simulation

try:
    from syne_tune.config_space import choice, randint

    try:
        from syne_tune.blackbox_repository.blackbox import Blackbox
    except ModuleNotFoundError:  # before 0.15
        Blackbox: Any = import_module("syne_tune.blackbox_repository.blackbox_base").Blackbox
except ImportError as _error:
    raise missing("Syne Tune") from _error

__all__ = ["ArchitectureBlackbox", "SimulationBlackbox"]

FloatArray = NDArray[np.float64]
ELAPSED: Final = "elapsed_time"
RESOURCE: Final = "epoch"
#: Merit of what is no architecture, breaks a constraint, or was not measured.
WORST: Final = -1e30
#: Greatest number of epochs that shares of a training are written in.
_LONGEST: Final = 1000


class _ChoicesBlackbox(Blackbox):
    """Configurations are the choices of a space; the last objective is the time so far."""

    def __init__(
        self, parameters: Parameters, objectives: Sequence[Objective], resources: Sequence[int]
    ) -> None:
        self.parameters = parameters
        self.objectives = tuple(objectives)
        self._resources = np.array(resources, int)
        parts = zip(parameters.names, parameters.options, strict=True)
        super().__init__(
            configuration_space={name: choice(list(labels)) for name, labels in parts},
            fidelity_space={RESOURCE: randint(int(min(resources)), int(max(resources)))},
            objectives_names=[*(objective.name for objective in objectives), ELAPSED],
        )

    @property
    def fidelity_values(self) -> NDArray[np.int_]:
        """Numbers of epochs, ascending."""
        return self._resources

    def spec(self, configuration: Mapping[str, Any]) -> str | None:
        """The architecture of a configuration; None if there is none."""
        return self.parameters.choose(configuration)

    def _objective_function(
        self,
        configuration: dict[str, Any],
        fidelity: dict[str, Any] | None = None,
        seed: int | None = None,
    ) -> dict[str, float] | FloatArray:
        del seed
        table = self._table(self.spec(configuration))
        if fidelity is None:
            return table
        names: Any = self.objectives_names
        row = int(np.searchsorted(self._resources, fidelity[RESOURCE], side="right")) - 1
        return dict(zip(names, table[max(row, 0)].tolist(), strict=True))

    def _table(self, spec: str | None) -> FloatArray:
        """(fidelities, objectives + 1) values."""
        raise NotImplementedError

    def _worst(self) -> FloatArray:
        values = [float(objective.merit(WORST)) for objective in self.objectives]
        return np.tile([*values, 0.0], (len(self._resources), 1))


class ArchitectureBlackbox(_ChoicesBlackbox):
    """Objectives of architectures, forecast, known or measured, at the end of the training only.

    Args:
        domain: the architectures, or the name of a space.
        objectives: one or several; see :class:`~archcast.search.adapters.Problem`.
        seconds: what a training takes on the simulator's clock, or a function from an
            architecture's text to it.

    Raises:
        InvalidSettingError: the space has no fixed choices, or an objective is not known.

    Reference:
        Salinas et al., "Syne Tune: A Library for Large Scale Hyperparameter Tuning and
        Reproducible Research", AutoML 2022.
    """

    def __init__(
        self,
        domain: Domain | str,
        objectives: Wanted | Sequence[Wanted],
        seconds: float | Callable[[str], float] = 1.0,
    ) -> None:
        self.problem = Problem(domain, objectives)
        self._seconds = seconds
        super().__init__(self.problem.parameters, self.problem.objectives, [1])

    def _table(self, spec: str | None) -> FloatArray:
        if spec is None or not self.problem.domain.feasible([spec])[0]:
            return self._worst()
        values = self.problem.values([spec])[0]
        if np.isnan(values).any():
            return self._worst()
        seconds = self._seconds(spec) if callable(self._seconds) else self._seconds
        return np.array([[*values, seconds]], np.float64)


class SimulationBlackbox(_ChoicesBlackbox):
    """A benchmark's table with its fidelities and training seconds.

    What the benchmark did not train has the worst value at once: in NAS-Bench-101's sample that is
    most of what is drawn at random.

    Args:
        simulation: made by :func:`archcast.search.simulate`; its clock stands still, because Syne
            Tune has one of its own.
        epochs: of the full training, the unit of Syne Tune's resource; the least number that
            makes all measured shares whole if None.
        seconds: of a full training where the benchmark does not tell.

    Raises:
        InvalidSettingError: the space has no fixed choices, or shares are no whole epochs.
    """

    def __init__(
        self, simulation: Simulation, epochs: int | None = None, seconds: float = 1.0
    ) -> None:
        self.simulation = simulation
        self._seconds = seconds
        shares = simulation.fidelities
        total = _whole(shares) if epochs is None else epochs
        resources = [round(share * total) for share in shares]
        if min(resources) < 1 or len(set(resources)) < len(shares):
            raise InvalidSettingError(f"{epochs} epochs do not tell shares {shares} apart")
        super().__init__(Parameters.of(simulation.domain.space), [simulation.objective], resources)

    def _table(self, spec: str | None) -> FloatArray:
        if spec is None or not self.simulation.domain.feasible([spec])[0]:
            return self._worst()
        rows = self._worst()
        for at, share in enumerate(self.simulation.fidelities):
            try:
                found = self.simulation.look_up(spec, share)
            except InvalidSpecError:  # the benchmark trained a part of its space only
                return self._worst()
            time = found.seconds if math.isfinite(found.seconds) else share * self._seconds
            rows[at, 1] = time
            if not math.isnan(found.value):
                rows[at, 0] = found.value
        return rows


def _whole(shares: Sequence[float]) -> int:
    for total in range(1, _LONGEST + 1):
        if all(abs(share * total - round(share * total)) < 1e-6 for share in shares):
            return total
    return _LONGEST
