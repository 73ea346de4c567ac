"""Calibration for any predictor: what held-out groups missed by, in units of the predicted std."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from archcast import _transforms
from archcast.encoders.errors import InvalidSettingError
from archcast.encoders.graph import ComputeGraph
from archcast.predictors._calibration import learn_scale
from archcast.predictors._encoding import Encoding, take
from archcast.predictors._members import deal
from archcast.predictors._nested import template, unfitted
from archcast.predictors._protocol import Predictor, State
from archcast.predictors.storage import pack, unpack

FloatArray = NDArray[np.float64]

#: Added to the predicted std, in units of its median, before its logarithm is taken.
_FLOOR = 0.05


@dataclass(frozen=True, slots=True)
class Conformal:
    """``truth = mean + scale(mean, std) * residual``, the residual one of the held-out ones.

    Attributes:
        weights: (3,) of 1, log std and centred mean; their sum is the log scale.
        level: mean at which its term is zero.
        unit: median of the std.
        residuals: (Q,) quantiles of the normalised held-out residuals, ascending.

    Reference:
        Lei et al., "Distribution-Free Predictive Inference for Regression", JASA 2018, section 5;
        Dunn et al., "Distribution-Free Prediction Sets for Two-Layer Hierarchical Models", 2023.
    """

    weights: FloatArray
    level: float
    unit: float
    residuals: FloatArray

    @classmethod
    def learn(
        cls, error: FloatArray, mean: FloatArray, std: FloatArray, groups: NDArray[np.integer]
    ) -> Conformal:
        """Calibrate on forecasts of rows that were held out.

        Args:
            error: (n,) truth minus forecast.
            mean: (n,) forecasts.
            std: (n,) their standard deviations; all equal if the predictor has none.
            groups: (n,) what was held out together. The intervals allow for the number of groups,
                not of rows: errors inside a group are alike.
        """
        level, unit = float(np.median(mean)), float(np.median(std))
        unit = unit if unit > 0 else 1.0
        signs = _signs(mean - level, std / unit)
        weights, residuals = learn_scale(error, signs, np.asarray(groups, np.intp), rising=(1,))
        return cls(weights, level, unit, residuals)

    def scale(self, mean: FloatArray, std: FloatArray) -> FloatArray:
        """(n,) unit that each forecast's residuals are in."""
        return np.exp(_signs(mean - self.level, std / self.unit) @ self.weights)

    def quantiles(self, mean: FloatArray, std: FloatArray, levels: ArrayLike) -> FloatArray:
        """(Q, n) quantiles of n forecasts at Q levels.

        Raises:
            InvalidSettingError: a level outside [0, 1].
        """
        share = np.atleast_1d(np.asarray(levels, np.float64))
        if not ((share >= 0) & (share <= 1)).all():
            raise InvalidSettingError(f"levels of quantiles lie in [0, 1], not {levels!r}")
        steps = np.quantile(self.residuals, share)
        return mean + np.multiply.outer(steps, self.scale(mean, std))

    def std(self, mean: FloatArray, std: FloatArray) -> FloatArray:
        """(n,) calibrated standard deviations: root-mean-square errors to be expected."""
        return self.scale(mean, std) * np.sqrt((self.residuals**2).mean())


def _signs(mean: FloatArray, std: FloatArray) -> FloatArray:
    """(n, 3) what the scale depends on."""
    return np.stack([np.ones(len(mean)), np.log(std + _FLOOR), np.clip(mean, -2, 2)], 1)


