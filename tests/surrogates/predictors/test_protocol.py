"""What the protocol refuses, and what it makes known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from archcast.encoders.errors import (
    InvalidLabelsError,
    InvalidSettingError,
    ModelFormatError,
    ShapeError,
)
from archcast.encoders.spaces import get_space
from archcast.predictors import (
    Predictor,
    State,
    _registry,
    get_predictor,
    list_predictors,
    load_predictor,
    register,
    save_predictor,
)
from archcast.predictors._correction import student


class Mean(Predictor):
    """``y(x) = mean``."""

    kind = "mean-of-tests"

    def __init__(self, transform="identity", seed=0):
        self.transform, self.seed = transform, seed

    def _fit(self, X, y, groups):
        pass

    def _predict(self, X):
        return np.zeros(len(X)), np.ones(len(X))

    def _state(self):
        return State()

    def _restore(self, state):
        pass


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 7)).astype(np.float32), np.linspace(10, 90, 30)


def test_labels_must_be_on_the_scale(table):
    x, y = table
    with pytest.raises(InvalidLabelsError, match="percentages"):
        Mean("logit").fit(x, y + 20)
    with pytest.raises(InvalidLabelsError, match="positive"):
        Mean("log").fit(x, y - 50)
    with pytest.raises(InvalidSettingError, match="logit, log, identity, not 'loggit'"):
        Mean("loggit").fit(x, y)


def test_features_must_be_finite_and_as_many_as_learned_from(table):
    x, y = table
    fitted = Mean().fit(x, y)
    graph = get_space("nats_size").graph("8:8:8:8:8")
    with pytest.raises(ShapeError, match="from 7 features, not 3"):
        fitted.predict(x[:, :3])
    with pytest.raises(ShapeError, match="row 2"):
        fitted.predict(np.where(np.arange(30)[:, None] == 2, np.nan, x))
    with pytest.raises(ShapeError, match=r"item 1 is str .*read"):
        fitted.predict([graph, "a"])


def test_probabilities_lie_between_zero_and_one(table):
    x, y = table
    for p in (0, 1, 90):
        with pytest.raises(InvalidSettingError, match="strictly between 0 and 1"):
            Mean().fit(x, y).interval(x, p)


def test_parameters_are_named_by_the_error():
    with pytest.raises(InvalidSettingError, match=r"no parameter 'nope'; it has .*rounds"):
        get_predictor("lightgbm", nope=1)
    with pytest.raises(InvalidSettingError, match="base"):
        get_predictor("adapted")


def test_own_classes_are_known_once_registered(table, tmp_path, monkeypatch):
    monkeypatch.setattr(_registry, "_SESSION", {})
    x, y = table
    path = tmp_path / "own.safetensors"
    save_predictor(Mean().fit(x, y), path)
    with pytest.raises(ModelFormatError, match=r"unknown predictor 'mean-of-tests'.*register"):
        load_predictor(path)
    assert register(Mean) is Mean
    assert "mean-of-tests" in list_predictors()
    back = load_predictor(path)
    np.testing.assert_allclose(back.predict(x), y.mean())
    with pytest.raises(ShapeError, match="7 features"):
        back.predict(x[:, :2])
    Mean.kind = "tabular"
    try:
        with pytest.raises(InvalidSettingError, match="predictor of the library"):
            register(Mean)
    finally:
        Mean.kind = "mean-of-tests"


def test_student_s_distribution():
    for freedom, within in ((1, 1e-9), (2, 1e-9), (3, 0.01), (6, 0.001)):
        for level in (0.05, 0.5, 0.95):
            assert student(level, freedom) == pytest.approx(t.ppf(level, freedom), abs=within)


def test_fewer_labels_never_mean_narrower_intervals(table):
    """On average: two labels may lie close together by chance."""
    x, y = table
    base = Mean().fit(x, y)
    widths = []
    for count in (2, 4, 12):
        each = []
        for seed in range(20):
            rows = np.random.default_rng(seed).permutation(30)[:count]
            low, high = base.adapt(x[rows], y[rows]).interval(x, 0.9)
            each.append(np.mean(high - low))
        widths.append(np.mean(each))
    assert widths[0] > widths[1] > widths[2]
