"""A new device from a few labels, with and without measurements on known ones."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from archcast.encoders.errors import InvalidLabelsError, ShapeError
from archcast.encoders.spaces import get_space
from archcast.encoders.tabular import tabular
from archcast.predictors import Joined, load_predictor, save_predictor
from archcast.predictors._device_costs import costs
from archcast.predictors._device_transfer import Basis, Transfer
from archcast.predictors.device import DevicePredictor


def devices(n: int = 300):
    """Operator counts, latencies on six devices, and on a new one.

    All devices feel something that no operator count tells.
    """
    rng = np.random.default_rng(0)
    x = rng.integers(0, 7, (n, 4)).astype(np.float32)
    hidden = rng.exponential(1.0, n)
    prices = rng.uniform(0.5, 2, (4, 7))
    latency = 5 + x @ prices + 4 * hidden[:, None] * rng.uniform(0.5, 1.5, 7)
    latency *= rng.uniform(1, 30, 7)  # each has a speed of its own
    return x, latency[:, :6], latency[:, 6]


def rho(truth, value):
    return spearmanr(truth, value).statistic


def test_ten_labels_and_known_devices_rank_a_new_one():
    x, known, new = devices()
    fitted = DevicePredictor().fit(x, known)
    few = np.arange(10)
    X = Joined(x, known)
    told = fitted.adapt(X[few], new[few]).predict(X)
    forecast = fitted.adapt(x[few], new[few]).predict(x)
    assert rho(new[10:], told[10:]) > 0.98
    assert rho(new[10:], told[10:]) > rho(new[10:], forecast[10:]) + 0.1
    assert np.abs(told / new - 1).mean() < 0.1


def test_known_devices_are_forecast_and_missing_labels_are_no_harm(tmp_path):
    x, known, _ = devices()
    gaps = np.where(np.random.default_rng(1).random(known.shape) < 0.2, np.nan, known)
    fitted = DevicePredictor(transform="log").fit(x[:200], gaps[:200])
    values, std = fitted.predict(x[200:], return_std=True)
    assert values.shape == std.shape == (100, 6)
    assert all(rho(known[200:, t], values[:, t]) > 0.4 for t in range(6))
    save_predictor(fitted, tmp_path / "a.safetensors")
    assert (load_predictor(tmp_path / "a.safetensors").predict(x) == fitted.predict(x)).all()


def test_what_was_not_measured_is_forecast():
    x, known, new = devices()
    fitted = DevicePredictor().fit(x, known)
    partly = np.where(np.arange(6) < 3, known, np.nan)
    adapted = fitted.adapt(Joined(x, known)[:20], new[:20])
    whole, half = adapted.predict(Joined(x, known)), adapted.predict(Joined(x, partly))
    bare = adapted.predict(x)
    assert np.isfinite(half).all()
    assert rho(new, whole) > rho(new, half) > rho(new, bare)


def test_what_does_not_fit_is_refused():
    x, known, new = devices(40)
    fitted = DevicePredictor().fit(x, known)
    with pytest.raises(ShapeError, match="6 devices"):
        fitted.adapt(Joined(x, known[:, :2]), new)
    with pytest.raises(InvalidLabelsError, match="one device"):
        fitted.adapt(x, known)


def test_costs_of_graphs_add_up_to_their_multiplications():
    space = get_space("nasbench_macro")
    graphs = space.graphs(space.sample(5))
    found = costs(tabular(graphs).values)
    np.testing.assert_allclose(found[:, -6:].sum(1), [g.macs for g in graphs], rtol=0.05)


def test_the_mixture_is_bayesian_linear_regression():
    """Without labels of weight, the forecast is the known devices' mean; with many, the truth."""
    rng = np.random.default_rng(0)
    single = rng.normal(size=(200, 3))
    basis = Basis(single.mean(1)[:, None], single, single[:, :0], single[:, :0])
    part = Basis(basis.means[:150], single[:150], single[:150, :0], single[:150, :0])
    target = single @ [2.0, -1.0, 0.5] + 1
    mean, std = Transfer.fit(part, target[:150]).predict(basis)
    np.testing.assert_allclose(mean, target, atol=0.05)
    one = Basis(basis.means[:1], single[:1], single[:1, :0], single[:1, :0])
    wide = Transfer.fit(one, target[:1]).predict(basis)[1]
    assert (std < wide).all()
