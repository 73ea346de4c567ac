"""``CurvePruner``: ends a trial whose learning curve has little chance to become the best."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import TrialState

from archcast.encoders.errors import InvalidSettingError

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

__all__ = ["CurvePruner"]

FloatArray = NDArray[np.float64]
#: Completed trials from which curves are learned, and not only last values.
_CURVES: Final = 12
#: Settings that are tried for the curves' predictor.
_SEARCHES: Final = 8


class CurvePruner(BasePruner):
    """Prunes when forecasts of a trial's final value give it little chance to beat the k-th best.

    Two forecasts have to agree. One is the last value so far plus what completed trials gained
    from there. The other, as soon as there are enough completed trials, is a
    :class:`~archcast.predictors.curves.LearningCurvePredictor` of that gain from their
    intermediate values. It alone prunes too much: it has learned from survivors only, and the
    best trial is unlike them (``benchmarks/curve_pruner.py``).

    Args:
        keep: a trial goes on while it may become one of so many best.
        chance: probability below which it is pruned.
        startup: completed trials before any is pruned.
        warmup: reported values before a trial is pruned.

    Raises:
        InvalidSettingError: a setting makes no sense.

    Reference:
        Baker et al., "Accelerating Neural Architecture Search using Performance Prediction",
        2017: early stopping by the probability to beat the best, from the same predictor.
    """

    def __init__(
        self, keep: int = 1, chance: float = 0.05, startup: int = 5, warmup: int = 1
    ) -> None:
        if keep < 1 or startup < 3 or warmup < 1 or not 0 < chance < 1:
            raise InvalidSettingError(
                "keep and warmup are 1 at least, startup 3, and chance is between 0 and 1"
            )
        self.keep, self.chance = keep, chance
        self.startup, self.warmup = startup, warmup
        self._fitted: dict[tuple[int, ...], tuple[int, Any]] = {}

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether a trial should end here.

        Raises:
            InvalidSettingError: the study has several objectives.
        """
        if len(study.directions) > 1:
            raise InvalidSettingError("learning curves are pruned in studies of one objective")
        curve = {s: v for s, v in trial.intermediate_values.items() if math.isfinite(v)}
        steps = tuple(sorted(curve))
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        full = [t for t in done if t.value is not None and all(_at(t, s) for s in steps)]
        if len(steps) < self.warmup or len(full) < max(self.startup, self.keep):
            return False
        finals = np.array([t.value for t in full], np.float64)
        curves = np.array([[t.intermediate_values[s] for s in steps] for t in full], np.float64)
        own = np.array([[curve[s] for s in steps]], np.float64)
        sign = 1.0 if study.directions[0] == StudyDirection.MAXIMIZE else -1.0
        values = np.array([t.value for t in done if t.value is not None], np.float64)
        bar = float(np.sort(sign * values)[-self.keep])
        gains = finals - curves[:, -1]
        tiny = 1e-12 + 1e-6 * float(np.abs(finals).max())
        for gain, error in self._forecasts(steps, curves, gains, own):
            expected = NormalDist(sign * (own[0, -1] + gain), max(error, tiny))
            if 1.0 - expected.cdf(bar) >= self.chance:
                return False
        return True

    # ----------------------------------------------------------------- private
    def _forecasts(
        self, steps: tuple[int, ...], curves: FloatArray, gains: FloatArray, own: FloatArray
    ) -> Iterator[tuple[float, float]]:
        """A trial's gain and its error, forecast in one way after the other."""
        count = len(gains)
        # Each left out: its gain differs from the others' mean by count / (count - 1) of this.
        yield float(gains.mean()), float(gains.std()) * count / (count - 1)
        if count >= _CURVES and np.ptp(gains) > 0:
            kept = self._fitted.get(steps)
            if kept is None or kept[0] != count:
                kept = self._fitted[steps] = count, _learned(curves, gains)
            model = kept[1]
            yield float(model.predict(_joined(own))[0]), float(model.error_ * model.spread_)


def _learned(curves: FloatArray, gains: FloatArray) -> Any:
    from archcast.predictors.curves import LearningCurvePredictor

    return LearningCurvePredictor(searches=_SEARCHES).fit(_joined(curves), gains)


def _at(trial: FrozenTrial, step: int) -> bool:
    return math.isfinite(trial.intermediate_values.get(step, math.nan))


def _joined(curves: FloatArray) -> Any:
    """Curves alone: the architecture is one constant feature."""
    from archcast.predictors import Joined

    return Joined(np.zeros((len(curves), 1), np.float32), curves)
