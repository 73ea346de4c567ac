from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from archcast.encoders.errors import InvalidLabelsError, InvalidSettingError
from archcast.encoders.spaces import get_space
from archcast.predictors import get_predictor, load_predictor, save_predictor

QUICK = {"width": 16, "layers": 2, "epochs": 12, "batch": 16, "learning_rate": 5e-3}


@cache
def several():
    """60 networks and three tasks: the last two are known of the second half only."""
    space = get_space("nats_size")
    graphs = space.graphs(space.sample(60, seed=0))
    size = np.log([g.macs for g in graphs])
    size = (size - size.mean()) / size.std()
    y = np.stack([70 + 5 * size, 3 * size, -100 * size], 1)
    y[:30, 1:] = np.nan
    y[30:, 0] = np.nan
    return graphs, y


@cache
def fitted():
    return get_predictor("aiop", **QUICK).fit(*several())


def test_every_task_has_a_forecast_of_its_own():
    graphs, y = several()
    value, std = fitted().predict(graphs, return_std=True)
    assert value.shape == std.shape == (60, 3)
    assert np.corrcoef(value[:30, 0], y[:30, 0])[0, 1] > 0.5
    for task in (1, 2):
        assert np.corrcoef(value[30:, task], y[30:, task])[0, 1] > 0.5
    assert np.corrcoef(value[:, 1], value[:, 2])[0, 1] < -0.5
    assert (std > 0).all()
    assert std[:, 2].mean() > 5 * std[:, 1].mean()  # in each task's own unit


def test_flops_aware_labels_are_the_formula():
    graphs, y = several()[0][30:], 20 + several()[1][30:, 1]
    factor = np.log10(2 * np.array([g.macs for g in graphs]) / 1e9 + 1) + 1
    quick = {**QUICK, "epochs": 1}
    for labels, learned in ((y, y / factor), (-y, -y * factor)):
        model = get_predictor("aiop", **quick).fit(graphs, labels)
        assert model.level_[0] == pytest.approx(learned.mean())
        assert model.reach_[0] == pytest.approx(learned.std())
    plain = get_predictor("aiop", **quick, flops_aware=False).fit(graphs, y)
    assert plain.level_[0] == pytest.approx(y.mean())
    assert plain.reach_[0] == pytest.approx(y.std())


def test_the_base_is_frozen_and_sees_the_first_task_only():
    graphs, y = several()
    other = y.copy()
    other[:, 1:] = np.roll(other[:, 1:], 1, axis=0)
    other[30, 1:] = 0.0
    other[:30, 1:] = np.nan
    ours, theirs = fitted(), get_predictor("aiop", **QUICK).fit(graphs, other)
    for a, b in zip(ours.net_.encoder.parameters(), theirs.net_.encoder.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    moved = [
        not np.array_equal(a.detach().numpy(), b.detach().numpy())
        for a, b in zip(
            ours.net_.adapters.parameters(), theirs.net_.adapters.parameters(), strict=True
        )
    ]
    assert any(moved)


def test_an_adapter_sees_the_state_after_the_layer_beside_it():
    import torch

    from archcast.predictors.graphs._data import pack
    from archcast.predictors.graphs.gennape_encoder import pooled

    net, batch = fitted().net_, pack(several()[0][:3]).batch([0, 1, 2])
    with torch.no_grad():
        states = net.encoder.states(batch)
        own = net.adapters[1].enter(states[0])
        for i, layer in enumerate(net.adapters[1].layers):
            own = own + torch.relu(layer(torch.cat([states[i + 1], own], 1), batch))
        view = torch.cat([pooled(states[-1], batch), pooled(own, batch)], 1)
        torch.testing.assert_close(net.views(batch)[:, 1], view)
        torch.testing.assert_close(net(batch, [1])[:, 0], net(batch)[:, 1])


@pytest.mark.parametrize("tasks", [1, 2, 5])
def test_any_number_of_new_tasks(tasks, tmp_path):
    graphs, y = several()
    base = y[30:, 1]
    labels = np.stack([base * (t + 1) + 50 for t in range(tasks)], 1)
    few = labels[:8] if tasks > 1 else labels[:8, 0]
    adapted = fitted().adapt(graphs[30:38], few)
    value, std = adapted.predict(graphs[38:], return_std=True)
    assert value.shape == std.shape == ((22, tasks) if tasks > 1 else (22,))
    truth = labels[8:] if tasks > 1 else labels[8:, 0]
    assert np.abs(value - truth).mean() < 3 * tasks
    save_predictor(adapted, tmp_path / "a.safetensors")
    again = load_predictor(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(again.predict(graphs[38:]), value)


def test_without_tuning_a_new_task_is_the_mean_over_heads():
    graphs, y = several()
    model = get_predictor("aiop", **QUICK, adapt_epochs=0, flops_aware=False)
    model.fit(graphs, y)
    few = y[30:50, 1]
    value = model.adapt(graphs[30:50], few).predict(graphs)
    own = (model.predict(graphs) - model.centre_) / model.spread_
    np.testing.assert_allclose(value, own.mean(1) * few.std() + few.mean(), rtol=1e-6)


def test_tasks_without_labels():
    graphs, y = several()
    with pytest.raises(InvalidLabelsError, match="task 1 has no label"):
        fitted().adapt(graphs[:4], y[:4])
    with pytest.raises(InvalidSettingError, match="layers"):
        get_predictor("aiop", layers=0).fit(graphs, y)
