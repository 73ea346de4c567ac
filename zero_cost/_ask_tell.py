"""What searches with a budget share: asking, telling, counting, and being interrupted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast.encoders.errors import InvalidSettingError
from archcast.zero_cost.aggregate import score_table

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a search found.

    Attributes:
        best: index of the architecture with the highest value.
        value: its value; NaN only if the objective failed for all that were asked for.
        queried: (q,) indices in the order they were asked for, q ≤ budget, none twice.
        values: (q,) their values; NaN where the objective failed.
    """

    best: int
    value: float
    queried: NDArray[np.int64]
    values: FloatArray

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SearchResult):
            return NotImplemented
        return (
            self.best == other.best
            and np.array_equal(self.queried, other.queried)
            and np.array_equal(self.values, other.values, equal_nan=True)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have none either


class ProxyGuided(ABC):
    """A search among N architectures that are known by their scores only.

    ``ask`` names the architecture to measure next, ``tell`` takes its value, until ``ask``
    answers None: the budget is spent, or nothing is left. No architecture is asked for twice, so
    that there are never more than ``budget`` measurements. Asking again before telling repeats
    the question. All random numbers follow from the seed and from how far the search has come:
    an interrupted search that is restored from :meth:`state` goes on as if nothing had happened.

    Args:
        scores: k names -> (N,) scores, NaN where not applicable.
        budget: measurements, at most; more than N is the same as N.
        seed: of the random numbers.

    Raises:
        InvalidSettingError: no architectures, no scores, or a budget below one.
        ShapeError: scores of different lengths.
    """

    def __init__(self, scores: Mapping[str, ArrayLike], budget: int, seed: int = 0) -> None:
        self._table = score_table(scores)
        self.names = tuple(scores)
        if not len(self._table):
            raise InvalidSettingError("there is no architecture to choose from")
        if budget < 1:
            raise InvalidSettingError(f"the budget is at least one measurement, not {budget}")
        self.budget = min(int(budget), len(self._table))
        self.seed = int(seed)
        self._values: dict[int, float] = {}

    def __len__(self) -> int:
        """Measurements so far."""
        return len(self._values)

    @abstractmethod
    def _next(self) -> int:
        """The next architecture; not measured yet. Called with measurements left to spend."""

    def ask(self) -> int | None:
        """The index of the architecture to measure next, or None at the end."""
        return None if len(self._values) >= self.budget else self._next()

    def tell(self, index: int, value: float) -> None:
        """Take a measurement.

        Args:
            index: what :meth:`ask` answered; a value known beforehand may be told, too, and counts.
            value: the objective, higher is better; NaN or infinite if it could not be measured,
                which counts as a measurement and is never the best.

        Raises:
            InvalidSettingError: no such architecture, one already told, the budget is spent, or
                the value is no number.
        """
        if not 0 <= index < len(self._table):
            raise InvalidSettingError(f"there is no architecture {index}")
        if index in self._values:
            raise InvalidSettingError(f"architecture {index} was measured before")
        if len(self._values) >= self.budget:
            raise InvalidSettingError(f"the budget of {self.budget} measurements is spent")
        try:
            found = float(
                "" if isinstance(value, str | bytes) else value
            )  # a text is no measurement
        except (TypeError, ValueError):
            raise InvalidSettingError(
                f"the objective of architecture {index} is a number, not {value!r}"
            ) from None
        self._values[int(index)] = found if np.isfinite(found) else float("nan")

    def result(self) -> SearchResult:
        """The best so far; the first of equals.

        Raises:
            InvalidSettingError: nothing was measured yet.
        """
        if not self._values:
            raise InvalidSettingError("nothing was measured yet")
        queried, values = self._told()
        best = int(np.argmax(np.where(np.isnan(values), -np.inf, values)))
        return SearchResult(int(queried[best]), float(values[best]), queried, values)

    def state(self) -> dict[str, Any]:
        """Where the search stands, as plain numbers and lists (JSON, except for NaN values)."""
        return {
            "kind": type(self).__name__,
            "architectures": len(self._table),
            "names": list(self.names),
            "budget": self.budget,
            "seed": self.seed,
            "queried": list(self._values),
            "values": list(self._values.values()),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state` was taken; made with the same arguments as then.

        Raises:
            InvalidSettingError: the state is of another kind of search, or of other arguments.
        """
        own = self.state()
        for name in ("kind", "architectures", "names", "budget", "seed"):
            if state.get(name) != own[name]:
                raise InvalidSettingError(
                    f"this state is of a search with {name} {state.get(name)!r}, not {own[name]!r}"
                )
        self._values = dict(zip(state["queried"], state["values"], strict=True))

    def _told(self) -> tuple[NDArray[np.int64], FloatArray]:
        return np.array(list(self._values), np.int64), np.array(list(self._values.values()))

    def _worth(self) -> dict[int, float]:
        """Value of each measured architecture; a failed one is as bad as the worst."""
        known = [value for value in self._values.values() if not np.isnan(value)]
        worst = min(known, default=0.0)
        return {i: worst if np.isnan(v) else v for i, v in self._values.items()}


def run(search: ProxyGuided, objective: Callable[[int], float]) -> SearchResult:
    """Ask and tell until the end.

    Args:
        search: a search, fresh or restored.
        objective: index of an architecture -> its value, higher is better.

    Returns:
        What was found.
    """
    while (index := search.ask()) is not None:
        search.tell(index, objective(index))
    return search.result()
