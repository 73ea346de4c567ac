"""Costs of an architecture that are known, or forecast, without training it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import InvalidSettingError, InvalidSpecError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces import Space
from archcast.search.domain import Cost, Domain
from archcast.search.objectives import Constraint

if TYPE_CHECKING:
    from archcast.datasets import Benchmark
    from archcast.search.costs._devices import Fit
    from archcast.search.costs._latency import Device

__all__ = ["DeviceCost", "constrained", "cost_names", "cost_unit", "devices", "get_cost"]

FloatArray = NDArray[np.float64]
_BYTES: Final = 4
_MEGA: Final = 1e6
_AT_ONCE: Final = 2048


def _activations(graph: ComputeGraph) -> float:
    """Elements that all operators write."""
    return float((graph.channels_out.astype(np.float64) * graph.extent.prod(1)).sum())


#: Name -> what it is of one graph, and its unit.
_SIZES: Final[Mapping[str, tuple[Callable[[ComputeGraph], float], str]]] = MappingProxyType(
    {
        "params": (lambda graph: float(graph.params), ""),
        "macs": (lambda graph: float(graph.macs), ""),
        "layers": (lambda graph: float(len(graph)), ""),
        "weights_mb": (lambda graph: graph.params * _BYTES / _MEGA, "MB"),
        "activations": (_activations, ""),
    }
)
_METRICS: Final = {"latency_ms": "ms", "energy_mj": "mJ"}
_MEASURED: Final = "measured"


def cost_names() -> list[str]:
    """Names that :func:`get_cost` knows, but for ``measured:<task>`` of each benchmark."""
    named = [f"{metric}:{device}" for metric in _METRICS for device in devices(metric)]
    return [*_SIZES, *named]


def cost_unit(name: str) -> str:
    """Unit of a cost; empty for plain numbers, and for measured tasks, whose names tell it.

    Raises:
        InvalidSettingError: no cost of that name.
    """
    get_cost(name)
    metric = name.partition(":")[0]
    return _SIZES[name][1] if name in _SIZES else _METRICS.get(metric, "")


def devices(metric: str = "latency_ms") -> tuple[str, ...]:
    """Devices that a latency or energy can be forecast for.

    A name ends in the batch where it is not 1 (``titan-rtx-batch32``). Nothing is fetched.

    Args:
        metric: ``latency_ms`` or ``energy_mj``.

    Raises:
        InvalidSettingError: no such metric.
    """
    if metric not in _METRICS:
        raise InvalidSettingError(f"devices have {' and '.join(_METRICS)}, not {metric!r}")
    from archcast.search.costs._devices import sources

    return tuple(sources()[metric])


@cache
def get_cost(name: str) -> Cost:
    """A cost by name.

    * ``params``, ``macs``, ``layers`` (operators), ``weights_mb`` (32-bit parameters),
      ``activations`` (elements that the operators write);
    * ``latency_ms:<device>`` and ``energy_mj:<device>``: forecast, see :class:`DeviceCost`;
    * ``measured:<task>``: looked up in the benchmark of the graph's search space, for example
      ``measured:pixel3-cifar10/latency_ms``; NaN where it was not measured.

    Args:
        name: of the cost; :func:`cost_names` and :func:`devices` list them.

    Returns:
        From n graphs to (n,) values, NaN where an architecture has none.

    Raises:
        InvalidSettingError: no cost of that name; the message has the closest.
    """
    if name in _SIZES:
        return _Size(name)
    kind, _, what = name.partition(":")
    if kind == _MEASURED and what:
        return _Measured(what)
    if kind in _METRICS and what in devices(kind):
        return DeviceCost(what, kind)
    raise InvalidSettingError(f"no cost is called {name!r}; {_hint(name)}")


def constrained(
    space: Space[Any] | str,
    constraints: Sequence[Constraint | str] = (),
    *,
    costs: Sequence[str] | Mapping[str, Cost] = (),
    num_classes: int | None = None,
    image_size: int | None = None,
) -> Domain:
    """A search space with bounds on costs that are known by name.

    Args:
        space: a search space or its name.
        constraints: such as ``"params<=2M"`` or ``"latency_ms:pixel3<=5"``.
        costs: further costs to have at hand, objectives for example: names, or functions by name.
        num_classes: outputs of the networks; the space's own if None.
        image_size: pixels of their input, height and width; the space's own if None.

    Raises:
        InvalidSpecError: no space of that name.
        InvalidSettingError: a constraint that cannot be read, or no cost of that name.
    """
    bounds = [Constraint.parse(c) if isinstance(c, str) else c for c in constraints]
    own = dict(costs) if isinstance(costs, Mapping) else {name: get_cost(name) for name in costs}
    needed = {b.cost: own.get(b.cost) or get_cost(b.cost) for b in bounds}
    return Domain(
        space,
        constraints=bounds,
        costs=own | needed,
        num_classes=num_classes,
        image_size=image_size,
    )


class DeviceCost:
    """Latency or energy of one sample, or one batch where the name says so, on a device.

    Prices of operators, and a correction near the networks that were measured, are fitted to
    whatever the corpus has of the device when a value is first asked for, and kept in the cache.
    A network is judged by its graph: operators that a benchmark ran for nothing are not in it.

    Attributes:
        device: its name.
        metric: ``latency_ms`` or ``energy_mj``.
    """

    def __init__(self, device: str, metric: str = "latency_ms") -> None:
        self.device = device
        self.metric = metric
        self._found: tuple[Device, dict[str, Fit]] | None = None

    def __repr__(self) -> str:
        return f"DeviceCost({self.metric}:{self.device})"

    @property
    def held_out(self) -> Mapping[str, Fit]:
        """Benchmark -> how right it is on networks of it that it was not fitted to.

        Of a space that is not among these, only the prices of operators are known: see
        ``benchmarks/results/latency_devices.md`` for how far they carry.
        """
        return MappingProxyType(self._fitted()[1])

    def __call__(self, graphs: Sequence[ComputeGraph]) -> FloatArray:
        """Forecast n networks.

        Raises:
            DownloadError: the corpus is not here and cannot be fetched.
        """
        from archcast.search.costs._operators import operator_costs

        if not len(graphs):
            return np.zeros(0)
        model = self._fitted()[0]
        starts = range(0, len(graphs), _AT_ONCE)
        parts = [operator_costs(graphs[start : start + _AT_ONCE]) for start in starts]
        return np.concatenate([model.predict(part) for part in parts])

    def _fitted(self) -> tuple[Device, dict[str, Fit]]:
        found = self._found
        if found is None:
            from archcast.search.costs._devices import fitted

            found = fitted(self.device, self.metric, progress=sys.stderr.isatty())
            self._found = found
        return found


class _Size:
    """A number of the graph itself."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, graphs: Sequence[ComputeGraph]) -> FloatArray:
        function = _SIZES[self.name][0]
        return np.array([function(graph) for graph in graphs], np.float64)


