"""Acquisition functions against definitions, integrals and brute force."""

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSettingError, ShapeError
from archcast.search import _hypervolume_gain
from archcast.search.acquisition import (
    expected_hypervolume_improvement,
    expected_improvement,
    get_acquisition,
    independent_thompson,
    list_acquisitions,
    log_expected_improvement,
    probability_of_improvement,
    upper_confidence_bound,
)
from archcast.search.pareto import hypervolume

MEAN = np.array([-2.0, 0.0, 0.3, 1.0])
STD = np.array([1.0, 0.5, 0.0, 2.0])


@pytest.fixture(scope="module")
def draws():
    return MEAN + STD * np.random.default_rng(0).standard_normal((400_000, 4))


def test_expected_improvement_is_the_mean_of_draws(draws):
    found = expected_improvement(MEAN, STD, 0.2)
    np.testing.assert_allclose(found, np.maximum(draws - 0.2, 0).mean(0), atol=5e-3)
    assert found[2] == pytest.approx(0.1)


def test_probability_of_improvement_is_a_share_of_draws(draws):
    found = probability_of_improvement(MEAN, STD, 0.2)
    np.testing.assert_allclose(found, (draws > 0.2).mean(0), atol=5e-3)
    assert found[2] == 1


def test_logarithm_agrees_and_goes_on_where_numbers_end():
    z = np.array([-20.0, -5.0, -1.001, -0.999, 0.0, 4.0])
    plain = expected_improvement(z, np.ones(6), 0.0)
    np.testing.assert_allclose(
        log_expected_improvement(z, np.ones(6), 0.0), np.log(plain), rtol=1e-9
    )
    # far below, φ(z) / z² to leading order, without a jump where the series takes over
    far = np.array([-1000.0, -40.0, -25.0001, -24.9999])
    found = log_expected_improvement(far, np.ones(4), 0.0)
    leading = -0.5 * far**2 - 0.5 * np.log(2 * np.pi) - 2 * np.log(-far)
    np.testing.assert_allclose(found, leading, atol=6e-3)
    assert (np.diff(found) > 0).all()
    assert found[3] - found[2] == pytest.approx(0.0002 * 25, rel=0.02)


def test_logarithm_of_what_is_known():
    found = log_expected_improvement(np.array([1.0, -1.0]), np.zeros(2), 0.0)
    assert found[0] == 0
    assert found[1] == -np.inf


def test_bounds_and_draws():
    np.testing.assert_array_equal(upper_confidence_bound(MEAN, STD, 2), MEAN + 2 * STD)
    many = independent_thompson(MEAN, STD, np.random.default_rng(1), 20_000)
    assert many.shape == (20_000, 4)
    np.testing.assert_allclose(many.mean(0), MEAN, atol=0.05)
    np.testing.assert_allclose(many.std(0), STD, atol=0.05)


@pytest.mark.parametrize("name", list_acquisitions())
def test_every_name_prefers_what_is_surely_better(name):
    worth = get_acquisition(name)
    found = worth(np.array([0.0, 9.0]), np.array([1e-3, 1e-3]), 1.0, np.random.default_rng(0))
    assert found.shape == (2,)
    assert found[1] > found[0]


def test_unknown_names_and_shapes_are_refused():
    with pytest.raises(InvalidSettingError, match="did you mean log-ei"):
        get_acquisition("logei")
    with pytest.raises(ShapeError):
        expected_improvement(MEAN, STD[:2], 0)
    with pytest.raises(ShapeError):
        expected_hypervolume_improvement(MEAN, STD, np.zeros((1, 2)), np.zeros(2))
    with pytest.raises(ShapeError):
        expected_hypervolume_improvement(MEAN[:, None], STD[:, None], np.zeros((1, 2)), np.zeros(1))


def brute(mean, std, front, corner, draws=400):
    """Mean growth of the hypervolume over draws."""
    rng, before = np.random.default_rng(2), hypervolume(front, corner)
    noise = rng.standard_normal((draws, len(corner)))
    grown = [
        [hypervolume(np.vstack([front, m + s * z]), corner) - before for z in noise]
        for m, s in zip(mean, std, strict=True)
    ]
    return np.mean(grown, 1), np.std(grown, 1) / np.sqrt(draws)


@pytest.mark.parametrize("objectives", [2, 3])
def test_hypervolume_improvement_against_brute_force(objectives, monkeypatch):
    rng = np.random.default_rng(objectives)
    mean, std = rng.normal(0.3, 1, (5, objectives)), rng.uniform(0, 1, (5, objectives))
    std[0, -1] = 0  # a cost, known exactly
    std[1] = 0
    front, corner = rng.normal(0, 1, (6, objectives)), np.full(objectives, -1.0)
    found = expected_hypervolume_improvement(mean, std, front, corner)
    wanted, error = brute(mean, std, front, corner)
    assert (np.abs(found - wanted) <= 4 * error + 1e-3).all()
    assert found.max() > 0
    # the estimate for many boxes, of the same
    monkeypatch.setattr(_hypervolume_gain, "_BOXES", 0)
    monkeypatch.setattr(_hypervolume_gain, "_DRAWS", 20_000)
    estimate = expected_hypervolume_improvement(mean, std, front, corner)
    np.testing.assert_allclose(estimate, found, atol=0.12 * found.max())


def test_hypervolume_of_what_is_known_is_exact():
    front = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0], [0.5, 0.5]])
    new = np.array([[2.5, 2.5], [1.0, 1.0], [4.0, 0.5]])
    found = expected_hypervolume_improvement(new, np.zeros((3, 2)), front, np.zeros(2))
    np.testing.assert_allclose(found, [1.25, 0.0, 0.5])


def test_without_a_front_it_is_the_volume_itself():
    found = expected_hypervolume_improvement(
        np.array([[2.0, 3.0]]), np.zeros((1, 2)), np.zeros((0, 2)), np.zeros(2)
    )
    np.testing.assert_allclose(found, [6.0])


def test_one_objective_is_expected_improvement():
    found = expected_hypervolume_improvement(
        MEAN[:, None], STD[:, None], np.array([[0.2]]), np.array([-9.0])
    )
    np.testing.assert_allclose(found, expected_improvement(MEAN, STD, 0.2))
