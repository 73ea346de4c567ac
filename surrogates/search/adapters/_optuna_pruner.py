"""``CurvePruner``: ends a trial whose learning curve has little chance to become the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
_SEARCHES: Final = 20


class CurvePruner(BasePruner):
    """Prunes when the forecast of a trial's final value has little chance to beat the k-th best.

    The final value is forecast by :class:`~archcast.predictors.curves.LearningCurvePredictor`
    from the completed trials' intermediate values, or as the last value so far plus what
    completed trials gained from there: by whichever is nearer to the completed trials when each
    is left out. Pruned trials have no final value, so forecasts are learned from survivors.

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
        self._fitted: dict[tuple[int, ...], tuple[int, Any, float]] = {}

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
        mean, std = self._forecast(steps, curves, finals, own)
        sign = 1.0 if study.directions[0] == StudyDirection.MAXIMIZE else -1.0
        values = np.array([t.value for t in done if t.value is not None], np.float64)
        bar = float(np.sort(sign * values)[-self.keep])
        return 1.0 - NormalDist(sign * mean, std).cdf(bar) < self.chance

    # ----------------------------------------------------------------- private
    def _forecast(
        self, steps: Sequence[int], curves: FloatArray, finals: FloatArray, own: FloatArray
    ) -> tuple[float, float]:
        """Mean and standard deviation of a trial's final value."""
        gains = finals - curves[:, -1]
        count = len(gains)
        # Each left out: its gain differs from the others' mean by count / (count - 1) of this.
        error = float(np.sqrt(np.mean((gains - gains.mean()) ** 2)) * count / (count - 1))
        tiny = 1e-12 + 1e-6 * float(np.abs(finals).max())
        if count >= _CURVES and np.ptp(finals) > 0:
            model, miss = self._model(tuple(steps), curves, finals)
            if miss < error:
                return float(model.predict(_joined(own))[0]), max(miss, tiny)
        return float(own[0, -1] + gains.mean()), max(error, tiny)

    def _model(
        self, steps: tuple[int, ...], curves: FloatArray, finals: FloatArray
    ) -> tuple[Any, float]:
        """A fitted predictor and its cross-validated error; one for each beginning is kept."""
        from archcast.predictors.curves import LearningCurvePredictor

        kept = self._fitted.get(steps)
        if kept is None or kept[0] != len(finals):
            model = LearningCurvePredictor(searches=_SEARCHES).fit(_joined(curves), finals)
            spread = float(np.asarray(model.spread_))
            kept = len(finals), model, float(model.error_) * spread
            self._fitted[steps] = kept
        return kept[1], kept[2]


def _at(trial: FrozenTrial, step: int) -> bool:
    return math.isfinite(trial.intermediate_values.get(step, math.nan))


def _joined(curves: FloatArray) -> Any:
    """Curves alone: the architecture is one constant feature."""
    from archcast.predictors import Joined

    return Joined(np.zeros((len(curves), 1), np.float32), curves)
