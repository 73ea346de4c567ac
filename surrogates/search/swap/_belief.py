"""What is believed of candidates: a forecaster in the unit that the person's function speaks."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from archcast._familiarity import familiarity
from archcast._tasks import Task, get_task, tasks
from archcast.encoders.errors import InvalidSettingError
from archcast.encoders.tabular import feature_names
from archcast.forecast import Familiarity
from archcast.predictors import Predictor
from archcast.search.forecaster import Forecaster, Remembered, usual_prior
from archcast.search.objectives import Objective
from archcast.search.swap._candidates import Candidates
from archcast.search.swap._extras import Narrowed

__all__ = ["Belief", "MixedUnitsWarning", "Unit"]

FloatArray = NDArray[np.float64]
#: What a score in percent, or as a fraction, is called in the name of a task.
_SHARES: Final = ("accuracy", "acc", "top1", "top5", "top-1", "top-5")
Unit = Literal["fraction", "percent", "own"]


class MixedUnitsWarning(UserWarning):
    """Some values of one function look like fractions, and others like percentages."""


class Belief:
    """Forecasts of candidates, in the unit of the person's own values.

    Accuracies may come as percentages or as fractions: values that are all within 0 and 1 are
    fractions, unless the person says otherwise.

    Args:
        task: name of what is measured.
        direction: whether more is better; that of the task if None, ``max`` for unknown tasks.
        candidates: gives features.
        prior: a fitted predictor; the usual one of the task if None.
        unit: of the values; found out if None.

    Raises:
        InvalidSettingError: the direction contradicts a known task's, or is none.
    """

    def __init__(
        self,
        task: str,
        direction: Literal["max", "min"] | None,
        candidates: Candidates,
        prior: Predictor | None,
        unit: Unit | None = None,
    ) -> None:
        self.task = task
        self.known: Task | None = get_task(task) if task in {t.name for t in tasks()} else None
        self.direction: Literal["max", "min"] = _direction(task, self.known, direction)
        self.candidates = candidates
        base = usual_prior(task) if prior is None else prior
        kept = base if isinstance(base, Remembered) else Remembered(base)
        self.prior = kept
        self._prior = Narrowed(kept, len(feature_names()))
        self._unit = unit
        self._measured: dict[str, float] = {}
        self._merits: dict[str, tuple[float, float]] = {}
        self._warned = False
        self._make("")

    # ------------------------------------------------------------------ units
    @property
    def shares(self) -> bool:
        """Whether values are accuracies or the like, between 0 and 100 %."""
        if self._unit is not None:
            return self._unit != "own"
        if self.known is not None:
            return self.known.unit == "%"
        named = self.task.rpartition("/")[2].lower().replace("_", " ").split()
        fits = all(0 <= v <= 100 for v in self._measured.values())
        return self.direction == "max" and any(word in _SHARES for word in named) and fits

    @property
    def fractions(self) -> bool:
        """Whether values are accuracies between 0 and 1."""
        if self._unit is not None:
            return self._unit == "fraction"
        values = self._measured.values()
        return self.shares and bool(values) and all(0 <= v <= 1 for v in values)

    def _warn_of_mixture(self) -> None:
        """Warn once where values cannot all be meant in one unit."""
        if self._unit is not None or self._warned or not self.shares:
            return
        values = self._measured.values()
        low = next((v for v in values if 0 < v < 1), None)  # 0 and 1 may be either
        high = next((v for v in values if v > 1), None)
        if low is None or high is None:
            return
        self._warned = True
        warnings.warn(
            f"{self.task}: {low:g} looks like a fraction and {high:g} like a percentage; all are "
            "now taken for percentages; return one unit, and name it by unit='percent' or "
            "unit='fraction'",
            MixedUnitsWarning,
            stacklevel=2,
        )

    def refuses(self, value: float) -> str:
        """Why a value cannot be one of the task's; nothing if it can."""
        most = 1.0 if self._unit == "fraction" else 100.0
        bounded = self._unit in ("fraction", "percent") or (
            self.known is not None and self.known.unit == "%" and self._unit is None
        )
        if bounded and not 0 <= value <= most:
            return f"{self.task} lies between 0 and {most:g}, and {value:g} does not"
        if self.known is not None and self.known.transform == "log" and value <= 0:
            return f"{self.task} is above zero, and {value:g} is not"
        return ""

    # ------------------------------------------------------------------ learning
    def learn(self, measured: Mapping[str, float]) -> None:
        """Take all measurements there are, in the person's unit."""
        self._measured = dict(measured)
        self._warn_of_mixture()
        self.candidates.settle()
        self._make("%" if self.shares else "")
        if measured:
            self._forecaster.learn(list(measured), self.inside(list(measured.values())))

    def _make(self, unit: str) -> None:
        self.objective = Objective(self.task, self.direction, unit)
        self._forecaster = Forecaster(self.candidates, self.objective, prior=self._prior)
        self._merits.clear()

    def inside(self, values: Sequence[float]) -> FloatArray:
        """Values in the unit of :attr:`objective`."""
        return np.asarray(values, np.float64) * (100.0 if self.fractions else 1.0)

    # ------------------------------------------------------------------ asking
    @property
    def speaks(self) -> bool:
        """Whether forecasts are in the unit of values, not mere ranks."""
        return self._forecaster.speaks

    def forecast(self, key: str) -> tuple[float, float, float]:
        """Expected value and the ends of its 90 % interval, in the person's unit."""
        found = self._forecaster.forecast([key])
        scale = 0.01 if self.fractions else 1.0
        value = float(found.values[0])
        low, high = min(float(found.low[0]), value), max(float(found.high[0]), value)
        return value * scale, low * scale, high * scale

    def moments(self, keys: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Expected merits and standard deviations; what was measured is known for sure."""
        new = [key for key in keys if key not in self._merits]
        if new:
            mean, std = self._forecaster.moments(new)
            found = zip(mean.tolist(), std.tolist(), strict=True)
            self._merits.update(zip(new, found, strict=True))
        measured = [key for key in keys if key in self._measured]
        sure = dict.fromkeys(keys, 0.0)
        if measured:
            values = self.inside([self._measured[key] for key in measured])
            sure = dict(zip(measured, self._forecaster.merit(values).tolist(), strict=True))
        pairs = [(sure[key], 0.0) if key in self._measured else self._merits[key] for key in keys]
        both = np.array(pairs, np.float64).reshape(len(keys), 2)
        return both[:, 0], both[:, 1]

    def familiar(self, key: str) -> Familiarity | None:
        """How well the prior knows a candidate's network; None if it cannot tell."""
        candidates = self.candidates
        graph = candidates[key].graph
        if graph is None and candidates.domain is not None:
            graph = candidates.domain.graphs([candidates[key].spec])[0]
        found = familiarity(self.prior.base, [] if graph is None else [graph])
        return found[0] if found else None


def _direction(
    task: str, known: Task | None, direction: Literal["max", "min"] | None
) -> Literal["max", "min"]:
    if direction not in (None, "max", "min"):
        raise InvalidSettingError(f"direction is 'max' or 'min', not {direction!r}")
    if known is None:
        return direction or "max"
    if direction not in (None, known.direction):
        raise InvalidSettingError(
            f"{task} is better when it is {'large' if known.direction == 'max' else 'small'}; for "
            f"direction={direction!r} give the quantity a name of its own, as mine/val_loss"
        )
    return known.direction
