"""``Forecaster``: what is expected of architectures that were not trained, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast import _transforms
from archcast._shipped import predictor_for, universal
from archcast._tasks import get_task, tasks
from archcast.encoders.errors import InvalidLabelsError, NotFittedError
from archcast.predictors import Predictor, State
from archcast.search.objectives import Objective

__all__ = ["Forecaster", "Forecasts"]

FloatArray = NDArray[np.float64]
#: Rows whose prior forecasts are remembered.
_REMEMBERED: Final = 200_000
_PERCENT: Final = "%"


class Featured(Protocol):
    """What a forecaster asks of a :class:`~archcast.search.Domain`."""

    def features(self, specs: Sequence[str]) -> NDArray[np.float32]:
        """(n, F) features of n architectures by name."""
        ...


@dataclass(frozen=True, eq=False)
class Forecasts:
    """What is expected of n architectures, in the objective's unit.

    Attributes:
        values: (n,) expected values.
        stds: (n,) standard deviations.
        low: (n,) lower ends of the 90 % intervals.
        high: (n,) upper ends.
    """

    values: FloatArray
    stds: FloatArray
    low: FloatArray
    high: FloatArray


class Forecaster:
    """A prior that knows other spaces, corrected by what was measured in this one.

    It works on a scale where higher is better and errors are alike (logit for percentages), on
    which :meth:`moments` answers, for acquisition functions; :meth:`forecast` answers in the
    objective's unit.

    Args:
        domain: gives features by name.
        objective: what is forecast; its direction and unit.
        prior: a fitted predictor; None takes the shipped predictor of a task of the objective's
            name, or the universal one, which ranks without a label and needs a few to speak in
            the objective's unit.
        transform: scale that errors are alike on; ``logit`` for percentages and ``identity``
            otherwise if None.
    """

    def __init__(
        self,
        domain: Featured,
        objective: Objective,
        *,
        prior: Predictor | None = None,
        transform: _transforms.Transform | None = None,
    ) -> None:
        self.domain = domain
        self.objective = objective
        self.prior = Remembered(usual_prior(objective.name) if prior is None else prior)
        natural = None if self.prior.unitless else self.prior.transform
        usual: _transforms.Transform = "logit" if objective.unit == _PERCENT else "identity"
        self.transform: _transforms.Transform = natural or transform or usual
        self._adapted: Predictor | None = None
        self.specs: list[str] = []
        self.values: list[float] = []

    @property
    def labels(self) -> int:
        """Measurements learned from."""
        return len(self.specs)

    @property
    def speaks(self) -> bool:
        """Whether forecasts are in the objective's unit, not mere ranks."""
        return self._adapted is not None or not self.prior.unitless

    def learn(self, specs: Sequence[str], values: ArrayLike) -> None:
        """Take all measurements there are; those of earlier calls are replaced.

        Args:
            specs: n architectures.
            values: (n,) measured values in the objective's unit, finite.

        Raises:
            InvalidLabelsError: not one finite value for each, or one the scale cannot take.
        """
        found = np.asarray(values, np.float64)
        if found.shape != (len(specs),):
            raise InvalidLabelsError(f"{len(specs)} architectures, but values {found.shape}")
        self.specs, self.values = list(specs), found.tolist()
        self._adapted = None
        if len(specs):
            features = self.domain.features(specs)
            labels = self._latent(found) if self.prior.unitless else found
            self._adapted = self.prior.adapt(features, labels)

    def moments(self, specs: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Expected merit and its standard deviation, on the scale that acquisitions work on.

        Returns:
            (n,) means and (n,) standard deviations; higher is better. Without any measurement
            and with a prior that only ranks, scores of the prior.
        """
        predictor = self._adapted or self.prior
        centre, std = predictor._moments(self.domain.features(specs))
        return (centre if self.prior.unitless else self._sign * centre), std

    def merit(self, values: ArrayLike) -> FloatArray:
        """Values in the objective's unit to the scale of :meth:`moments`, same shape."""
        return self._latent(np.asarray(values, np.float64))

    def forecast(self, specs: Sequence[str], p: float = 0.9) -> Forecasts:
        """Forecast n architectures in the objective's unit.

        Raises:
            NotFittedError: nothing was measured yet, and the prior only ranks.
        """
        if not self.speaks:
            raise NotFittedError(
                f"the universal predictor only ranks; learn one value of {self.objective.name} at "
                "least to have forecasts in its unit"
            )
        predictor: Any = self._adapted or self.prior
        features = self.domain.features(specs)
        low, high = predictor.interval(features, p)
        if not self.prior.unitless:
            values, stds = predictor.predict(features, return_std=True)
            return Forecasts(values, stds, low, high)
        centre, std = predictor._moments(features)
        ends = np.stack([self._natural(low), self._natural(high)])
        stds = np.abs(self._natural(centre + std) - self._natural(centre - std)) / 2
        return Forecasts(self._natural(centre), stds, ends.min(0), ends.max(0))

    # ----------------------------------------------------------------- private
    @property
    def _sign(self) -> float:
        return 1.0 if self.objective.direction == "max" else -1.0

    def _latent(self, values: FloatArray) -> FloatArray:
        return self._sign * _transforms.forward(self.transform, values)

    def _natural(self, merits: FloatArray) -> FloatArray:
        return _transforms.backward(self.transform, self._sign * merits)


def usual_prior(name: str) -> Predictor:
    """The shipped predictor of a task of that name, or else the universal one."""
    if name in {task.name for task in tasks()}:
        return predictor_for(get_task(name))
    return universal(name)


class Remembered(Predictor):
    """A fitted predictor that is asked about the same features again and again."""

    kind = "remembered"

    def __init__(self, base: Predictor) -> None:
        self.base = base
        self.unitless = bool(getattr(base, "unitless", False))
        self.centre_, self.spread_, self.constant_ = base.centre_, base.spread_, base.constant_
        self._found: dict[bytes, tuple[float, float]] = {}

    @property
    def transform(self) -> _transforms.Transform:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Scale of the base's targets; scores have none."""
        return "identity" if self.unitless else self.base.transform

    def interval(self, X: Any, p: float = 0.9) -> tuple[FloatArray, FloatArray]:
        """Intervals of the base, which may know better ones than a normal distribution's."""
        return self.base.interval(X, p)

    def quantiles(self, X: Any, levels: ArrayLike) -> FloatArray:
        """Quantiles of the base."""
        return self.base.quantiles(X, levels)

    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        x = np.ascontiguousarray(X, np.float32)
        keys = [row.tobytes() for row in x]
        if len(self._found) > _REMEMBERED:
            self._found.clear()
        missing = {key: at for at, key in enumerate(keys) if key not in self._found}
        if missing:
            mean, std = self.base._predict(x[list(missing.values())])
            pairs = zip(np.ravel(mean).tolist(), np.ravel(std).tolist(), strict=True)
            self._found.update(zip(missing, pairs, strict=True))
        found = np.array([self._found[key] for key in keys], np.float64).reshape(len(keys), 2)
        return found[:, 0], found[:, 1]

    def _fit(self, X: Any, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        raise NotImplementedError  # it comes fitted

    def _state(self) -> State:
        raise NotImplementedError  # the base is what is saved

    def _restore(self, state: State) -> None:
        raise NotImplementedError
