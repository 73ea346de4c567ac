"""The estimator: protocol, fit, held-out groups, files."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from archcast.encoders.errors import ModelFormatError, StorageError
from archcast.encoders.tabular import feature_names
from archcast.predictors import TabularPredictor, load_predictor, save_predictor
from archcast.predictors._members import deal

SMALL: dict[str, Any] = {"rounds": 30, "folds": 3}


def table(n: int = 150, seed: int = 0):
    """Rows shaped like real features, families of five, and accuracies that depend on them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(feature_names()))).astype(np.float32)
    groups = np.arange(n) // 5
    x += rng.normal(size=(groups.max() + 1, x.shape[1]))[groups].astype(np.float32)
    y = 75 + 5 * np.tanh(x[:, :4].sum(1) / 2) + rng.normal(size=n) * 0.2
    return x, y, groups


@pytest.fixture(scope="module")
def fitted() -> TabularPredictor:
    x, y, groups = table()
    names = [f"net{i}" for i in range(len(y))]
    recipe = np.zeros((len(y), 1))
    recipe[::3] = 1
    return TabularPredictor("logit", **SMALL).fit(
        x, y + recipe[:, 0], groups=groups, recipe=recipe, names=names
    )


def test_parameters_and_clone():
    from sklearn.base import clone, is_regressor

    predictor = TabularPredictor("log", rounds=7)
    copy: Any = clone(predictor)
    assert copy is not predictor
    assert copy.get_params() == predictor.get_params()
    assert is_regressor(predictor)
    assert repr(predictor) == "TabularPredictor(rounds=7, transform='log')"
    with pytest.raises(ValueError, match="no parameter 'round'"):
        predictor.set_params(round=3)


def test_cross_validation_of_scikit_learn_takes_it():
    from sklearn.model_selection import cross_val_score

    x, y, _ = table()
    scores = cross_val_score(
        TabularPredictor(**SMALL), x, y, cv=3, scoring="neg_mean_absolute_error"
    )
    assert scores.mean() > -np.abs(y - y.mean()).mean()


def test_it_learns_and_stays_in_range(fitted):
    x, y, _ = table()
    values, std = fitted.predict(x, return_std=True)
    assert np.corrcoef(values, y)[0, 1] > 0.9
    assert (std > 0).all()
    wild = np.full((2, x.shape[1]), 1e6, np.float32)
    low, high = fitted.interval(wild, 0.99)
    assert (low >= 0).all()
    assert (high <= 100).all()
    assert np.isfinite(fitted.predict(wild)).all()


def test_intervals_nest_and_widen_far_away(fitted):
    x, _, _ = table()
    ends = [fitted.interval(x[:5], p) for p in (0.5, 0.9, 0.99)]
    for (low, high), (lower, higher) in pairwise(ends):
        assert (lower <= low).all()
        assert (high <= higher).all()
    near = fitted.distribution(x[:1])
    far = fitted.distribution(x[:1] + 30)
    assert far.near[0] > near.near[0]
    assert fitted.cloud_.score(far.near)[0] == 0
    assert near.neighbour[0] == 0


def test_a_told_recipe_moves_the_forecast(fitted):
    x, _, _ = table()
    plain, better = (fitted.predict(x, recipe=np.full((len(x), 1), v)) for v in (0.0, 1.0))
    assert (better - plain).mean() == pytest.approx(1, abs=0.5)
    assert (plain < fitted.predict(x)).mean() > 0.9


def test_coverage_of_held_out_families():
    x, y, groups = table(400, seed=3)
    fresh = groups >= 60
    predictor = TabularPredictor(**SMALL).fit(x[~fresh], y[~fresh], groups=groups[~fresh])
    low, high = predictor.interval(x[fresh], 0.9)
    assert 0.8 <= ((y[fresh] >= low) & (y[fresh] <= high)).mean() <= 0.99


def test_several_populations_are_held_out_whole():
    x, y, groups = table()
    shift = (groups >= 20).astype(int)
    x[shift == 1] += 4
    alone = TabularPredictor(**SMALL).fit(x, y, groups=groups)
    both = TabularPredictor(**SMALL).fit(x, y, groups=groups, shift=shift)
    assert both.cloud_.held_out[-1] > alone.cloud_.held_out[-1]


def test_folds_keep_groups_whole():
    groups = np.array([0, 0, 1, 2, 2, 2, 3, 4, 5, 5])
    fold = deal(groups, 3, seed=0)
    assert all(len(set(fold[groups == g].tolist())) == 1 for g in range(6))
    assert sorted(np.bincount(fold).tolist()) == [3, 3, 4]


def test_files_round_trip_to_the_byte(fitted, tmp_path):
    x, _, _ = table()
    save_predictor(fitted, tmp_path / "a.safetensors", task="t")
    loaded = load_predictor(tmp_path / "a.safetensors")
    assert (loaded.predict(x) == fitted.predict(x)).all()
    assert all(
        (a == b).all()
        for a, b in zip(loaded.interval(x, 0.8), fitted.interval(x, 0.8), strict=True)
    )
    assert loaded.cloud_.names[2] == "net2"
    save_predictor(loaded, tmp_path / "b.safetensors", task="t")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_damaged_and_foreign_files(fitted, tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    save_predictor(fitted, path)
    whole = path.read_bytes()
    with pytest.raises(StorageError, match="no such file"):
        load_predictor(tmp_path / "none.safetensors")
    for content in (b"", whole[:1000], whole[:-100], b"x" * 500):
        path.write_bytes(content)
        with pytest.raises(ModelFormatError, match="not a predictor"):
            load_predictor(path)
    path.write_bytes(whole)
    monkeypatch.setattr("archcast.predictors.storage.feature_names", lambda: ("other",))
    with pytest.raises(ModelFormatError, match="learned from other features"):
        load_predictor(path)


def test_scoring_imports_no_training_library(fitted, tmp_path):
    path = tmp_path / "a.safetensors"
    save_predictor(fitted, path)
    code = (
        "import sys, numpy as np; from archcast.predictors import load_predictor;"
        f"p = load_predictor({str(path)!r}); p.predict(np.zeros((1, p.n_features_in_)));"
        "print(sorted({'sklearn', 'lightgbm', 'pandas', 'scipy', 'torch'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