class ConformalPredictor(Predictor):
    """``base(x) + scale(base(x), std(x)) * residual``, residuals those of held-out groups.

    The base is fitted once for each fold of groups and forecasts the groups it did not see; what
    it missed them by, in units of a scale that grows with the predicted standard deviation, is the
    distribution of the error. The base that forecasts learns from everything.

    Args:
        base: a predictor of any family, or its name.
        options: keywords of the base's constructor.
        folds: how often groups are held out; as many as there are groups, or more, leaves one
            out at a time (one space, if the groups are spaces).
        transform: scale of the targets; the base must not have another one.
        seed: deals groups to folds.
        progress: whether a progress bar is shown.

    Reference:
        Lei et al., "Distribution-Free Predictive Inference for Regression", JASA 2018; Barber et
        al., "Predictive Inference with the Jackknife+", Annals of Statistics 2021 (CV+, whose
        guarantee this shares but for the refit).
    """

    kind = "conformal"

    def __init__(
        self,
        base: Predictor | str = "tabular",
        options: dict[str, Any] | None = None,
        folds: int = 5,
        transform: _transforms.Transform = "identity",
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.base = base
        self.options = options
        self.folds = folds
        self.transform: _transforms.Transform = transform
        self.seed = seed
        self.progress = progress

    @property
    def encoding(self) -> Encoding:
        """What the base sees."""
        return template(self.base, self.options, self.transform).encoding

    # ------------------------------------------------------------------ public
    def quantiles(self, X: Any, levels: ArrayLike) -> FloatArray:
        """(Q, n) quantiles of n forecasts, in the labels' unit; ``levels`` are (Q,) within [0, 1].

        Raises:
            InvalidSettingError: a level outside [0, 1].
        """
        mean, std = self._base_forecast(X)
        spread = np.where(self.constant_, 0.0, self.spread_)
        values = self.conformal_.quantiles(mean, std, levels)
        return _transforms.backward(self.transform, values * spread + self.centre_)

    # ----------------------------------------------------------------- private
    def _fit(self, X: Any, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        if self.folds < 2:
            raise InvalidSettingError(f"folds={self.folds} hold nothing out; give 2 or more")
        base = template(self.base, self.options, self.transform)
        if groups is not None and groups.max() == 0:
            raise InvalidSettingError("all rows are one group; give other groups, or none")
        labels = same(X) if groups is None else groups
        held = np.zeros((2, len(y)))
        for rest, test in tqdm(list(self._splits(labels)), disable=not self.progress, leave=False):
            known = None if groups is None else groups[rest]
            held[:, test] = _forecast(base, take(X, rest), y[rest], known, take(X, test))
        self.conformal_ = Conformal.learn(y - held[0], held[0], held[1], labels)
        self.base_ = unfitted(base).fit(X, y, groups=groups)

    def _splits(
        self, labels: NDArray[np.intp]
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        fold = deal(labels, min(self.folds, len(np.unique(labels))), self.seed)
        for label in np.unique(fold):
            yield np.flatnonzero(fold != label), np.flatnonzero(fold == label)

    def _base_forecast(self, X: Any) -> tuple[FloatArray, FloatArray]:
        self._check_fitted()
        mean, std = self.base_.predict(X, return_std=True)
        return np.where(self.constant_, 0.0, mean), np.asarray(std)

    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        mean, std = self._base_forecast(X)
        return mean, self.conformal_.std(mean, std)

    def _state(self) -> State:
        packed, arrays = pack(self.base_, "base_/")
        learned = self.conformal_
        arrays |= {"conformal.weights": learned.weights, "conformal.residuals": learned.residuals}
        return State(arrays, {"base": packed, "level": learned.level, "unit": learned.unit})

    def _restore(self, state: State) -> None:
        arrays, facts = state.arrays, state.facts
        self.base_ = unpack(facts["base"], arrays, "base_/")
        self.conformal_ = Conformal(
            arrays["conformal.weights"],
            facts["level"],
            facts["unit"],
            arrays["conformal.residuals"],
        )


def same(X: Any) -> NDArray[np.intp]:
    """(n,) numbers of encoded architectures: equal ones, and only those, share one."""
    if isinstance(X, np.ndarray):
        return np.unique(X, axis=0, return_inverse=True)[1].reshape(-1)
    keys = [x.hash if isinstance(x, ComputeGraph) else x for x in X]
    return np.unique(keys, return_inverse=True)[1].reshape(-1)


def _forecast(
    base: Predictor, X: Any, y: FloatArray, groups: NDArray[np.intp] | None, new: Any
) -> tuple[FloatArray, FloatArray]:
    """Mean and std of new architectures by a copy of the base that learned from others."""
    if len(y) < 2:  # too few to fit: what is known is their mean, and the targets' own spread
        return np.full(len(new), y.mean()), np.ones(len(new))
    return unfitted(base).fit(X, y, groups=groups).predict(new, return_std=True)
