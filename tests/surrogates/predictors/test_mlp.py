"""Perceptrons: recipes, several tasks, free statistics, and forecasts without torch."""

import subprocess
import sys

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSettingError
from archcast.encoders.spaces import get_space
from archcast.encoders.tabular import feature_names, tabular
from archcast.predictors import Joined, save_predictor
from archcast.predictors._free_statistics import FREE, free_statistics
from archcast.predictors.mlp import MLPPredictor

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

NAN = float("nan")
QUICK = {"members": 2, "width": 32, "epochs": 60, "device": "cpu"}


def sample(n: int = 120, columns: int = 4):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, columns)).astype(np.float32), rng


def test_forecasts_without_torch_are_torchs():
    from archcast.predictors._mlp_net import Ensemble

    x, rng = sample(30)
    columns = rng.normal(size=(30, 2))
    model = MLPPredictor(**QUICK).fit(Joined(x, columns), x[:, 0])
    net = Ensemble((2, 4, 4, 32, 1, 0), 0.0, 0)
    net.load_state_dict({k: torch.from_numpy(v) for k, v in model.weights_.items()})
    inputs, extra = model._inputs(Joined(x, columns))
    score, noise = model._scores(inputs, extra)
    with torch.no_grad():
        theirs = net.eval()(torch.from_numpy(inputs), torch.from_numpy(extra))
    np.testing.assert_allclose(score[:, :, 0].T, theirs[0], atol=1e-5)
    np.testing.assert_allclose(noise[:, :, 0].T, theirs[1], atol=1e-5)


def test_a_recipe_matters_and_may_be_unknown():
    x, rng = sample(200)
    recipe = rng.choice([-1.0, 1.0], 200)
    y = 70 + x[:, 0] + 4 * recipe * (1 + 0.3 * x[:, 1])
    told = MLPPredictor(**QUICK).fit(Joined(x, recipe)[:150], y[:150])
    bare = MLPPredictor(**QUICK).fit(x[:150], y[:150])
    assert told.score(Joined(x, recipe)[150:], y[150:]) > 0.8
    assert bare.score(x[150:], y[150:]) < 0.4
    unknown = np.where(np.arange(200) % 3, recipe, NAN)
    model = MLPPredictor(**QUICK).fit(Joined(x, unknown), y)
    values, std = model.predict(Joined(x, np.full(200, NAN)), return_std=True)
    assert np.isfinite(values).all()
    assert (std > 0).all()


def test_several_tasks_with_missing_labels():
    x, _ = sample()
    y = np.stack([10 + x[:, 0], -5 * x[:, 1]], 1)
    y[::2, 0] = NAN
    y[1::3, 1] = NAN
    values, std = MLPPredictor(**QUICK).fit(x, y).predict(x, return_std=True)
    assert values.shape == std.shape == (120, 2)
    truth = np.stack([10 + x[:, 0], -5 * x[:, 1]], 1)
    assert all(np.corrcoef(values[:, t], truth[:, t])[0, 1] > 0.9 for t in range(2))


@pytest.mark.parametrize("loss", ["hinge", "listmle"])
def test_what_ranks_only_is_brought_onto_the_scale(loss):
    x, _ = sample()
    y = 1000 + 50 * x[:, 0]
    values = MLPPredictor(loss=loss, **QUICK).fit(x, y).predict(x)
    assert np.abs(values - y).mean() < 25


def graphs(n: int):
    space = get_space("nasbench201")
    return tabular(space.graphs(space.sample(n))).values


def test_free_statistics_are_hidden_and_learned():
    x = graphs(60)
    free, rest = free_statistics(x)
    assert free.shape == (60, len(FREE))
    assert rest.shape == (60, len(feature_names()) - 16)
    np.testing.assert_array_equal(free[:, 1], x[:, feature_names().index("log_macs")])
    model = MLPPredictor(pretrain_free=True, pretrain_epochs=150, **(QUICK | {"epochs": 1}))
    model.fit(x, np.where(np.arange(60) < 5, free[:, 1], NAN))
    w = model.weights_
    z = model._inputs(Joined(x, np.zeros((60, 0))))[0][None]
    for name in ("first", "second"):
        z = z @ w[name] + w[f"{name}_bias"]
        z = z / (1 + np.exp(-z))
    told = (z @ w["free"] + w["free_bias"])[0, :, 1]
    assert np.corrcoef(told, free[:, 1])[0, 1] > 0.9


def test_networks_without_a_label_teach_free_statistics_only():
    x = graphs(60)
    y = np.where(np.arange(60) < 20, x[:, 0], NAN)
    settings = QUICK | {"epochs": 5, "pretrain_epochs": 5}
    plain = [MLPPredictor(**settings).fit(x[:n], y[:n]).predict(x) for n in (20, 60)]
    np.testing.assert_array_equal(*plain)
    free = [MLPPredictor(pretrain_free=True, **settings).fit(x[:n], y[:n]) for n in (20, 60)]
    assert not np.allclose(free[0].predict(x), free[1].predict(x))


def test_settings_that_make_no_sense():
    x, _ = sample()
    with pytest.raises(InvalidSettingError, match="free statistics"):
        MLPPredictor(pretrain_free=True, **QUICK).fit(x, x[:, 0])
    with pytest.raises(InvalidSettingError, match="unknown loss"):
        MLPPredictor(loss="lost").fit(x, x[:, 0])
    with pytest.raises(InvalidSettingError, match="positive"):
        MLPPredictor(members=0).fit(x, x[:, 0])


def test_a_forecast_imports_no_torch(tmp_path):
    x, _ = sample(20)
    path = tmp_path / "mlp.safetensors"
    save_predictor(MLPPredictor(**(QUICK | {"epochs": 2})).fit(x, x[:, 0]), path)
    code = (
        "import sys, numpy as np; from archcast.predictors import load_predictor;"
        f"load_predictor({str(path)!r}).predict(np.zeros((2, 4), np.float32));"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
