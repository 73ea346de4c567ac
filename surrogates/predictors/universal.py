"""The universal predictor: an expert for every known space, asked together about a new one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast._transforms import Transform
from archcast.encoders.errors import InvalidLabelsError, InvalidSettingError
from archcast.predictors._calibration import Calibration, calibrate
from archcast.predictors._experts import (
    Experts,
    Population,
    common_columns,
    mixed_forest,
    normal_scores,
    weigh,
)
from archcast.predictors._protocol import Predictor, State
from archcast.predictors._trend import Trend, fit_trend, moments

FloatArray = NDArray[np.float64]

#: Tried for the weights: how fast an expert's falls with distance, what a data set that it shares
#: with the question counts more, and the share of the trend.
_RATES: Final = (1.0, 2.0, 4.0)
_KINSHIPS: Final = (1.0, 3.0, 10.0)
_TRENDS: Final = (0.25, 0.5, 0.75)
#: Rows of a population that are forecast by the experts of other spaces.
_HELD_OUT: Final = 200
#: Rows from which on a single population spares a fifth for calibration; trees of that trial.
_FEWEST: Final = 20
_TRIAL: Final = 36
#: Standard deviation of an expert's forecasts of another space, about.
_WIDTH: Final = 0.5


@dataclass(frozen=True, slots=True)
class Weights:
    """How answers are put together.

    Attributes:
        rate: how fast an expert's weight falls with distance.
        kinship: what experts of the same data set count more.
        trend: share of the trend.
    """

    rate: float
    kinship: float
    trend: float


@dataclass(frozen=True, slots=True)
class Answers:
    """What is said of n networks.

    Attributes:
        values: (n, C) experts' normal scores.
        near: (n, C) distances to what each expert knows.
        trend: (n,) the trend's scores.
    """

    values: FloatArray
    near: FloatArray
    trend: FloatArray


class UniversalPredictor(Predictor):
    """``score = slope * (t * trend(x) + (1 - t) * sum_c w_c(x) expert_c(x) / sum_c w_c(x))``.

    A population is one search space measured on one task. Its expert ranks it: a forest fitted to
    the normal scores of the labels' ranks, so that percentages, losses and perplexities are alike.
    About a network of any other space all experts are asked; the nearer a population's networks,
    and if it was measured on the same data set, the more its expert counts. The trend is linear
    and holds inside every space: bigger, deeper, more of it on the way to the output. The weights,
    the slope and the uncertainty come from forecasts of each space by all others.

    The score says where the network stands among networks of its space: 1 is a standard deviation
    better than 0. Which score is average differs between spaces, and standard deviations leave that
    aside. A few labels turn scores into the unit of a task: :meth:`adapt`.

    Args:
        task: data set, or task, that scores are for (``cifar10/test_accuracy``); None asks all
            experts alike.
        trees: of a space, dealt to its populations.
        rows: most architectures that a tree learns from.
        support: architectures of a space kept to tell near from far.
        transform: of the labels where a single population is given; ranks are what is learned.
        seed: of everything random.

    Reference:
        Geurts, Ernst and Wehenkel, "Extremely randomized trees", Machine Learning 2006; Jacobs et
        al., "Adaptive mixtures of local experts", Neural Computation 1991; Wolpert, "Stacked
        generalization", Neural Networks 1992; Lei et al., "Distribution-Free Predictive Inference
        for Regression", JASA 2018.
    """

    kind = "universal"

    @property
    def unitless(self) -> bool:
        """Whether forecasts are scores, in no task's unit: several populations were learned."""
        return self.unit_ is None

    def __init__(
        self,
        task: str | None = None,
        trees: int = 180,
        rows: int = 3000,
        support: int = 150,
        transform: Transform = "identity",
        seed: int = 0,
    ) -> None:
        self.task = task
        self.trees = trees
        self.rows = rows
        self.support = support
        self.transform: Transform = transform
        self.seed = seed

    # ------------------------------------------------------------------- fit
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        spaces: ArrayLike | None = None,
        tasks: ArrayLike | None = None,
        smaller_is_better: ArrayLike | None = None,
    ) -> Self:
        """Fit an expert for every population, and learn how to weigh them.

        Args:
            X: n architectures, as graphs or features; repeated where they have several labels.
            y: (n,) labels, each in the unit of its task; NaN where missing.
            groups: not used.
            spaces: (n,) search space of each row; one if None.
            tasks: (n,) task of each row, ``<data set>/<metric>``; one if None.
            smaller_is_better: (n,) whether a label is a loss, latency or perplexity.

        Returns:
            The fitted predictor. With one population alone, forecasts are in its unit.

        Raises:
            InvalidLabelsError: as for every predictor.
            InvalidSettingError: fewer than one tree, two rows or one network of support.
            MissingExtraError: scikit-learn is not installed.
        """
        if self.trees < 1 or self.rows < 2 or self.support < 1:
            raise InvalidSettingError("trees and support are at least 1, rows at least 2")
        x, target, known = self._labelled(X, y)
        self._enough(known)
        where = _labels(spaces, known, len(np.asarray(y)))
        what = _labels(tasks, known, len(np.asarray(y)))
        sign = np.ones(len(known))
        if smaller_is_better is not None:
            sign[np.asarray(smaller_is_better, bool)[known]] = -1.0
        populations = list(_populations(x, target, where, what, sign))
        self._learn(populations)
        single = len(populations) == 1
        self.unit_ = np.quantile(target, np.linspace(0, 1, 257)) if single else None
        self.centre_, self.spread_ = np.asarray(0.0), np.asarray(1.0)
        self.constant_ = np.asarray(False)
        if single:
            self.constant_ = np.asarray(bool(np.ptp(target) == 0))
            self.centre_ = np.asarray(target.mean() if self.constant_ else 0.0)
        return self

    def _fit(self, X: Any, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        raise NotImplementedError  # fit() does it all

    def _learn(self, populations: list[Population]) -> None:
        rng = np.random.default_rng(self.seed)
        spaces = [p.space for p in populations]
        forests = [
            mixed_forest(p, max(self.trees // spaces.count(p.space), 1), self.rows, rng)
            for p in populations
        ]
        self.experts_ = Experts.build(populations, forests, self.support, rng)
        self.n_features_in_ = populations[0].x.shape[1]
        scaler, columns = self.experts_.scaler, common_columns(self.n_features_in_)
        parts = [moments(p, scaler, columns) for p in populations]
        self.trend_ = fit_trend(parts, columns)
        self.weights_ = Weights(_RATES[1], _KINSHIPS[1], _TRENDS[0])
        self.slope_, self.calibration_ = 1.0, _unknown()
        held_out = [p.sample(_HELD_OUT, rng) for p in populations]
        own = np.array([self.trend_.predict(scaler.apply(p.x)).std() for p in held_out])
        # As wide inside a space as experts are, so that the share of the trend means something.
        self.trend_ = Trend(columns, self.trend_.slopes * _WIDTH / max(float(own.mean()), 1e-9))
        if len(set(spaces)) > 1:
            answers = [self._ask(p, fit_trend(parts, columns, p.space)) for p in held_out]
            self._stack(held_out, answers)
        elif len(populations) == 1 and len(populations[0].y) >= _FEWEST:
            self._alone(populations[0], rng)

    def _alone(self, p: Population, rng: np.random.Generator) -> None:
        """One population: slope and error are those of a fifth of it, by an expert of the rest."""
        order = rng.permutation(len(p.y))[: 5 * _HELD_OUT]
        test, rest = (
            Population(p.space, p.task, p.x[rows], p.y[rows])
            for rows in np.split(order, [len(order) // 5])
        )
        forest = mixed_forest(rest, min(self.trees, _TRIAL), self.rows, rng)
        expert = Experts.build([rest], [forest], self.support, rng)
        values, near = expert.ask(test.x)
        trend = self.trend_.predict(self.experts_.scaler.apply(test.x))
        score = self.weights_.trend * trend + (1 - self.weights_.trend) * values[:, 0]
        self.slope_ = float(np.clip((test.y @ score) / max(score @ score, 1e-9), 0.1, 3.0))
        centre = self.slope_ * score
        alone = np.arange(len(centre))
        self.calibration_ = calibrate(
            test.y - centre, centre, near[:, 0], np.zeros(len(centre)), alone
        )

    def _ask(self, p: Population, trend: Trend) -> Answers:
        """What is said of a population without the experts, and in the trend, of its space."""
        values, near = self.experts_.ask(p.x)
        general = trend.predict(self.experts_.scaler.apply(p.x))
        return Answers(values, near, general * _WIDTH / max(float(general.std()), 1e-9))

    def _stack(self, populations: list[Population], answers: list[Answers]) -> None:
        """Choose the weights by forecasts of every space from the others, and calibrate on them."""
        pairs = list(zip(populations, answers, strict=True))
        tried = [Weights(*w) for w in product(_RATES, _KINSHIPS, _TRENDS)]
        found = [[self._combine(a, w, p.task, p.space) for p, a in pairs] for w in tried]
        quality = [_mean_correlation(populations, scores) for scores in found]
        best = int(np.argmax(quality))
        self.weights_ = tried[best]
        truth, score = np.concatenate([p.y for p in populations]), np.concatenate(found[best])
        groups = np.repeat(np.arange(len(answers)), [len(p.y) for p in populations])
        weight = (1 / np.bincount(groups))[groups]
        # Levels differ between spaces for no reason that a network shows; inside, slopes count.
        inside = score - (np.bincount(groups, score) / np.bincount(groups))[groups]
        slope = (weight * truth * inside).sum() / max((weight * inside * inside).sum(), 1e-9)
        self.slope_ = float(np.clip(slope, 0.1, 3.0))
        near, spread = self._doubts(pairs)
        spaces = np.unique([p.space for p in populations], return_inverse=True)[1][groups]
        centre = self.slope_ * inside
        self.calibration_ = calibrate(truth - centre, centre, near, spread, spaces)

    def _doubts(self, pairs: list[tuple[Population, Answers]]) -> tuple[FloatArray, FloatArray]:
        """Distance to, and disagreement of, the experts of other spaces."""
        near, spread = [], []
        for p, a in pairs:
            other = np.array([space != p.space for space in self.experts_.spaces])
            near.append(a.near[:, other].min(1))
            spread.append(a.values[:, other].std(1))
        return np.concatenate(near), np.concatenate(spread)

    def _combine(
        self, a: Answers, w: Weights, task: str | None, without: str | None = None
    ) -> FloatArray:
        weights = weigh(self.experts_, a.near, task, w.rate, w.kinship, without)
        experts = (weights * a.values).sum(1) / weights.sum(1)
        return w.trend * a.trend + (1 - w.trend) * experts

    # --------------------------------------------------------------- predict
    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        values, near = self.experts_.ask(X)
        answers = Answers(values, near, self.trend_.predict(self.experts_.scaler.apply(X)))
        centre = self.slope_ * self._combine(answers, self.weights_, self.task)
        scale = self.calibration_.scale(centre, near.min(1), values.std(1))
        std = scale * float(self.calibration_.residuals.std())
        if self.unit_ is None:
            return centre, std
        low, middle, high = (_in_unit(z, self.unit_) for z in (centre - std, centre, centre + std))
        return middle, (high - low) / 2

    # ----------------------------------------------------------------- files
    def _state(self) -> State:
        arrays = self.experts_.arrays() | {
            "trend.columns": self.trend_.columns,
            "trend.slopes": self.trend_.slopes,
            "calibration.weights": self.calibration_.weights,
            "calibration.residuals": self.calibration_.residuals,
        }
        if self.unit_ is not None:
            arrays["unit"] = self.unit_
        facts = {
            "spaces": list(self.experts_.spaces),
            "tasks": list(self.experts_.tasks),
            "weights": [self.weights_.rate, self.weights_.kinship, self.weights_.trend],
            "slope": self.slope_,
            "level": self.calibration_.centre,
        }
        return State(arrays, facts)

    def _restore(self, state: State) -> None:
        facts, arrays = state.facts, state.arrays
        self.experts_ = Experts.from_arrays(arrays, facts["spaces"], facts["tasks"])
        self.weights_, self.slope_ = Weights(*facts["weights"]), facts["slope"]
        self.trend_ = Trend(arrays["trend.columns"], arrays["trend.slopes"])
        self.calibration_ = Calibration(
            arrays["calibration.weights"], facts["level"], arrays["calibration.residuals"]
        )
        self.unit_ = arrays.get("unit")
        self.n_features_in_ = len(self.experts_.scaler.centre)


def _labels(given: ArrayLike | None, known: NDArray[np.intp], rows: int) -> NDArray[np.str_]:
    if given is None:
        return np.full(len(known), "")
    labels = np.asarray(given, dtype=str)
    if labels.shape != (rows,):
        raise InvalidLabelsError(f"{rows} rows, but names of spaces or tasks {labels.shape}")
    return labels[known]


def _populations(
    x: NDArray[np.float32],
    target: FloatArray,
    where: NDArray[np.str_],
    what: NDArray[np.str_],
    sign: FloatArray,
) -> Iterator[Population]:
    """Rows by space and task, in order of first appearance; labels as normal scores."""
    for space, task in dict.fromkeys(zip(where.tolist(), what.tolist(), strict=True)):
        rows = np.flatnonzero((where == space) & (what == task))
        yield Population(space, task, x[rows], normal_scores(sign[rows] * target[rows]))


def _mean_correlation(held_out: Sequence[Population], scores: Sequence[FloatArray]) -> float:
    """Mean over spaces of the correlation of normal scores and forecasts."""
    by_space: dict[str, list[float]] = {}
    for p, score in zip(held_out, scores, strict=True):
        flat = min(p.y.std(), score.std()) < 1e-9
        value = 0.0 if flat else float(np.corrcoef(p.y, normal_scores(score))[0, 1])
        by_space.setdefault(p.space, []).append(value)
    return float(np.mean([np.mean(values) for values in by_space.values()]))


def _in_unit(z: FloatArray, unit: FloatArray) -> FloatArray:
    """Normal scores to the quantiles of the only population there is."""
    levels = np.linspace(0, 1, len(unit))
    return np.interp(z, normal_scores(levels), unit)


def _unknown() -> Calibration:
    """Before anything is held out: normal residuals of unit scale."""
    return Calibration(np.zeros(4), 0.0, normal_scores(np.arange(401.0)))
