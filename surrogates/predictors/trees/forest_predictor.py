"""Forests of deep trees: random forest and extremely randomised trees."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from archcast._transforms import Transform
from archcast.encoders.errors import InvalidSettingError, MissingExtraError
from archcast.predictors._protocol import Predictor, State
from archcast.predictors._trees import Forest, from_sklearn
from archcast.predictors.trees._groups import IntArray, hold_out, numbered
from archcast.predictors.trees._noise import Noise, fit_noise

__all__ = ["ExtraTreesPredictor", "RandomForestPredictor"]

FloatArray = NDArray[np.float64]

#: Levels whose distance says how wide the distribution is, in standard deviations.
_LEVELS = (0.05, 0.95)
_HALF_WIDTH = 1.6449
#: Forests that are grown only to see how far they err: how many, of how many trees and rows.
_FOLDS, _FOLD_TREES, _FOLD_ROWS = 3, 100, 4000
_HELD_OUT = 0.2
_BLOCK = 1 << 21


class ForestPredictor(Predictor):
    """``mean_t tree_t(features)``; a subclass says how the trees are grown.

    Args:
        transform: scale of the targets: ``identity``, ``logit`` (percentages) or ``log``.
        trees: how many.
        smallest_leaf: fewest samples in a leaf.
        columns: share of the columns that a split chooses from.
        bootstrap: whether every tree sees a bootstrap sample of the rows, or all of them.
        uncertainty: where standard deviations come from. ``ensemble``: variance of the trees plus
            mean variance inside the leaves (law of total variance). ``quantile``: distance of the
            5 % from the 95 % quantile of one training label of every leaf (quantile forest). Both
            are calibrated on groups that were held out.
        progress: whether to show a progress bar.
        seed: of everything random.
    """

    def __init__(
        self,
        transform: Transform = "identity",
        trees: int = 300,
        smallest_leaf: int = 2,
        columns: float = 0.3,
        bootstrap: bool = False,
        uncertainty: Literal["ensemble", "quantile"] = "ensemble",
        progress: bool = False,
        seed: int = 0,
    ) -> None:
        self.transform: Transform = transform
        self.trees = trees
        self.smallest_leaf = smallest_leaf
        self.columns = columns
        self.bootstrap = bootstrap
        self.uncertainty: Literal["ensemble", "quantile"] = uncertainty
        self.progress = progress
        self.seed = seed

    @abstractmethod
    def _grow(self, settings: dict[str, Any]) -> Any:
        """The unfitted forest of scikit-learn."""

    # ------------------------------------------------------------------- fit
    def _fit(self, X: NDArray[np.float32], y: FloatArray, groups: IntArray | None) -> None:
        if self.uncertainty not in ("ensemble", "quantile"):
            raise InvalidSettingError(
                f"uncertainty is 'ensemble' or 'quantile', not {self.uncertainty!r}"
            )
        if min(self.trees, self.smallest_leaf) < 1 or not 0 < self.columns <= 1:
            raise InvalidSettingError("trees and smallest_leaf are at least 1, columns in (0, 1]")
        self.noise_ = self._calibrate(X, y, numbered(groups, X))
        self.forest_, self.moment_ = self._plant(X, y, self.trees)

    def _plant(
        self, x: NDArray[np.float32], y: FloatArray, trees: int
    ) -> tuple[Forest, NDArray[np.float32]]:
        """Trees, and for every node what its leaf tells of the distribution of labels.

        That is the mean square of the labels in the leaf, or one of them, drawn at random.
        """
        settings = {
            "n_estimators": trees,
            "min_samples_leaf": self.smallest_leaf,
            "max_features": self.columns,
            "bootstrap": self.bootstrap,
            "random_state": self.seed,
            "n_jobs": 1,
        }
        try:
            model = self._grow(settings).fit(x, y)
        except ImportError as error:
            raise MissingExtraError(
                "training this predictor needs scikit-learn: pip install 'archcast[train]'"
            ) from error
        forest = from_sklearn(model.estimators_)
        if self.uncertainty == "ensemble":
            return forest, self._mean_squares(forest, x, y, model)
        return forest, self._drawn(forest, x, y, model)

    def _mean_squares(
        self, forest: Forest, x: NDArray[np.float32], y: FloatArray, model: Any
    ) -> NDArray[np.float32]:
        nodes, rows = self._pairs(forest, x, model)
        size = len(forest.left)
        count = np.bincount(nodes, minlength=size)
        total = np.bincount(nodes, y[rows] ** 2, size)
        return np.where(count > 0, total / np.maximum(count, 1), 0).astype(np.float32)

    def _drawn(
        self, forest: Forest, x: NDArray[np.float32], y: FloatArray, model: Any
    ) -> NDArray[np.float32]:
        nodes, rows = self._pairs(forest, x, model)
        order = np.random.default_rng(self.seed).permutation(len(nodes))
        one = np.zeros(len(forest.left), np.float32)
        one[nodes[order]] = y[rows[order]]  # of several rows in a leaf, the last one stays
        return one

    def _pairs(
        self, forest: Forest, x: NDArray[np.float32], model: Any
    ) -> tuple[NDArray[np.int32], IntArray]:
        """Leaves, and beside each a row that it was made of, tree after tree."""
        reached = np.concatenate(
            [forest.reached(x[i : i + _step(forest)]) for i in range(0, len(x), _step(forest))]
        )
        if not self.bootstrap:
            return reached.T.ravel(), np.tile(np.arange(len(x)), len(forest))
        samples = model.estimators_samples_  # computed anew at every access
        nodes = [reached[rows, tree] for tree, rows in enumerate(samples)]
        return np.concatenate(nodes), np.concatenate(samples)

    def _calibrate(self, x: NDArray[np.float32], y: FloatArray, groups: IntArray) -> Noise:
        """Errors and spreads of forests that have not seen the group."""
        rng = np.random.default_rng(self.seed)
        if len(y) > _FOLD_ROWS:
            chosen = rng.permutation(len(y))[:_FOLD_ROWS]
            x, y, groups = x[chosen], y[chosen], groups[chosen]
            groups = np.unique(groups, return_inverse=True)[1].reshape(-1)
        errors, spreads, whose = [np.zeros(0)], [np.zeros(0)], [np.zeros(0, np.intp)]
        for fold in self._bar(range(_FOLDS)):
            rows, out = hold_out(groups, _HELD_OUT, np.random.default_rng((self.seed, fold)))
            if not len(out):
                break
            forest = self._plant(x[rows], y[rows], min(self.trees, _FOLD_TREES))
            mean, spread = self._both(*forest, x[out])
            errors.append(y[out] - mean)
            spreads.append(spread)
            whose.append(groups[out])
        return fit_noise(np.concatenate(errors), np.concatenate(spreads), np.concatenate(whose))

    def _bar(self, items: Any) -> Any:
        from tqdm import tqdm

        return tqdm(items, desc=self.kind, leave=False, disable=not self.progress)

    # --------------------------------------------------------------- predict
    def _both(
        self, forest: Forest, moment: NDArray[np.float32], x: NDArray[np.float32]
    ) -> tuple[FloatArray, FloatArray]:
        means, spreads = [], []
        for start in range(0, len(x), _step(forest)):
            reached = forest.reached(x[start : start + _step(forest)])
            mean = forest.value[reached].mean(1, dtype=np.float64)
            told = moment[reached].astype(np.float64)
            if self.uncertainty == "ensemble":
                spread = np.sqrt(np.maximum(told.mean(1) - mean**2, 0))
            else:
                low, high = np.quantile(told, _LEVELS, axis=1)
                spread = (high - low) / (2 * _HALF_WIDTH)
            means.append(mean)
            spreads.append(spread)
        return np.concatenate(means), np.concatenate(spreads)

    def _predict(self, X: NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
        mean, spread = self._both(self.forest_, self.moment_, X)
        return mean, self.noise_.std(spread)

    # ----------------------------------------------------------------- files
    def _state(self) -> State:
        facts = {"slope": self.noise_.slope, "floor": self.noise_.floor}
        arrays = self.forest_.arrays() | {"moment": self.moment_}
        return State({f"forest.{name}": array for name, array in arrays.items()}, facts)

    def _restore(self, state: State) -> None:
        arrays = {k.removeprefix("forest."): v for k, v in state.arrays.items()}
        self.moment_ = arrays.pop("moment")
        self.forest_ = Forest.from_arrays(arrays)
        if self.moment_.shape != self.forest_.value.shape:
            raise ValueError("not one moment a node")
        self.noise_ = Noise(state.facts["slope"], state.facts["floor"])


def _step(forest: Forest) -> int:
    return max(_BLOCK // len(forest), 1)


class RandomForestPredictor(ForestPredictor):
    """``mean_t tree_t(features)``, every tree grown greedily on a bootstrap sample.

    The parameters are those of :class:`ForestPredictor`.

    Reference:
        Breiman, "Random Forests", Machine Learning 2001.
        Meinshausen, "Quantile Regression Forests", JMLR 2006.
        Hutter et al., "Algorithm Runtime Prediction: Methods & Evaluation", AIJ 2014 (variance).
    """

    kind = "random-forest"

    def __init__(
        self,
        transform: Transform = "identity",
        trees: int = 300,
        smallest_leaf: int = 1,
        columns: float = 0.3,
        bootstrap: bool = True,
        uncertainty: Literal["ensemble", "quantile"] = "ensemble",
        progress: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(
            transform, trees, smallest_leaf, columns, bootstrap, uncertainty, progress, seed
        )

    def _grow(self, settings: dict[str, Any]) -> Any:
        from sklearn.ensemble import RandomForestRegressor

        return RandomForestRegressor(**settings)


class ExtraTreesPredictor(ForestPredictor):
    """``mean_t tree_t(features)``, thresholds drawn at random and the best of them kept.

    The parameters are those of :class:`ForestPredictor`.

    Reference:
        Geurts et al., "Extremely Randomized Trees", Machine Learning 2006.
    """

    kind = "extra-trees"

    def __init__(
        self,
        transform: Transform = "identity",
        trees: int = 300,
        smallest_leaf: int = 3,
        columns: float = 0.3,
        bootstrap: bool = False,
        uncertainty: Literal["ensemble", "quantile"] = "ensemble",
        progress: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(
            transform, trees, smallest_leaf, columns, bootstrap, uncertainty, progress, seed
        )

    def _grow(self, settings: dict[str, Any]) -> Any:
        from sklearn.ensemble import ExtraTreesRegressor

        return ExtraTreesRegressor(**settings)
