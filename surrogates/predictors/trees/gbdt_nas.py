"""GBDT-NAS: boosted trees on the choices of a search space, and what each choice contributes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast._transforms import Transform
from archcast.predictors._encoding import encode
from archcast.predictors._protocol import State
from archcast.predictors._trees import Forest, from_lightgbm
from archcast.predictors.trees._boosting import Task
from archcast.predictors.trees.lightgbm_predictor import (
    LightGBMPredictor,
    import_lightgbm,
    smallest,
)

__all__ = ["GBDTNASPredictor"]

FloatArray = NDArray[np.float64]


class GBDTNASPredictor(LightGBMPredictor):
    """``sum_t rate * tree_t(x)`` on z-scored labels, by default 100 trees of 31 leaves, rate .05.

    It takes tabular features like all tree predictors; as published, ``x`` are the choices of a
    search space, one column each (:class:`~archcast.predictors.trees.pruning.Choices`). What they
    contribute prunes the space: :func:`~archcast.predictors.trees.pruning.prune`.

    Args:
        transform: scale of the targets: ``identity``, ``logit`` (percentages) or ``log``.
        rounds: trees.
        leaves: leaves of a tree at most.
        learning_rate: shrinkage of every tree.
        smallest_leaf: fewest samples in a leaf, an eighth of all at most.
        progress: whether to show a progress bar.
        seed: of everything random.

    Reference:
        Luo et al., "Accuracy Prediction with Non-neural Model for Neural Architecture Search",
        2020. Standard deviations are ours: a calibrated virtual ensemble.
    """

    kind = "gbdt-nas"

    def __init__(
        self,
        transform: Transform = "identity",
        rounds: int = 100,
        leaves: int = 31,
        learning_rate: float = 0.05,
        smallest_leaf: int = 20,
        progress: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(
            transform,
            rounds,
            leaves,
            learning_rate,
            smallest_leaf,
            early_stopping=0,
            uncertainty="virtual",
            progress=progress,
            seed=seed,
        )

    def contributions(self, X: Any) -> FloatArray:
        """How much every column moves each forecast: SHAP values of the trees.

        Args:
            X: n architectures, as for :meth:`fit`.

        Returns:
            (n, F + 1) in the unit of the transformed labels. A row adds up to the forecast before
            the inverse transform; its last entry is what is forecast on average.

        Raises:
            NotFittedError: :meth:`fit` was not called.
            MissingExtraError: LightGBM is not installed; only forecasts do without.

        Reference:
            Lundberg et al., "From local explanations to global understanding with explainable AI
            for trees", Nature Machine Intelligence 2020.
        """
        self._check_fitted()
        booster = import_lightgbm().Booster(model_str=self.text_)
        found = np.asarray(booster.predict(encode(X, "tabular"), pred_contrib=True, num_threads=1))
        found = np.where(self.constant_, 0.0, found) * self.spread_
        found[:, -1] += self.centre_
        return found

    def _boost(self, task: Task) -> Forest:
        booster = self._booster(task)
        self.text_ = booster.model_to_string()  # of the last training, which sees all rows
        return from_lightgbm(booster)

    def _settings(self, task: Task) -> dict[str, Any]:
        return super()._settings(task) | {
            "min_data_in_leaf": smallest(self.smallest_leaf, len(task.y)),
            "feature_fraction": 1.0,
            "bagging_fraction": 1.0,
            "bagging_freq": 0,
            "max_bin": 255,
        }

    def _state(self) -> State:
        state = super()._state()
        text = np.frombuffer(self.text_.encode(), np.uint8)
        return State(state.arrays | {"lightgbm": text}, state.facts)

    def _restore(self, state: State) -> None:
        self.text_ = state.arrays["lightgbm"].tobytes().decode()
        super()._restore(
            State({k: v for k, v in state.arrays.items() if k != "lightgbm"}, state.facts)
        )
