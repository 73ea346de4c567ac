"""Gradient-boosted trees: LightGBM trains them, :class:`Forest` keeps and scores them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import MissingExtraError
from archcast.predictors._trees import Forest, from_lightgbm

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BoostedTrees:
    """A boosted ensemble, scored by numpy.

    Attributes:
        forest: trees whose leaf values add up to the prediction.
    """

    forest: Forest

    def predict(self, x: NDArray[np.float32]) -> FloatArray:
        """(n, F) features to (n,) predictions."""
        return self.forest.leaves(x).sum(1, dtype=np.float64)


def boost(
    x: NDArray[np.float32],
    y: FloatArray,
    *,
    rounds: int,
    leaves: int,
    learning_rate: float,
    smallest_leaf: int,
    seed: int,
) -> BoostedTrees:
    """Train boosted trees, the same bytes for the same arguments.

    Args:
        x: (n, F) features.
        y: (n,) targets.
        rounds: number of trees.
        leaves: leaves of a tree at most.
        learning_rate: shrinkage of each tree.
        smallest_leaf: fewest samples in a leaf.
        seed: of the sampling of rows and columns.

    Raises:
        MissingExtraError: LightGBM is not installed.

    Reference:
        Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NeurIPS 2017.
    """
    try:
        import lightgbm
    except ImportError as error:
        raise MissingExtraError(
            "training a predictor needs LightGBM: pip install 'archcast[train]'"
        ) from error
    settings: dict[str, Any] = {
        "objective": "l2",
        "learning_rate": learning_rate,
        "num_leaves": leaves,
        "max_depth": 10,
        "min_data_in_leaf": min(smallest_leaf, max(len(y) // 8, 1)),
        "feature_fraction": 0.3,
        "bagging_fraction": 0.7 if len(y) > 1 else 1.0,  # LightGBM stops at an empty bag
        "bagging_freq": 1,
        "max_bin": 63,
        "seed": seed,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 1,
        "verbose": -1,
    }
    data = lightgbm.Dataset(np.asarray(x, np.float32), y, params={"verbose": -1, "max_bin": 63})
    return BoostedTrees(from_lightgbm(lightgbm.train(settings, data, rounds)))
