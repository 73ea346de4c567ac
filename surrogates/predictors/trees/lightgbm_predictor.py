"""Trees boosted by LightGBM."""

from __future__ import annotations

from typing import Any

from archcast.encoders.errors import MissingExtraError
from archcast.predictors._trees import Forest, from_lightgbm
from archcast.predictors.trees._boosting import BoostedPredictor, Task

__all__ = ["LightGBMPredictor"]


class LightGBMPredictor(BoostedPredictor):
    """``sum_t rate * tree_t(features)``, trees grown leaf by leaf on histograms.

    The parameters are those of :class:`~archcast.predictors.trees._boosting.BoostedPredictor`.

    Reference:
        Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NeurIPS 2017.
        Malinin et al., "Uncertainty in Gradient Boosting via Ensembles", ICLR 2021.
    """

    kind = "lightgbm"

    def _boost(self, task: Task) -> Forest:
        return from_lightgbm(self._booster(task))

    def _booster(self, task: Task) -> Any:
        lightgbm = import_lightgbm()
        settings = self._settings(task)
        if task.level is not None:
            settings |= {"objective": "quantile", "alpha": task.level}
        data = lightgbm.Dataset(task.x, task.y, params=settings)
        if task.held_out is None:
            return lightgbm.train(settings, data, task.rounds)
        valid = lightgbm.Dataset(*task.held_out, reference=data, params=settings)
        stop = lightgbm.early_stopping(self.early_stopping, verbose=False)
        booster = lightgbm.train(settings, data, task.rounds, [valid], callbacks=[stop])
        return lightgbm.Booster(model_str=booster.model_to_string())  # the best rounds only

    def _settings(self, task: Task) -> dict[str, Any]:
        return {
            "objective": "l2",
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": smallest(self.smallest_leaf, len(task.y)),
            "feature_fraction": 0.3,
            "bagging_fraction": 0.7 if len(task.y) > 1 else 1.0,
            "bagging_freq": 1,
            "max_bin": 63,
            "seed": task.seed,
            "deterministic": True,
            "force_col_wise": True,
            "num_threads": 1,
            "verbose": -1,
        }


def smallest(leaf: int, rows: int) -> int:
    """Fewest samples in a leaf: as asked for, but an eighth of all rows at most."""
    return max(min(leaf, rows // 8), 1)


def import_lightgbm() -> Any:
    """The module.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import lightgbm
    except ImportError as error:
        raise MissingExtraError(
            "training this predictor needs LightGBM: pip install 'archcast[train]'"
        ) from error
    return lightgbm
