"""``Forecaster``: what is expected of architectures that were not trained, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast import _transforms
from archcast._shipped import predictor_for, universal
from archcast._tasks import get_task, tasks
from archcast.encoders.errors import InvalidLabelsError, InvalidSettingError, NotFittedError
from archcast.predictors import Predictor, State
from archcast.predictors._correction import Correction, Shape, likeliest
from archcast.search._memory import Memory
from archcast.search.objectives import Objective

__all__ = ["Forecaster", "Forecasts"]

FloatArray = NDArray[np.float64]
#: Rows whose prior forecasts are remembered.
_REMEMBERED: Final = 200_000
_PERCENT: Final = "%"
#: Architectures drawn to say what is near and far.
_REFERENCE: Final = 300
#: The shape is chosen at each measurement up to so many, then whenever they have grown by this
#: factor, and from the first so many at most.
_ALWAYS: Final = 30
_GROWTH: Final = 1.1
_MOST: Final = 400
#: Merits further below the median, in standard deviations as the median deviation tells them, are
#: of collapsed trainings, if they are no more than this share; with few nobody can tell.
_FAR: Final = 4.0
_RARE: Final = 0.03
_FEW: Final = 8
_NORMAL: Final = 1.4826
#: Variance of what the prior missed smoothly, next to that of the labels. From few labels a search
#: would often conclude that there is none, and look nowhere but where the prior says.
_LOCALS: Final = (1.0,)


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
        base = _usual(objective.name) if prior is None else prior
        self.prior = base if isinstance(base, Remembered) else Remembered(base)
        natural = None if self.prior.unitless else self.prior.transform
        usual: _transforms.Transform = "logit" if objective.unit == _PERCENT else "identity"
        self.transform: _transforms.Transform = natural or transform or usual
        self._shapes: dict[int, tuple[bytes, Shape]] = {}
        self._correction: Correction | None = None
        self._remembered: Memory | None = None
        self.specs: list[str] = []
        self.values: list[float] = []
        self._level(np.zeros(0), np.zeros(0))

    @property
    def labels(self) -> int:
        """Measurements learned from."""
        return len(self.specs)

    @property
    def speaks(self) -> bool:
        """Whether forecasts are in the objective's unit, not mere ranks."""
        return self._correction is not None or not self.prior.unitless

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
        merits = self._latent(self._taken(found))
        self.specs, self.values = list(specs), found.tolist()
        self._correction = None
        if not len(specs):
            self._level(np.zeros(0), np.zeros(0))
            return
        memory = self._memory()
        rows = memory.rows(specs)
        prior = memory.prior(rows)[0]
        near = memory.near(rows, rows)
        shape = self._shape(near, prior, merits)
        merits = _uncollapsed(merits)
        self._level(merits, prior)
        rest = (merits - self._centre) / self._spread - prior
        self._correction = Correction.fit(near, prior - self._mean_prior, rest, shape)

    def moments(
        self, specs: Sequence[str], *, beside: Sequence[str] = ()
    ) -> tuple[FloatArray, FloatArray]:
        """Expected merit and its standard deviation, on the scale that acquisitions work on.

        What differs at each measurement for no reason that a network shows is left out of the
        deviation: measuring again would not be worth anything.

        Args:
            specs: n architectures.
            beside: others that are being measured, of which one may soon know more; deviations
                are those left once they are what they are expected to be.

        Returns:
            (n,) means and (n,) standard deviations; higher is better. Without any measurement
            and with a prior that only ranks, scores of the prior.
        """
        if self._correction is None or self._remembered is None:
            prior, std = self._ask(self.domain.features(specs))
            return prior * self._spread + self._centre, std * self._spread
        memory = self._remembered
        found = memory.rows([*specs, *self.specs, *beside])
        rows, back = np.unique(found[: len(specs)], return_inverse=True)
        marks = found[len(specs) :]
        prior = memory.prior(rows)[0]
        centre = prior - self._mean_prior
        near = memory.near(rows, marks[: len(self.specs)])
        mean, left = self._correction.predict(near, centre)
        if beside:
            own = memory.prior(marks)[0] - self._mean_prior
            fuller = self._correction.beside(memory.near(marks, marks), own)
            left = fuller.predict(memory.near(rows, marks), centre)[1]
        mean = (prior + mean) * self._spread + self._centre
        return mean[back], (left * self._spread)[back]

    def merit(self, values: ArrayLike) -> FloatArray:
        """Values in the objective's unit to the scale of :meth:`moments`, same shape."""
        return self._latent(np.asarray(values, np.float64))

    def forecast(self, specs: Sequence[str], p: float = 0.9) -> Forecasts:
        """Forecast n architectures in the objective's unit.

        Raises:
            NotFittedError: nothing was measured yet, and the prior only ranks.
            InvalidSettingError: ``p`` is not between 0 and 1.
        """
        if not self.speaks:
            raise NotFittedError(
                f"the universal predictor only ranks; learn one value of {self.objective.name} at "
                "least to have forecasts in its unit"
            )
        if not 0 < p < 1:
            raise InvalidSettingError(f"p is a probability, strictly between 0 and 1, not {p}")
        if self._correction is None:
            features = self.domain.features(specs)
            low, high = self.prior.interval(features, p)
            values, stds = self.prior.predict(features, return_std=True)
            return Forecasts(values, stds, low, high)
        centre, left = self.moments(specs)
        claimed = np.hypot(left, self._correction.noise * self._spread)
        half = claimed * self._correction.step((1 + p) / 2)
        ends = np.stack([self._natural(centre - half), self._natural(centre + half)])
        std = claimed * self._correction.widening
        stds = np.abs(self._natural(centre + std) - self._natural(centre - std)) / 2
        return Forecasts(self._natural(centre), stds, ends.min(0), ends.max(0))

    # ----------------------------------------------------------------- private
    def _memory(self) -> Memory:
        """Distances are next to those in the domain, or among the measured if it has no draws."""
        sample = getattr(self.domain, "sample", None)
        if self._remembered is None or sample is None:
            drawn = self.specs if sample is None else sample(_REFERENCE, np.random.default_rng(0))
            self._remembered = Memory(self.domain.features, self._ask, self.domain.features(drawn))
        return self._remembered

    def _ask(self, x: NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
        """The prior's scores, or merits in its own standard deviations."""
        mean, std = self.prior._predict(x)
        mean = np.where(self.prior.constant_, 0.0, mean)
        return (mean if self.prior.unitless else self._sign * mean), std

    def _level(self, merits: FloatArray, prior: FloatArray) -> None:
        """Where zero lies and what one is, on the scale that priors speak on."""
        self._mean_prior = float(prior.mean()) if len(prior) else 0.0
        self._centre, self._spread = 0.0, 1.0
        if not self.prior.unitless:
            self._centre = self._sign * float(self.prior.centre_)
            self._spread = float(self.prior.spread_)
        elif len(merits):
            self._spread = float(merits.std()) or max(0.1 * float(np.abs(merits).max()), 1e-9)
            self._centre = float(merits.mean()) - self._mean_prior * self._spread

    def _shape(self, near: FloatArray, prior: FloatArray, merits: FloatArray) -> Shape:
        """The likeliest shape, chosen anew when measurements have grown by a tenth."""
        few = _last_choice(len(merits))
        told = "\n".join(self.specs[:few]).encode() + merits[:few].tobytes()
        known = self._shapes.get(few)
        if known is None or known[0] != told:
            first = _uncollapsed(merits[:few])
            self._level(first, prior[:few])
            rest = (first - self._centre) / self._spread - prior[:few]
            shape = likeliest(near[:few, :few], prior[:few] - self._mean_prior, rest, _LOCALS)
            known = told, shape
            self._shapes = {few: known}
        return known[1]

    @property
    def _sign(self) -> float:
        return 1.0 if self.objective.direction == "max" else -1.0

    def _taken(self, values: FloatArray) -> FloatArray:
        """The values, if the scale can take them.

        Raises:
            InvalidLabelsError: it cannot.
        """
        if not np.isfinite(values).all():
            raise InvalidLabelsError("a value is not finite; leave that architecture out")
        if self.transform == "log" and (values <= 0).any():
            raise InvalidLabelsError("the log scale takes positive labels only")
        if self.transform == "logit" and ((values < 0) | (values > 100)).any():
            raise InvalidLabelsError("the logit scale takes percentages, from 0 to 100")
        return values

    def _latent(self, values: FloatArray) -> FloatArray:
        return self._sign * _transforms.forward(self.transform, values)

    def _natural(self, merits: FloatArray) -> FloatArray:
        return _transforms.backward(self.transform, self._sign * merits)


def _uncollapsed(merits: FloatArray) -> FloatArray:
    """(n,) merits, the few far below all others no lower than that.

    A rare training that collapsed tells that, and not by how much: as it is, it would drown what
    tells the good apart. Where many collapse, features tell which, and nothing is changed.
    """
    if len(merits) < _FEW:
        return merits
    middle = float(np.median(merits))
    bound = middle - _FAR * _NORMAL * float(np.median(np.abs(merits - middle)))
    rare = 0 < (merits < bound).sum() <= _RARE * len(merits)
    return np.maximum(merits, bound) if rare and bound < middle else merits


def _last_choice(labels: int) -> int:
    """The last number of labels, up to these, at which the shape is chosen."""
    if labels <= _ALWAYS:
        return labels
    at = _ALWAYS
    while (after := int(at * _GROWTH)) <= min(labels, _MOST):
        at = after
    return at


def usual_prior(name: str) -> Predictor:
    """The shipped predictor of a task of that name, or else the universal one."""
    if name in {task.name for task in tasks()}:
        return predictor_for(get_task(name))
    return universal(name)


@cache
def _usual(name: str) -> Remembered:
    """The same for all searches of a process, which then need not ask twice."""
    return Remembered(usual_prior(name))


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
