"""Ask and tell as in scikit-optimize: lists of choices in, lists out, and it minimises.

>>> from archcast.search.adapters.ask_tell import Optimizer
>>> optimizer = Optimizer([[1, 2, 3], ["relu", "gelu"]], "evolution", random_state=0)
>>> x = optimizer.ask()
>>> result = optimizer.tell(x, 0.25)
>>> result.fun, result.x == x
(0.25, True)

Strategies that forecast need to know the networks: ``Optimizer(dimensions, "forecast",
to_network=...)``, or a :class:`~archcast.search.Domain` in place of the dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast.encoders._words import shown
from archcast.encoders.errors import EvaluationError, InfeasibleError, InvalidSettingError
from archcast.search._registry import get_strategy
from archcast.search.choices import ChoiceSpace
from archcast.search.domain import Domain
from archcast.search.strategy import Proposal, Strategy

__all__ = ["OptimizeResult", "Optimizer"]

#: A point: the choices in the order of the dimensions, or an architecture's text.
Point = list[Any] | str


@dataclass(eq=False)
class OptimizeResult:
    """What was found so far; the names are scikit-optimize's.

    Attributes:
        x: the best point; None before any was told.
        fun: its value, the least; NaN before any was told.
        x_iters: all points, in the order they were told.
        func_vals: (t,) their values.
    """

    x: Point | None = None
    fun: float = math.nan
    x_iters: list[Point] = field(default_factory=list)
    func_vals: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


class Optimizer:
    """Any strategy behind scikit-optimize's ``ask``, ``tell``, ``run`` and ``get_result``.

    Args:
        dimensions: for each place of a point a list of choices, or a pair (low, high) of integers,
            both included; or a domain, whose points are the architectures' texts.
        strategy: a strategy by name, or one that was made for a domain; ``dimensions`` is its
            domain then.
        to_network: from a point to a network, whatever :func:`archcast.encoders.read` takes, for
            strategies that forecast; with lists of choices only.
        input_shape: of modules that ``to_network`` gives, batch first.
        random_state: seed of a strategy by name.
        options: arguments of a strategy by name.

    Raises:
        InvalidSettingError: dimensions that are none, no such strategy, or one that measures at
            several fidelities.

    Reference:
        Head et al., "scikit-optimize", 2021, https://scikit-optimize.github.io: the interface.
    """

    def __init__(
        self,
        dimensions: Domain | Sequence[Sequence[Any]],
        strategy: str | Strategy = "forecast",
        *,
        to_network: Callable[[list[Any]], Any] | None = None,
        input_shape: Any = None,
        random_state: int = 0,
        **options: Any,
    ) -> None:
        self._lists = None if isinstance(dimensions, Domain) else _Lists(dimensions)
        if self._lists is None:
            assert isinstance(dimensions, Domain)  # narrows the type
            self.domain = dimensions
        else:
            space = ChoiceSpace(
                "dimensions",
                {f"x{at}": range(len(values)) for at, values in enumerate(self._lists.options)},
                _Builder(self._lists, to_network),
                input_shape=input_shape,
            )
            self.domain = Domain(space)
        if isinstance(strategy, Strategy):
            if strategy.domain is not dimensions:
                raise InvalidSettingError("the strategy was made for another domain; give that")
            self.strategy = strategy
        else:
            self.strategy = get_strategy(strategy, self.domain, seed=random_state, **options)
        if self.strategy.objectives != 1:
            raise InvalidSettingError("ask and tell are for one objective here; use the strategy")
        self._points: list[Point] = []
        self._values: list[float] = []

    def ask(self, n_points: int | None = None) -> Any:
        """The next point, or a list of ``n_points``.

        Raises:
            InfeasibleError: nothing is left to ask for.
            InvalidSettingError: the strategy wants to measure at less than the full training.
        """
        found = self.strategy.ask(1 if n_points is None else n_points)
        for proposal in found:
            if proposal.fidelity < 1:
                raise InvalidSettingError(
                    f"{self.strategy.name} measures at several fidelities, which ask and tell "
                    "here do not know; use the strategy itself"
                )
        if not found:
            raise InfeasibleError("every point was asked for; nothing is left")
        points = [self._point(proposal) for proposal in found]
        return points[0] if n_points is None else points

    def tell(self, x: Any, y: Any) -> OptimizeResult:
        """Take a value, or as many as there are points in a list; lower is better.

        Args:
            x: a point, or a list of points.
            y: its value, or a list of values; NaN or infinite for what could not be measured.

        Raises:
            InvalidSettingError: not one value for each point.
            InvalidSpecError: a point is not of the space.
        """
        several = np.ndim(y) > 0
        points, values = (list(x), list(y)) if several else ([x], [y])
        if len(points) != len(values):
            raise InvalidSettingError(f"{len(points)} points, but {len(values)} values")
        for point, value in zip(points, values, strict=True):
            spec = point if isinstance(point, str) else self._spec(point)
            self.strategy.tell(spec, -float(value))
            self._points.append(point)
            self._values.append(float(value))
        return self.get_result()

    def run(self, func: Callable[[Any], float], n_iter: int = 1) -> OptimizeResult:
        """Ask for points, call a function with each, and tell what it gave."""
        for _ in range(n_iter):
            point = self.ask()
            self.tell(point, _number(func(point)))
        return self.get_result()

    def get_result(self) -> OptimizeResult:
        """What was found so far."""
        values = np.array(self._values, np.float64)
        if not np.isfinite(values).any():
            return OptimizeResult(None, math.nan, list(self._points), values)
        best = int(np.argmin(np.where(np.isfinite(values), values, np.inf)))
        return OptimizeResult(self._points[best], self._values[best], list(self._points), values)

    # ----------------------------------------------------------------- private
    def _point(self, proposal: Proposal) -> Point:
        if self._lists is None:
            return proposal.spec
        return self._lists.point(self.domain.space.parse(proposal.spec))

    def _spec(self, point: Sequence[Any]) -> str:
        if self._lists is None:
            return self.domain.text(point)
        return self.domain.text(self._lists.cell(point))


class _Lists:
    """Points of one's own choices, told to a space by their numbers: values may be anything."""

    def __init__(self, dimensions: Sequence[Sequence[Any]]) -> None:
        self.options = [_options(at, dimension) for at, dimension in enumerate(dimensions)]
        if not self.options:
            raise InvalidSettingError("a point has one dimension at least")

    def point(self, cell: Any) -> list[Any]:
        return [values[part[0]] for values, part in zip(self.options, cell, strict=True)]

    def cell(self, point: Sequence[Any]) -> tuple[tuple[int], ...]:
        if len(point) != len(self.options):
            raise InvalidSettingError(f"a point has {len(self.options)} values, not {len(point)}")
        for at, (values, value) in enumerate(zip(self.options, point, strict=True)):
            if value not in values:
                raise InvalidSettingError(f"dimension {at} has no choice {shown(value)}")
        return tuple((v.index(x),) for v, x in zip(self.options, point, strict=True))


