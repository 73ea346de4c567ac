"""Forests scored by numpy equal the libraries that trained them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from archcast.predictors._boosting import boost
from archcast.predictors._trees import Forest, from_lightgbm, from_sklearn, join, leaf

SMALL: dict[str, Any] = {
    "rounds": 5,
    "leaves": 7,
    "learning_rate": 0.1,
    "smallest_leaf": 5,
    "seed": 0,
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 12)).astype(np.float32)
    x[:, 3] = rng.integers(0, 4, 600)
    return x, np.sin(3 * x[:, 0]) + x[:, 3] * (x[:, 1] > 0)


def test_lightgbm(data):
    import lightgbm

    x, y = data
    settings: dict[str, Any] = {
        "num_leaves": 31,
        "verbose": -1,
        "num_threads": 1,
        "min_data_in_leaf": 3,
    }
    booster = lightgbm.train(settings, lightgbm.Dataset(x, y), 60)
    ours = from_lightgbm(booster).leaves(x).sum(1, dtype=np.float64)
    np.testing.assert_allclose(ours, np.asarray(booster.predict(x)), rtol=1e-5, atol=1e-5)


def test_samples_on_a_threshold_go_left_as_in_lightgbm(data):
    import lightgbm

    x, y = data
    booster = lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(x, y), 20)
    forest = from_lightgbm(booster)
    edge = np.repeat(x[:1], len(forest.threshold), 0)
    rows = np.arange(len(edge))
    edge[rows, forest.column] = np.where(np.isfinite(forest.threshold), forest.threshold, 0)
    ours = forest.leaves(edge).sum(1, dtype=np.float64)
    np.testing.assert_allclose(ours, np.asarray(booster.predict(edge)), rtol=1e-5, atol=1e-5)


def test_scikit_learn(data):
    from sklearn.ensemble import ExtraTreesRegressor

    x, y = data
    model = ExtraTreesRegressor(20, random_state=0).fit(x, y)
    ours = from_sklearn(model.estimators_).leaves(x).mean(1)
    np.testing.assert_allclose(ours, model.predict(x), rtol=1e-5, atol=1e-5)


def test_a_constant_target_gives_single_leaves():
    x = np.zeros((40, 2), np.float32)
    trees = boost(x, np.full(40, 2.5), **SMALL)
    assert trees.forest.depth == 0
    np.testing.assert_allclose(trees.predict(x), 2.5)


def test_arrays_round_trip_and_damage_is_noticed(data):
    x, y = data
    forest = boost(x, y, **SMALL).forest
    arrays = forest.arrays()
    assert (Forest.from_arrays(arrays).leaves(x) == forest.leaves(x)).all()
    for name, value in (("left", 10**6), ("roots", -1), ("column", -3)):
        damaged = arrays | {name: arrays[name].copy()}
        damaged[name][0] = value
        with pytest.raises(ValueError, match="outside"):
            Forest.from_arrays(damaged)


def test_every_sample_reaches_the_leaf_it_walks_to(data):
    """Trees of all depths, one of them a single leaf, more samples than are walked at once."""
    from sklearn.tree import ExtraTreeRegressor

    x, y = data
    grown = [
        ExtraTreeRegressor(max_depth=depth, random_state=seed).fit(x, y)
        for seed, depth in enumerate((9, 1, None, 4))
    ]
    forest = join([from_sklearn(grown[:2]), leaf(0.5), from_sklearn(grown[2:])])
    samples = np.concatenate([x, x[::-1] + np.float32(0.01)])
    expected = np.empty((len(samples), len(forest)), np.int32)
    for row, sample in enumerate(samples):
        for tree, root in enumerate(forest.roots.tolist()):
            node = root
            while np.isfinite(forest.threshold[node]):
                right = sample[forest.column[node]] > forest.threshold[node]
                node = int(forest.left[node]) + int(right)
            expected[row, tree] = node
    assert (forest.reached(samples) == expected).all()
    assert (forest.reached(samples[:1]) == expected[:1]).all()
    assert forest.reached(samples[:0]).shape == (0, 5)


def test_a_tree_that_leads_back_comes_to_an_end():
    forest = join([leaf(0.0), leaf(1.0)])
    arrays = forest.arrays() | {
        "threshold": np.zeros(2, np.float32),
        "left": np.zeros(2, np.int32),
        "depth": np.array([40], np.int32),
    }
    damaged = Forest.from_arrays(arrays)
    assert damaged.reached(np.ones((3, 1), np.float32)).shape == (3, 2)
