"""Natural gradient boosting of a whole distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast._transforms import Transform
from archcast.encoders.errors import InvalidSettingError
from archcast.predictors._protocol import Predictor, State
from archcast.predictors._trees import from_lightgbm
from archcast.predictors.trees._groups import IntArray, hold_out, numbered
from archcast.predictors.trees._noise import Noise, fit_noise
from archcast.predictors.trees._opinions import Opinions
from archcast.predictors.trees.lightgbm_predictor import import_lightgbm, smallest

__all__ = ["NGBoostPredictor"]

FloatArray = NDArray[np.float64]
_HELD_OUT = 0.2
#: log(std) stays inside, in units of the labels' spread: beyond lies overfitting to single rows.
_LOG_STD = (-4.0, 2.0)


class NGBoostPredictor(Predictor):
    """``(mean, log std) = sum_t rate * tree_t(features)``, trees fitted to natural gradients.

    Of the Gaussian log-likelihood, with the Fisher information ``diag(1 / std², 2)``, the natural
    gradients are ``mean - y`` and ``(1 - (y - mean)² / std²) / 2``: unlike the plain ones, they do
    not vanish where the standard deviation is large.

    Args:
        transform: scale of the targets: ``identity``, ``logit`` (percentages) or ``log``.
        rounds: pairs of trees at most.
        leaves: leaves of a tree at most.
        learning_rate: shrinkage of every tree.
        smallest_leaf: fewest samples in a leaf, an eighth of all at most.
        early_stopping: rounds without a better likelihood of held-out groups that end the
            training; 0 trains all rounds.
        progress: whether to show a progress bar.
        seed: of everything random.

    Reference:
        Duan et al., "NGBoost: Natural Gradient Boosting for Probabilistic Prediction", ICML 2020.
        Unlike there, the step has a fixed length, and the trees are LightGBM's.
    """

    kind = "ngboost"

    def __init__(
        self,
        transform: Transform = "identity",
        rounds: int = 600,
        leaves: int = 15,
        learning_rate: float = 0.04,
        smallest_leaf: int = 5,
        early_stopping: int = 50,
        progress: bool = False,
        seed: int = 0,
    ) -> None:
        self.transform: Transform = transform
        self.rounds = rounds
        self.leaves = leaves
        self.learning_rate = learning_rate
        self.smallest_leaf = smallest_leaf
        self.early_stopping = early_stopping
        self.progress = progress
        self.seed = seed

    # ------------------------------------------------------------------- fit
    def _fit(self, X: NDArray[np.float32], y: FloatArray, groups: IntArray | None) -> None:
        if min(self.rounds, self.leaves - 1) < 1:
            raise InvalidSettingError("rounds is at least 1, leaves at least 2")
        rng = np.random.default_rng(self.seed)
        groups = numbered(groups, X)
        rows, out = hold_out(groups, _HELD_OUT, rng)
        stop = (X[out], y[out]) if self.early_stopping and len(out) else None
        self.opinions_ = self._boost(X[rows], y[rows], self.rounds, stop)
        mean, std = self._distribution(X[out])
        self.noise_ = fit_noise(y[out] - mean, std, groups[out])
        if len(out):
            self.opinions_ = self._boost(X, y, max(int(self.opinions_.ends[0]), 1), None)

    def _boost(self, x: NDArray[np.float32], y: FloatArray, rounds: int, stop: Any) -> Opinions:
        from tqdm import tqdm

        lightgbm = import_lightgbm()
        settings = self._settings(len(y)) | {"objective": _natural_gradient}
        data = lightgbm.Dataset(x, y, params=settings)
        valid, callbacks = [], []
        if stop is not None:
            valid = [lightgbm.Dataset(*stop, reference=data, params=settings)]
            callbacks = [lightgbm.early_stopping(self.early_stopping, verbose=False)]
        with tqdm(total=rounds, desc=self.kind, disable=not self.progress) as bar:
            booster = lightgbm.train(
                settings,
                data,
                rounds,
                valid,
                feval=_likelihood,
                callbacks=[*callbacks, lambda _: bar.update()],
            )
        best = max(booster.best_iteration if stop is not None else booster.current_iteration(), 1)
        # The trees of the two outputs alternate.
        return Opinions.of([from_lightgbm(booster, slice(at, 2 * best, 2)) for at in (0, 1)])

    def _settings(self, rows: int) -> dict[str, Any]:
        return {
            "num_class": 2,
            "metric": "None",
            "boost_from_average": False,
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": smallest(self.smallest_leaf, rows),
            "min_sum_hessian_in_leaf": 0.0,
            "feature_fraction": 0.3,
            "bagging_fraction": 0.7 if rows > 1 else 1.0,
            "bagging_freq": 1,
            "max_bin": 63,
            "seed": self.seed,
            "deterministic": True,
            "force_col_wise": True,
            "num_threads": 1,
            "verbose": -1,
        }

    # --------------------------------------------------------------- predict
    def _distribution(self, x: NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
        """(n,) means and (n,) standard deviations, not calibrated."""
        if not len(x):
            return np.zeros(0), np.zeros(0)
        mean, log_std = self.opinions_.of_rows(x).T
        return mean, np.exp(np.clip(log_std, *_LOG_STD))

    def _predict(self, X: NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
        mean, std = self._distribution(X)
        return mean, self.noise_.std(std)

    # ----------------------------------------------------------------- files
    def _state(self) -> State:
        facts = {"slope": self.noise_.slope, "floor": self.noise_.floor}
        return State(self.opinions_.arrays(), facts)

    def _restore(self, state: State) -> None:
        self.opinions_ = Opinions.from_arrays(state.arrays)
        self.noise_ = Noise(state.facts["slope"], state.facts["floor"])


def _natural_gradient(scores: FloatArray, data: Any) -> tuple[FloatArray, FloatArray]:
    """(n, 2) natural gradients; with unit curvature a leaf is the mean of its rows' gradients."""
    mean, std = scores[:, 0], np.exp(np.clip(scores[:, 1], *_LOG_STD))
    error = mean - data.get_label()
    gradient = np.stack([error, (1 - (error / std) ** 2) / 2], 1)
    return gradient, np.ones_like(gradient)


def _likelihood(scores: FloatArray, data: Any) -> tuple[str, float, bool]:
    """Mean negative log-likelihood, without its constant."""
    log_std = np.clip(scores[:, 1], *_LOG_STD)
    error = (scores[:, 0] - data.get_label()) / np.exp(log_std)
    return "nll", float((log_std + error**2 / 2).mean()), False
