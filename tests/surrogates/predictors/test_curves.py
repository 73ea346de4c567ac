"""Partial learning curves: their statistics, and what they tell beyond the architecture."""

import numpy as np
import pytest

from archcast.encoders.errors import ShapeError
from archcast.predictors import Joined
from archcast.predictors.curves import (
    LearningCurvePredictor,
    last_value,
    statistics,
    sum_of_losses,
)

NAN = float("nan")


def test_statistics_by_hand():
    curve = np.array([[1.0, 3.0, 4.0], [2.0, NAN, NAN], [NAN, NAN, NAN]])
    found = statistics(curve)
    np.testing.assert_allclose(found[0], [4, 8 / 3, np.std([1, 3, 4]), 1.5, 0.5, -1, 0], rtol=1e-12)
    np.testing.assert_array_equal(found[1], [2, 2, 0, NAN, NAN, NAN, NAN])
    assert np.isnan(found[2]).all()
    assert statistics(np.zeros((2, 0))).shape == (2, 0)


def test_last_value_and_sum_of_losses_by_hand():
    curve = np.array([[1.0, 3.0, 4.0], [2.0, 4.0, NAN], [NAN, NAN, NAN]])
    np.testing.assert_array_equal(last_value(curve), [4, 4, NAN])
    np.testing.assert_array_equal(sum_of_losses(curve), [8, 9, NAN])


def trained(n: int = 150):
    """Features that tell half of the end, curves of five steps that tell the other half."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    luck = rng.normal(size=n)
    steps = np.arange(1, 6)
    curves = luck[:, None] * (1 - np.exp(-steps / 3)) + 0.05 * rng.normal(size=(n, 5))
    return x, curves, 50 + 3 * x[:, 0] + 3 * luck


def test_a_curve_and_an_architecture_tell_more_than_either():
    x, curves, y = trained()
    errors = {}
    for name, X in {
        "both": Joined(x, curves),
        "curve": Joined(np.zeros((150, 1), np.float32), curves),
        "architecture": Joined(x, np.zeros((150, 0))),
    }.items():
        model = LearningCurvePredictor(searches=15).fit(X[:100], y[:100])
        value, std = model.predict(X[100:], return_std=True)
        errors[name] = np.abs(value - y[100:]).mean()
        assert (std > 0).all()
    assert errors["both"] < 0.5 * min(errors["curve"], errors["architecture"])


def test_unknown_steps_are_no_harm_and_other_lengths_are_refused():
    x, curves, y = trained()
    curves[::3, 4] = NAN
    curves[5] = NAN
    model = LearningCurvePredictor(searches=5).fit(Joined(x, curves), y)
    assert np.isfinite(model.predict(Joined(x, curves))).all()
    with pytest.raises(ShapeError, match="5 were learned"):
        model.predict(Joined(x, curves[:, :4]))
    assert np.isfinite(
        model.adapt(Joined(x, curves)[:4], y[:4] + 5).predict(Joined(x, curves))
    ).all()


def test_scikit_learn_takes_rows_of_it():
    from sklearn.model_selection import cross_val_score

    x, curves, y = trained()
    scores = cross_val_score(LearningCurvePredictor(searches=5), Joined(x, curves), y, cv=3)
    assert (scores > 0.5).all()
