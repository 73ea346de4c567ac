"""What architectures still gain until the end of their training, forecast from partial curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from archcast.search.domain import Domain
from archcast.search.strategies._rungs import Rungs
from archcast.search.strategy import FloatArray

__all__ = ["Gains"]

#: Full results before anything is learned, and how much more of them before it is learned anew.
_ENOUGH: Final = 10
_MORE: Final = 1.25
#: Settings that a fit tries.
_SEARCHES: Final = 20


class Gains:
    """Forecasts final merit minus present merit, by a :class:`LearningCurvePredictor`.

    Only the best have full results. A forecast of the final merit itself would, far from those,
    be their mean, and promote the worst; a forecast of the gain leaves those in their order.

    Args:
        domain: gives features.
        rungs: what was measured.
        seed: of the predictor.
    """

    def __init__(self, domain: Domain, rungs: Rungs, *, seed: int = 0) -> None:
        self._domain = domain
        self._rungs = rungs
        self._seed = seed
        self._fitted: dict[int, tuple[list[str], Any]] = {}
        #: For every rung, gain by architecture and its curve; of the present predictor.
        self._known: dict[int, dict[tuple[str, bytes], float]] = {}

    def expected(self, specs: Sequence[str], rung: int) -> FloatArray:
        """(n,) what architectures known at a rung still gain; 0 while too little is known.

        Raises:
            MissingExtraError: scikit-learn is not installed.
        """
        model = self._model(rung)
        if model is None or not specs:
            return np.zeros(len(specs))
        known, curves = self._known[rung], self._rungs.columns(specs, rung)
        keys = [(spec, curve.tobytes()) for spec, curve in zip(specs, curves, strict=True)]
        new = [spec for spec, key in zip(specs, keys, strict=True) if key not in known]
        if new:
            gains = model.predict(self._joined(new, rung)).tolist()
            known.update(zip([key for key in keys if key not in known], gains, strict=True))
        return np.array([known[key] for key in keys])

    def _model(self, rung: int) -> Any:
        """The predictor for a rung, learned anew now and then.

        When that is follows from what is known, so that a restored search has the same.
        """
        here, end = self._rungs.merits[rung], self._rungs.merits[-1]
        known = [s for s, final in end.items() if np.isfinite(final - here.get(s, np.nan))]
        count = _ENOUGH
        if len(known) < count:
            return None
        while int(count * _MORE) <= len(known):
            count = int(count * _MORE)
        learned, model = self._fitted.get(rung, ([], None))
        if learned != known[:count]:
            model = self._fit(known[:count], rung)
            self._fitted[rung] = known[:count], model
            self._known[rung] = {}
        return model

    def _fit(self, specs: list[str], rung: int) -> Any:
        from archcast.predictors.curves import LearningCurvePredictor

        here, end = self._rungs.merits[rung], self._rungs.merits[-1]
        gains = [end[spec] - here[spec] for spec in specs]
        model = LearningCurvePredictor(searches=_SEARCHES, seed=self._seed)
        return model.fit(self._joined(specs, rung), gains)

    def _joined(self, specs: Sequence[str], rung: int) -> Any:
        from archcast.predictors import Joined

        return Joined(self._domain.features(specs), self._rungs.columns(specs, rung))
