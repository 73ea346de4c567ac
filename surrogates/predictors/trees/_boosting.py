"""What boosted predictors of all libraries share: early stopping, spread, calibration."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from archcast._transforms import Transform
from archcast.encoders.errors import InvalidSettingError
from archcast.predictors._protocol import Predictor, State
from archcast.predictors._trees import Forest
from archcast.predictors.trees._groups import IntArray, hold_out, numbered
from archcast.predictors.trees._noise import Noise, fit_noise
from archcast.predictors.trees._opinions import Opinions

FloatArray = NDArray[np.float64]
Uncertainty = Literal["ensemble", "virtual", "quantile"]

#: Levels of the quantile models, and the half-width of their interval in standard deviations.
LEVELS = (0.05, 0.95)
_HALF_WIDTH = 1.6449
#: Sums of the second half of the rounds that make a virtual ensemble.
_VIRTUAL = 8
_HELD_OUT = 0.2


@dataclass(frozen=True, slots=True)
class Task:
    """One boosted model to train.

    Attributes:
        x: (n, F) features.
        y: (n,) targets.
        rounds: trees at most.
        seed: of the sampling of rows and columns.
        level: quantile to learn; None for the mean.
        held_out: features and targets that say when to stop; None without early stopping.
    """

    x: NDArray[np.float32]
    y: FloatArray
    rounds: int
    seed: int
    level: float | None = None
    held_out: tuple[NDArray[np.float32], FloatArray] | None = None


class BoostedPredictor(Predictor):
    """``sum_t rate * tree_t(features)``; a subclass names the library that grows the trees.

    Args:
        transform: scale of the targets: ``identity``, ``logit`` (percentages) or ``log``.
        rounds: trees of a model at most.
        leaves: leaves of a tree at most.
        learning_rate: shrinkage of every tree.
        smallest_leaf: fewest samples in a leaf, an eighth of all at most.
        early_stopping: rounds without progress on held-out groups that end the training; 0
            trains all rounds.
        uncertainty: where standard deviations come from. ``ensemble``: the spread of models
            trained on different groups of the data, whose mean is the forecast. ``virtual``: the
            spread of the sums that one model passes through in the second half of its rounds.
            ``quantile``: two more models, of the 5 % and the 95 % quantile (pinball loss). Each is
            calibrated on groups that were held out.
        members: models of the ensemble.
        bag: share of the groups that a member learns from.
        progress: whether to show a progress bar.
        seed: of everything random.
    """

    def __init__(
        self,
        transform: Transform = "identity",
        rounds: int = 400,
        leaves: int = 15,
        learning_rate: float = 0.05,
        smallest_leaf: int = 5,
        early_stopping: int = 30,
        uncertainty: Uncertainty = "ensemble",
        members: int = 10,
        bag: float = 0.8,
        progress: bool = False,
        seed: int = 0,
    ) -> None:
        self.transform: Transform = transform
        self.rounds = rounds
        self.leaves = leaves
        self.learning_rate = learning_rate
        self.smallest_leaf = smallest_leaf
        self.early_stopping = early_stopping
        self.uncertainty: Uncertainty = uncertainty
        self.members = members
        self.bag = bag
        self.progress = progress
        self.seed = seed

    @abstractmethod
    def _boost(self, task: Task) -> Forest:
        """Train one model; its leaf values add up to the forecast.

        Raises:
            MissingExtraError: the library is not installed.
        """

    # ------------------------------------------------------------------- fit
    def _fit(self, X: NDArray[np.float32], y: FloatArray, groups: IntArray | None) -> None:
        self._check()
        groups = numbered(groups, X)
        if self.uncertainty == "ensemble":
            self._fit_ensemble(X, y, groups)
        else:
            self._fit_one(X, y, groups)

    def _check(self) -> None:
        if self.uncertainty not in ("ensemble", "virtual", "quantile"):
            raise InvalidSettingError(
                f"uncertainty is 'ensemble', 'virtual' or 'quantile', not {self.uncertainty!r}"
            )
        if min(self.rounds, self.members, self.leaves - 1) < 1 or not 0 < self.bag <= 1:
            raise InvalidSettingError("rounds and members are at least 1, leaves 2, bag in (0, 1]")

    def _fit_ensemble(self, x: NDArray[np.float32], y: FloatArray, groups: IntArray) -> None:
        """Members on different groups; rows that some have not seen tell how far they err."""
        forests, unseen = [], np.zeros((len(y), self.members), bool)
        for member in self._bar(range(self.members)):
            rng = np.random.default_rng((self.seed, member))
            rows, out = hold_out(groups, 1 - self.bag, rng)
            unseen[out, member] = True
            stop = (x[out], y[out]) if self.early_stopping and len(out) else None
            seed = int(rng.integers(1 << 30))
            forests.append(self._boost(Task(x[rows], y[rows], self.rounds, seed, None, stop)))
        self.opinions_ = Opinions.of(forests)
        self.noise_ = self._out_of_bag(self.opinions_.of_rows(x), y, unseen, groups)

    @staticmethod
    def _out_of_bag(
        values: FloatArray, y: FloatArray, unseen: NDArray[np.bool_], groups: IntArray
    ) -> Noise:
        """Errors and spread of those members that have not seen a row."""
        count = unseen.sum(1)
        if not (count >= 2).any():
            return fit_noise(np.zeros(0), np.zeros(0))
        # Members that have seen the row agree on it, those that have not err together: the spread
        # of all of them would give the row's own error away.
        rows = np.flatnonzero(count >= 2)
        weight = unseen[rows] / count[rows, None]
        mean = (values[rows] * weight).sum(1)
        square = ((values[rows] - mean[:, None]) ** 2 * weight).sum(1)
        spread = np.sqrt(square * count[rows] / (count[rows] - 1))
        return fit_noise(y[rows] - mean, spread, groups[rows])

    def _fit_one(self, x: NDArray[np.float32], y: FloatArray, groups: IntArray) -> None:
        """Stop and calibrate on held-out groups, then train anew on everything."""
        rows, out = hold_out(groups, _HELD_OUT, np.random.default_rng(self.seed))
        stop = (x[out], y[out]) if self.early_stopping and len(out) else None
        quantile = self.uncertainty == "quantile"
        levels: tuple[float | None, ...] = (None, *LEVELS) if quantile else (None,)
        first = [
            self._boost(Task(x[rows], y[rows], self.rounds, self.seed, level, stop))
            for level in self._bar(levels)
        ]
        self.opinions_ = Opinions.of(first)
        mean, spread = self._both(x[out])
        self.noise_ = fit_noise(y[out] - mean, spread, groups[out])
        if len(out):
            again = [
                self._boost(Task(x, y, self._trained(forest), self.seed, level))
                for forest, level in zip(first, self._bar(levels), strict=True)
            ]
            self.opinions_ = Opinions.of(again)

    def _trained(self, forest: Forest) -> int:
        """Rounds of a forest; the single leaf that some libraries start from is none."""
        return min(max(len(forest), 1), self.rounds)

    def _bar(self, items: Any) -> Any:
        from tqdm import tqdm

        return tqdm(items, desc=self.kind, unit="model", disable=not self.progress)

    # --------------------------------------------------------------- predict
    def _both(self, x: NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
        """(n,) mean, and (n,) spread before calibration."""
        if not len(x):
            return np.zeros(0), np.zeros(0)
        if self.uncertainty == "virtual":
            rounds = len(self.opinions_.forest)
            stops = np.unique(np.linspace(max(rounds // 2, 1), rounds, _VIRTUAL).astype(int))
            values = self.opinions_.along(x, stops.tolist())
            return values[:, -1], values.std(1)
        values = self.opinions_.of_rows(x)
        if self.uncertainty == "ensemble":
            return values.mean(1), values.std(1)
        return values[:, 0], np.maximum(values[:, 2] - values[:, 1], 0) / (2 * _HALF_WIDTH)

    def _predict(self, X: NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
        mean, spread = self._both(X)
        return mean, self.noise_.std(spread)

    # ----------------------------------------------------------------- files
    def _state(self) -> State:
        facts = {"slope": self.noise_.slope, "floor": self.noise_.floor}
        return State(self.opinions_.arrays(), facts)

    def _restore(self, state: State) -> None:
        self.opinions_ = Opinions.from_arrays(state.arrays)
        self.noise_ = Noise(state.facts["slope"], state.facts["floor"])
