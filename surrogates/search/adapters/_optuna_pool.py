"""Architectures of Optuna's parameters: their names, features, and candidates for a trial."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution, IntDistribution

from archcast.encoders import read
from archcast.encoders.errors import EvaluationError
from archcast.encoders.tabular import feature_names, tabular

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from archcast.search.adapters.optuna import ArchitectureObjective

__all__ = ["KnownPool", "Pool", "ReadPool", "discrete"]

FloatArray = NDArray[np.float64]
Space = Mapping[str, "BaseDistribution"]
#: Values of an integer parameter up to which it is a list of choices.
_VALUES: Final = 1024
#: Candidates drawn for each one that is wanted, before one gives up to find more.
_DRAWS: Final = 4
#: Probability that a neighbour differs in a second choice.
_SECOND: Final = 0.3


class Pool(Protocol):
    """Where a sampler's candidates come from; they have names, and features by name."""

    @property
    def costs(self) -> Sequence[str]:
        """Names of what is known of architectures without forecasts."""
        ...

    def name(self, params: Mapping[str, Any]) -> str | None:
        """The architecture of a trial's parameters; None if they make none."""
        ...

    def params(self, name: str) -> dict[str, Any]:
        """Parameters that make an architecture: the inverse of :meth:`name`."""
        ...

    def features(self, specs: Sequence[str]) -> NDArray[np.float32]:
        """(n, F) features."""
        ...

    def cost(self, name: str, specs: Sequence[str]) -> FloatArray:
        """(n,) values of a cost."""
        ...

    def draw(
        self,
        space: Space,
        best: list[str],
        n: int,
        rng: np.random.Generator,
        seen: set[str],
    ) -> list[str]:
        """Up to n candidates that were not seen, half of them near the best."""
        ...


class KnownPool:
    """Of a search space: candidates meet the constraints, and move as the space does."""

    def __init__(self, objective: ArchitectureObjective) -> None:
        self._domain = objective.problem.domain
        self._parameters = objective.parameters

    @property
    def costs(self) -> Sequence[str]:
        """The domain's costs."""
        return tuple(self._domain.costs)

    def name(self, params: Mapping[str, Any]) -> str | None:
        """The architecture's text."""
        return self._parameters.choose(params)

    def params(self, name: str) -> dict[str, Any]:
        """The choices that make it."""
        return dict(self._parameters.labels(name))

    def features(self, specs: Sequence[str]) -> NDArray[np.float32]:
        """(n, F) features."""
        return self._domain.features(specs)

    def cost(self, name: str, specs: Sequence[str]) -> FloatArray:
        """(n,) values of a cost of the domain."""
        return self._domain.cost(name, specs)

    def draw(
        self, space: Space, best: list[str], n: int, rng: np.random.Generator, seen: set[str]
    ) -> list[str]:
        """Up to n new candidates; of a small space whatever is left."""
        del space
        found: dict[str, None] = {}
        everything = self._domain.everything(n)
        if everything is not None:
            return [spec for spec in everything if spec not in seen]
        for spec in best:
            near = [other for other in self._domain.neighbours(spec) if other not in seen]
            rng.shuffle(near)
            found.update(dict.fromkeys(near[: max(1, n // (2 * len(best)))]))
        drawn = self._domain.sample(n - len(found), rng)
        found.update(dict.fromkeys(spec for spec in drawn if spec not in seen))
        return list(found)


class ReadPool:
    """Of a person's own parameters: every network is read once."""

    def __init__(self, to_network: Callable[[dict[str, Any]], Any], input_shape: Any) -> None:
        self._to_network = to_network
        self._input_shape = input_shape
        self._rows: dict[str, NDArray[np.float32] | None] = {}
        self._error: Exception | None = None

    @property
    def costs(self) -> Sequence[str]:
        """None: everything is forecast."""
        return ()

    def name(self, params: Mapping[str, Any]) -> str | None:
        """The parameters as JSON, if they make a network."""
        text = json.dumps(dict(params), sort_keys=True)
        return text if self._row(text) is not None else None

    def params(self, name: str) -> dict[str, Any]:
        """The parameters."""
        return json.loads(name)

    def features(self, specs: Sequence[str]) -> NDArray[np.float32]:
        """(n, F) features."""
        rows: list[Any] = [self._row(spec) for spec in specs]
        return np.array(rows, np.float32).reshape(len(rows), len(feature_names()))

    def cost(self, name: str, specs: Sequence[str]) -> FloatArray:
        """There are none.

        Raises:
            KeyError: always.
        """
        raise KeyError(name, specs)

    def draw(
        self, space: Space, best: list[str], n: int, rng: np.random.Generator, seen: set[str]
    ) -> list[str]:
        """Up to n new candidates that make a network.

        Raises:
            EvaluationError: no choice makes one.
        """
        names = list(space)
        options = [_options(space[name]) for name in names]
        starts = [
            [opts.index(self.params(b)[k]) for k, opts in zip(names, options, strict=True)]
            for b in best
        ]
        found: dict[str, None] = {}
        for attempt in range(_DRAWS * n):
            if len(found) >= n:
                break
            at = rng.integers([len(values) for values in options]).tolist()
            if starts and attempt % 2:
                at = _near(starts[int(rng.integers(len(starts)))], at, rng)
            chosen = {k: opts[i] for k, opts, i in zip(names, options, at, strict=True)}
            text = json.dumps(chosen, sort_keys=True)
            if text not in seen and self._row(text) is not None:
                found[text] = None
        if self._error is not None and not any(row is not None for row in self._rows.values()):
            raise EvaluationError(
                f"to_network made no network of any parameters tried; last: {self._error}"
            ) from self._error
        return list(found)

    def _row(self, text: str) -> NDArray[np.float32] | None:
        if text not in self._rows:
            try:
                graph = read(self._to_network(json.loads(text)), self._input_shape)
                self._rows[text] = tabular([graph]).values[0]
            except Exception as error:  # a person's function may raise anything
                self._rows[text] = None
                self._error = error
        return self._rows[text]


def discrete(space: Space) -> dict[str, BaseDistribution]:
    """The parameters that are lists of choices, and leave something to choose."""
    return {
        name: distribution
        for name, distribution in space.items()
        if not distribution.single()
        and (
            isinstance(distribution, CategoricalDistribution)
            or (isinstance(distribution, IntDistribution) and len(_range(distribution)) <= _VALUES)
        )
    }


def _options(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    return list(_range(distribution))


def _range(distribution: Any) -> range:
    return range(distribution.low, distribution.high + 1, distribution.step)


def _near(start: list[int], other: list[int], rng: np.random.Generator) -> list[int]:
    """A start with one or two of its choices taken from another."""
    count = 1 + int(rng.random() < _SECOND)
    places = set(rng.permutation(len(start))[:count].tolist())
    return [o if at in places else s for at, (s, o) in enumerate(zip(start, other, strict=True))]
