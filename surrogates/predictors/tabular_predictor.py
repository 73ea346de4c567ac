"""The predictor that ships: boosted trees and kernel ridge regression on tabular features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast import _transforms
from archcast.predictors._boosting import BoostedTrees, boost
from archcast.predictors._calibration import Calibration, calibrate
from archcast.predictors._cloud import Cloud
from archcast.predictors._encoding import encode
from archcast.predictors._kernel import KernelRidge, Scaler, choose, fit_kernel
from archcast.predictors._members import HeldOut, Members, Rows, deal
from archcast.predictors._protocol import Predictor, State
from archcast.predictors._trees import Forest

FloatArray = NDArray[np.float64]

_WEIGHTS = np.linspace(0, 1, 11)
_HELD_OUT_ROWS = 4000


@dataclass(frozen=True, slots=True)
class Distribution:
    """What is forecast for n architectures, on the predictor's own scale.

    Attributes:
        centre: (n,) median.
        scale: (n,) unit that the residuals of :attr:`Calibration.residuals` are in.
        near: (n,) distance to the training set.
        neighbour: (n,) index of the nearest member of the support.
        residuals: (Q,) quantiles of the error, in units of the scale.
    """

    centre: FloatArray
    scale: FloatArray
    near: FloatArray
    neighbour: NDArray[np.intp]
    residuals: FloatArray


class TabularPredictor(Predictor):
    """``transform⁻¹((1 - w) * kernel ridge + w * boosted trees + recipe effect)`` of a graph.

    Both members see the columns of :func:`archcast.encoders.tabular.tabular`. The weight ``w`` and
    the intervals come from forecasts of groups that were held out inside the training set.

    Args:
        transform: scale of the targets: ``identity``, ``logit`` (percentages) or ``log``.
        rounds: boosted trees.
        leaves: leaves of a tree.
        learning_rate: shrinkage of a tree.
        smallest_leaf: fewest samples in a leaf.
        support: most architectures that the kernel compares with.
        folds: how often groups are held out for calibration.
        seed: of everything random.
    """

    kind = "tabular"

    def __init__(
        self,
        transform: _transforms.Transform = "identity",
        rounds: int = 300,
        leaves: int = 15,
        learning_rate: float = 0.04,
        smallest_leaf: int = 8,
        support: int = 2000,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.transform: _transforms.Transform = transform
        self.rounds = rounds
        self.leaves = leaves
        self.learning_rate = learning_rate
        self.smallest_leaf = smallest_leaf
        self.support = support
        self.folds = folds
        self.seed = seed

    # ------------------------------------------------------------------- fit
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        shift: ArrayLike | None = None,
        recipe: ArrayLike | None = None,
        target: ArrayLike | None = None,
        names: Sequence[str] | None = None,
    ) -> Self:
        """Fit the members, then weigh and calibrate them on held-out groups.

        Args:
            X: n architectures as graphs, as a feature table, or as its (n, F) values.
            y: (n,) values in their natural unit.
            groups: (n,) labels; rows of one group are held out together. By default every
                architecture (equal features) is a group.
            shift: (n,) labels of whole populations, such as search spaces. Where there are
                several, each is also held out as a whole, and those errors are calibrated on too.
            recipe: (n, R) numbers that say how each row was trained.
            target: (n,) whether a row is of the population to forecast; other rows only help.
            names: (n,) what the architectures are called.

        Returns:
            The fitted predictor.
        """
        x, transformed, known = self._labelled(X, y)
        self._enough(known)
        labels = [str(i) for i in range(len(np.asarray(y)))] if names is None else list(names)
        rows = Rows(
            x,
            transformed,
            _groups(None if groups is None else np.asarray(groups)[known], x),
            _codes(np.zeros(len(x)) if shift is None else np.asarray(shift)[known], x),
            np.zeros((len(x), 0)) if recipe is None else np.asarray(recipe, np.float64)[known],
            np.ones(len(x), bool) if target is None else np.asarray(target, bool)[known],
        )
        chosen = self._choose_support(rows)
        scaled = rows.take(chosen)
        z = Scaler.fit(x).apply(scaled.x)
        self._shape = choose(z, scaled.y, scaled.groups, scaled.recipe, scaled.target)
        held_out = [self._hold_out(rows, train, test) for train, test in self._splits(rows)]
        self._calibrate(held_out)
        self.members_ = self._fit_members(rows)
        self.cloud_ = Cloud(
            tuple(labels[i] for i in known[chosen]),
            np.quantile(np.concatenate([part.near for part in held_out]), np.linspace(0, 1, 101)),
        )
        seen = np.asarray(y, np.float64)[known][rows.target]
        self.labels_ = np.quantile(seen, np.linspace(0, 1, 256))
        self.n_features_in_ = x.shape[1]
        self.centre_, self.spread_ = np.asarray(0.0), np.asarray(1.0)  # members have their own
        self.constant_ = np.asarray(False)
        return self

    def _fit(self, X: Any, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        raise NotImplementedError  # fit() does it all

    def _choose_support(self, rows: Rows) -> NDArray[np.intp]:
        """Row numbers the kernel compares with: all, or as many of each population."""
        if len(rows.y) <= self.support:
            return np.arange(len(rows.y))
        rng = np.random.default_rng(self.seed)
        populations = np.unique(rows.shift)
        parts = []
        for label in populations:
            members = np.flatnonzero(rows.shift == label)
            parts.append(rng.permutation(members)[: self.support // len(populations)])
        return np.sort(np.concatenate(parts))

    def _fit_members(self, rows: Rows) -> Members:
        if not rows.target.any():
            rows = Rows(rows.x, rows.y, rows.groups, rows.shift, rows.recipe, ~rows.target)
        scaler = Scaler.fit(rows.x)
        chosen = rows.take(self._choose_support(rows))
        support = scaler.apply(chosen.x)
        kernel = fit_kernel(support, chosen.y, chosen.recipe, chosen.target, *self._shape)
        adjusted = rows.y - (rows.recipe - kernel.usual) @ kernel.effect
        trees = boost(
            rows.x,
            adjusted,
            rounds=self.rounds,
            leaves=self.leaves,
            learning_rate=self.learning_rate,
            smallest_leaf=self.smallest_leaf,
            seed=self.seed,
        )
        return Members(scaler, np.stack([rows.x.min(0), rows.x.max(0)]), support, kernel, trees)

    # ----------------------------------------------------------- calibration
    def _splits(self, rows: Rows) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Training and held-out rows, by group and then by population."""
        populations = np.unique(rows.shift)
        fold = deal(rows.groups, self.folds, self.seed)
        for labels in [fold] + [rows.shift] * (len(populations) > 1):
            for label in np.unique(labels):
                test = np.flatnonzero((labels == label) & (rows.target | (labels is rows.shift)))
                if len(test):
                    yield np.flatnonzero(labels != label), test

    def _hold_out(self, rows: Rows, train: NDArray[np.intp], test: NDArray[np.intp]) -> HeldOut:
        rng = np.random.default_rng(self.seed)
        held = rows.take(np.sort(rng.permutation(test)[:_HELD_OUT_ROWS]))
        members = self._fit_members(rows.take(train))
        distance = members.distance(held.x)
        return HeldOut(
            held.y - members.kernel.offset(distance),
            held.y - members.kernel.offset(distance, held.recipe),
            members.kernel.predict(distance),
            members.trees.predict(held.x),
            members.nearness(held.x, distance),
            held.groups,
        )

    def _calibrate(self, held_out: list[HeldOut]) -> None:
        """Weigh the members, then learn the errors without and with the recipe told."""
        truth, told, smooth, trees, near, groups = (
            np.concatenate([getattr(part, name) for part in held_out]) for name in HeldOut.__slots__
        )
        errors = [np.abs(truth - (1 - w) * smooth - w * trees).mean() for w in _WEIGHTS]
        self.weight_ = float(_WEIGHTS[int(np.argmin(errors))])
        centre = (1 - self.weight_) * smooth + self.weight_ * trees
        signs = (centre, near, np.abs(smooth - trees))
        self.calibration_ = calibrate(truth - centre, *signs, groups)
        self.told_ = calibrate(told - centre, *signs, groups)

    # --------------------------------------------------------------- predict
    def distribution(self, X: Any, recipe: ArrayLike | None = None) -> Distribution:
        """The whole forecast, on the predictor's own scale.

        Args:
            X: n architectures.
            recipe: (n, R) numbers, NaN where unknown; by default the recipe to be expected of
                networks like these.
        """
        x = encode(X, "tabular")
        members = self.members_
        distance = members.distance(x)
        smooth, trees = members.kernel.predict(distance), members.trees.predict(x)
        given = None if recipe is None else np.asarray(recipe, np.float64)
        plain = (1 - self.weight_) * smooth + self.weight_ * trees
        near = members.nearness(x, distance)
        told = given is not None and np.isfinite(given).any()
        calibration = self.told_ if told else self.calibration_
        return Distribution(
            plain + members.kernel.offset(distance, given),
            calibration.scale(plain, near, np.abs(smooth - trees)),
            near,
            distance.argmin(1),
            calibration.residuals,
        )

    def predict(self, X: Any, return_std: bool = False, *, recipe: ArrayLike | None = None) -> Any:
        """Forecast architectures.

        Args:
            X: n architectures.
            return_std: whether the standard deviation is wanted, too.
            recipe: see :meth:`distribution`.

        Returns:
            (n,) values in their natural unit; with ``return_std`` a pair, the second (n,) their
            standard deviations.
        """
        self._check_fitted()
        forecast = self.distribution(X, recipe)
        values = _transforms.backward(self.transform, forecast.centre)
        return (values, self.std(forecast)) if return_std else values

    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        forecast = self.distribution(X)
        return forecast.centre, forecast.scale * float(forecast.residuals.std())

    def std(self, forecast: Distribution) -> FloatArray:
        """(n,) standard deviations in the natural unit."""
        residuals = forecast.residuals[4:-4:8]
        outcomes = forecast.centre[:, None] + forecast.scale[:, None] * residuals
        return _transforms.backward(self.transform, outcomes).std(1)

    def quantiles(
        self, X: Any, levels: ArrayLike, *, recipe: ArrayLike | None = None
    ) -> FloatArray:
        """(Q, n) quantiles by the errors of held-out groups, in the natural unit."""
        self._check_fitted()
        forecast = self.distribution(X, recipe)
        residuals = np.quantile(forecast.residuals, np.asarray(levels, np.float64))
        outcomes = forecast.centre + np.multiply.outer(residuals, forecast.scale)
        return _transforms.backward(self.transform, outcomes)

    def interval(
        self, X: Any, p: float = 0.9, *, recipe: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Central intervals that hold the truth with probability ``p``, each end (n,)."""
        low, high = self.quantiles(X, [(1 - p) / 2, (1 + p) / 2], recipe=recipe)
        return low, high

    # ----------------------------------------------------------------- files
    def _state(self) -> State:
        members, kernel = self.members_, self.members_.kernel
        arrays: dict[str, NDArray[Any]] = {
            "scaler.centre": members.scaler.centre,
            "scaler.scale": members.scaler.scale,
            "envelope": members.envelope,
            "support": members.support.astype(np.float16),
            "kernel.weights": kernel.weights,
            "kernel.habit": kernel.habit,
            "kernel.effect": kernel.effect,
            "kernel.usual": kernel.usual,
            "calibration.weights": self.calibration_.weights,
            "calibration.residuals": self.calibration_.residuals,
            "told.weights": self.told_.weights,
            "told.residuals": self.told_.residuals,
            "held_out": self.cloud_.held_out,
            "labels": self.labels_,
        }
        arrays |= {f"trees.{k}": v for k, v in members.trees.forest.arrays().items()}
        numbers = {
            "weight": self.weight_,
            "rate": kernel.rate,
            "noise": kernel.noise,
            "mean": kernel.mean,
            "centre": self.calibration_.centre,
            "told_centre": self.told_.centre,
        }
        return State(arrays, {"names": self.cloud_.names, "numbers": numbers})

    def _restore(self, state: State) -> None:
        arrays, numbers = state.arrays, state.facts["numbers"]
        self.weight_ = numbers["weight"]
        self.labels_ = arrays["labels"]
        self.cloud_ = Cloud(tuple(state.facts["names"]), arrays["held_out"])
        self.calibration_ = Calibration(
            arrays["calibration.weights"], numbers["centre"], arrays["calibration.residuals"]
        )
        self.told_ = Calibration(
            arrays["told.weights"], numbers["told_centre"], arrays["told.residuals"]
        )
        kernel = KernelRidge(
            *(numbers[key] for key in ("rate", "noise", "mean")),
            *(arrays[f"kernel.{key}"] for key in ("weights", "habit", "effect", "usual")),
        )
        forest = Forest.from_arrays(
            {k.removeprefix("trees."): v for k, v in arrays.items() if k.startswith("trees.")}
        )
        scaler = Scaler(arrays["scaler.centre"], arrays["scaler.scale"])
        support = arrays["support"].astype(np.float64)
        self.members_ = Members(scaler, arrays["envelope"], support, kernel, BoostedTrees(forest))
        self.n_features_in_ = len(scaler.centre)


def _groups(labels: ArrayLike | None, x: NDArray[np.float32]) -> NDArray[np.intp]:
    """What is held out together; each row alone where all are one group."""
    codes = _codes(labels, x)
    return codes if codes.any() else np.arange(len(x))


def _codes(labels: ArrayLike | None, x: NDArray[np.float32]) -> NDArray[np.intp]:
    """Labels as numbers from 0; without labels, rows of equal features share one."""
    if labels is None:
        return np.unique(x, axis=0, return_inverse=True)[1].reshape(-1)
    return np.unique(np.asarray(labels), return_inverse=True)[1].reshape(-1)
