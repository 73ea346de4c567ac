"""Trees boosted by scikit-learn's histogram gradient boosting."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from archcast.encoders.errors import MissingExtraError
from archcast.predictors._trees import Forest, from_histogram
from archcast.predictors.trees._boosting import BoostedPredictor, Task
from archcast.predictors.trees.lightgbm_predictor import smallest

__all__ = ["HistGradientBoostingPredictor"]


class HistGradientBoostingPredictor(BoostedPredictor):
    """``base + sum_t rate * tree_t(features)``, as scikit-learn grows them.

    The parameters are those of :class:`~archcast.predictors.trees._boosting.BoostedPredictor`.

    Reference:
        Pedregosa et al., "Scikit-learn: Machine Learning in Python", JMLR 2011.
    """

    kind = "hist-gradient-boosting"

    def _boost(self, task: Task) -> Forest:
        model = self._model(task)
        stop = task.held_out
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # columns of one value cannot be binned
            if stop is None:
                model.fit(task.x, task.y)
            else:
                model.fit(task.x, task.y, X_val=stop[0], y_val=stop[1])
        if stop is not None and len(model.validation_score_) > 1:
            best = int(np.argmax(model.validation_score_))  # its first entry is before any tree
            model._predictors = model._predictors[: max(best, 1)]
        return from_histogram(model)

    def _model(self, task: Task) -> Any:
        try:
            from sklearn.ensemble import HistGradientBoostingRegressor
        except ImportError as error:
            raise MissingExtraError(
                "training this predictor needs scikit-learn: pip install 'archcast[train]'"
            ) from error
        settings: dict[str, Any] = {
            "loss": "squared_error" if task.level is None else "quantile",
            "quantile": task.level,
            "learning_rate": self.learning_rate,
            "max_iter": task.rounds,
            "max_leaf_nodes": self.leaves,
            "min_samples_leaf": smallest(self.smallest_leaf, len(task.y)),
            "max_features": 0.3,
            "max_bins": 63,
            "early_stopping": task.held_out is not None,
            "n_iter_no_change": max(self.early_stopping, 1),
            "tol": 0.0,
            "random_state": task.seed,
        }
        return HistGradientBoostingRegressor(**settings)