@dataclass(frozen=True, slots=True)
class _Builder:
    """From numbered choices to the network of a point."""

    lists: _Lists
    to_network: Callable[[list[Any]], Any] | None

    def __call__(self, choices: dict[str, int]) -> Any:
        if self.to_network is None:
            raise InvalidSettingError("a strategy that forecasts needs to_network")
        pairs = zip(self.lists.options, choices.values(), strict=True)
        return self.to_network([values[at] for values, at in pairs])


def _options(at: int, dimension: Sequence[Any]) -> list[Any]:
    if isinstance(dimension, tuple) and len(dimension) == 2:
        low, high = dimension
        if isinstance(low, int) and isinstance(high, int) and low < high:
            return list(range(low, high + 1))
        if isinstance(low, float) or isinstance(high, float):
            raise InvalidSettingError(
                f"dimension {at} is an interval of real numbers, which no architecture has; "
                "list the values to choose from"
            )
    if isinstance(dimension, str) or not isinstance(dimension, Sequence) or not len(dimension):
        raise InvalidSettingError(f"dimension {at} is {shown(dimension)}, no list of choices")
    return list(dimension)


def _number(value: ArrayLike) -> float:
    try:
        return float(np.asarray(value, np.float64))
    except (TypeError, ValueError) as error:
        raise EvaluationError(f"the function gave {shown(value)}, which is no number") from error
