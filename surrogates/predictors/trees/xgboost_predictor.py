"""Trees boosted by XGBoost."""

from __future__ import annotations

from typing import Any

import numpy as np

from archcast.encoders.errors import MissingExtraError
from archcast.predictors._trees import Forest, from_xgboost
from archcast.predictors.trees._boosting import BoostedPredictor, Task
from archcast.predictors.trees.lightgbm_predictor import smallest

__all__ = ["XGBoostPredictor"]


class XGBoostPredictor(BoostedPredictor):
    """``base + sum_t rate * tree_t(features)``, leaves penalised by the squares of their values.

    The parameters are those of :class:`~archcast.predictors.trees._boosting.BoostedPredictor`.

    Reference:
        Chen and Guestrin, "XGBoost: A Scalable Tree Boosting System", KDD 2016.
    """

    kind = "xgboost"

    def _boost(self, task: Task) -> Forest:
        try:
            import xgboost
            from xgboost.callback import EarlyStopping
        except ImportError as error:
            raise MissingExtraError(
                "training this predictor needs XGBoost: pip install 'archcast[xgboost]'"
            ) from error
        settings = self._settings(task)
        data = xgboost.QuantileDMatrix(task.x, task.y, max_bin=64)
        if task.held_out is None:
            return from_xgboost(xgboost.train(settings, data, num_boost_round=task.rounds))
        valid = xgboost.QuantileDMatrix(*task.held_out, ref=data, max_bin=64)
        stop = EarlyStopping(rounds=self.early_stopping, save_best=True)
        booster = xgboost.train(
            settings,
            data,
            num_boost_round=task.rounds,
            evals=[(valid, "held_out")],
            callbacks=[stop],
            verbose_eval=False,
        )
        return from_xgboost(booster)

    def _settings(self, task: Task) -> dict[str, Any]:
        target: dict[str, Any] = {"objective": "reg:squarederror", "base_score": 0.0}
        if task.level is not None:
            start = float(np.quantile(task.y, task.level))
            target = {"objective": "reg:quantileerror", "quantile_alpha": task.level}
            target["base_score"] = start
        return target | {
            "tree_method": "hist",
            "grow_policy": "lossguide",
            "max_leaves": self.leaves,
            "max_depth": 0,
            "max_bin": 64,
            "eta": self.learning_rate,
            "min_child_weight": smallest(self.smallest_leaf, len(task.y)),
            "subsample": 0.7 if len(task.y) > 8 else 1.0,
            "colsample_bytree": 0.3,
            "seed": task.seed,
            "nthread": 1,
            "verbosity": 0,
        }