class _Measured:
    """What a benchmark has measured of the architecture that a graph is named after."""

    def __init__(self, task: str) -> None:
        self.task = task
        self._tables: dict[str, Benchmark | None] = {}

    def __call__(self, graphs: Sequence[ComputeGraph]) -> FloatArray:
        return np.array([self._value(graph) for graph in graphs], np.float64)

    def _value(self, graph: ComputeGraph) -> float:
        if graph.source not in self._tables:
            self._tables[graph.source] = self._table(graph.source)
        table = self._tables[graph.source]
        try:
            return np.nan if table is None else table.query(graph.name, self.task)
        except InvalidSpecError:  # it is not in the table
            return np.nan

    def _table(self, space: str) -> Benchmark | None:
        from archcast import datasets

        cards = [datasets.info(name) for name in datasets.list_benchmarks()]
        have = [c for c in cards if self.task in c.tasks]
        if not have:
            tasks = {task for c in cards for task in c.tasks}
            near = get_close_matches(self.task, sorted(tasks), n=2, cutoff=0.4)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise InvalidSettingError(f"no benchmark has measured {self.task!r}{hint}")
        return next((datasets.load(c.name) for c in have if space in (c.space, c.name)), None)


def _hint(name: str) -> str:
    near = get_close_matches(name, cost_names(), n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    sizes = ", ".join(_SIZES)
    return f"known: {sizes}, latency_ms:<device>, energy_mj:<device>, measured:<task>"
