"""Graph networks as predictors, and the trainer under them."""

import csv

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")
pytest.importorskip("lightning_fabric")

from archcast.encoders.errors import DeviceError, InvalidLabelsError, InvalidSettingError  # noqa: E402
from archcast.encoders.spaces import get_space  # noqa: E402
from archcast.predictors import get_predictor, load_predictor, save_predictor  # noqa: E402
from archcast.predictors.graphs import _training  # noqa: E402
from archcast.predictors.graphs._checkpoint import Checkpoint  # noqa: E402

SMALL = {"width": 16, "depth": 2, "epochs": 6, "batch": 16, "device": "cpu"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def problem():
    """60 small networks and a number that follows from their graphs."""
    space = get_space("nats_size")
    graphs = space.graphs(space.sample(60, seed=3))
    size = np.log([g.macs for g in graphs])
    return graphs, 60 + 5 * (size - size.mean()) / size.std()


def gin(**params):
    return get_predictor("gin", **(SMALL | params))


def test_learns_the_order(problem):
    graphs, y = problem
    found = gin(epochs=40, learning_rate=5e-3).fit(graphs[:45], y[:45])
    assert np.corrcoef(found.predict(graphs[45:]), y[45:])[0, 1] > 0.9


@pytest.mark.parametrize("loss", ["hinge", "listmle", "weighted"])
def test_what_only_ranks_still_forecasts_on_the_scale(problem, loss):
    graphs, y = problem
    found = gin(loss=loss, epochs=30, learning_rate=5e-3, validation=0.3).fit(graphs, y)
    value, std = found.predict(graphs, return_std=True)
    assert np.corrcoef(value, y)[0, 1] > 0.8
    assert abs(value.mean() - y.mean()) < 1.5
    assert (std > 0).all()


def test_several_tasks_with_missing_labels(problem):
    graphs, y = problem
    both = np.stack([y, -y], 1)
    both[::2, 1] = np.nan
    both[5] = np.nan
    found = gin(epochs=40, learning_rate=5e-3).fit(graphs, both)
    value, std = found.predict(graphs, return_std=True)
    assert value.shape == std.shape == (60, 2)
    assert np.corrcoef(value[:, 1], -y)[0, 1] > 0.8


def test_members_disagree_and_their_spread_joins_the_variance(problem):
    graphs, y = problem
    one, two = gin(seed=5).fit(graphs, y), gin(seed=5, members=2).fit(graphs, y)
    assert torch.equal(two.networks_[0].head[1].weight, one.networks_[0].head[1].weight)
    other = gin(seed=1005).fit(graphs, y)
    means = np.stack([one.predict(graphs), other.predict(graphs)])
    stds = np.stack([p.predict(graphs, return_std=True)[1] for p in (one, other)])
    value, std = two.predict(graphs, return_std=True)
    assert np.allclose(value, means.mean(0), atol=1e-3)
    assert np.allclose(std, np.sqrt((stds**2).mean(0) + means.var(0)), rtol=1e-3)


def test_embeddings_are_what_the_head_sees(problem):
    graphs, y = problem
    found = gin().fit(graphs, y)
    vectors = found.embed(graphs[:3])
    assert vectors.shape == (3, 2 * 16 + 4)
    with torch.no_grad():
        score = found.networks_[0].head(torch.from_numpy(vectors)).numpy()[:, 0]
    expected = score * found.spread_ + found.centre_
    assert np.allclose(found.predict(graphs[:3]), expected, rtol=1e-5)


def test_fine_tuning_with_few_labels(problem):
    graphs, y = problem
    base = gin(epochs=30, learning_rate=5e-3).fit(graphs[:40], y[:40])
    moved = 2 * y - 50
    new = base.adapt(graphs[40:50], moved[40:50])
    before = np.abs(base.predict(graphs[50:]) - moved[50:]).mean()
    assert np.abs(new.predict(graphs[50:]) - moved[50:]).mean() < before / 2
    with pytest.raises(InvalidLabelsError, match="1 tasks"):
        base.adapt(graphs[:3], np.stack([y, y], 1)[:3])


def test_frozen_layers_stay(problem):
    graphs, y = problem
    base = gin(frozen=True).fit(graphs[:40], y[:40])
    new = base.adapt(graphs[40:], y[40:] + 3)
    old = base.networks_[0].state_dict()
    changed = {k for k, v in new.networks_[0].state_dict().items() if not torch.equal(v, old[k])}
    assert changed
    assert all(name.startswith(("head", "readout", "noise")) for name in changed)


def test_on_disk(problem, tmp_path):
    graphs, y = problem
    found = get_predictor("flan", **SMALL | {"members": 2}).fit(graphs, np.stack([y, y], 1))
    save_predictor(found, tmp_path / "flan.safetensors")
    again = load_predictor(tmp_path / "flan.safetensors")
    assert np.array_equal(again.predict(graphs), found.predict(graphs))


def test_groups_are_held_out_together():
    groups = np.arange(60) // 6
    rows, held = gin(validation=0.3)._split(groups, seed=1)
    assert len(held) == 18
    assert not set(groups[rows]) & set(groups[held])


# ------------------------------------------------------------------------------ trainer
class KilledError(Exception):
    pass


def test_a_killed_fit_goes_on_as_if_nothing_had_been(problem, tmp_path, monkeypatch):
    graphs, y = problem
    params = {"dropout": 0.3, "loss": "hinge", "members": 2, "folder": str(tmp_path)}
    whole = gin(**params | {"folder": None}).fit(graphs, y)
    save, saves = Checkpoint.save, []

    def die_in_the_middle(self, folder, fingerprint):
        save(self, folder, fingerprint)
        saves.append((self.standing.epoch, self.standing.step))
        if len(saves) == 23:
            raise KilledError

    monkeypatch.setattr(Checkpoint, "save", die_in_the_middle)
    often = _training.Training.__init__

    def every_step(self, *args, **kw):
        often(self, *args, **kw | {"save_seconds": 0.0})

    monkeypatch.setattr(_training.Training, "__init__", every_step)
    started = gin(**params)
    with pytest.raises(KilledError):
        started.fit(graphs, y)
    assert not hasattr(started, "networks_")
    assert saves[-1][1] > 0  # inside an epoch
    again = gin(**params).fit(graphs, y)
    assert len(saves) < 2 * 31  # nothing that was done is done again
    assert np.array_equal(again.predict(graphs), whole.predict(graphs))
    with pytest.raises(InvalidSettingError, match="another folder"):
        gin(**params).fit(graphs, y + np.arange(60))


def test_logs(problem, tmp_path):
    graphs, y = problem
    gin(folder=str(tmp_path), logs="csv,tensorboard", epochs=4).fit(graphs, y)
    with (tmp_path / "member0" / "metrics.csv").open() as file:
        records = list(csv.DictReader(file))
    assert [r["epoch"] for r in records] == ["0", "1", "2", "3"]
    assert all(float(r["loss"]) > 0 and float(r["validation"]) > 0 for r in records)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "member0")).Reload()
    assert [e.step for e in events.Scalars("validation")] == [0, 1, 2, 3]
    with pytest.raises(InvalidSettingError, match="unknown log"):
        gin(logs="wandb").fit(graphs, y)


def test_early_stopping_keeps_the_best_epoch(problem, tmp_path):
    graphs, _ = problem
    noise = np.random.default_rng(0).normal(size=60)  # nothing to learn: validation gets worse
    found = gin(
        epochs=200, patience=5, validation=0.3, learning_rate=1e-2, folder=str(tmp_path),
        logs="csv", loss="mse",
    ).fit(graphs, noise)  # fmt: skip
    with (tmp_path / "member0" / "metrics.csv").open() as file:
        validation = np.array([float(r["validation"]) for r in csv.DictReader(file)])
    assert len(validation) < 100
    assert len(validation) == validation.argmin() + 6
    held = found._split(np.arange(60), 0)[1]
    error = (found.predict(graphs)[held] - noise[held]) / noise.std()
    assert np.mean(error**2) == pytest.approx(validation.min(), rel=1e-3)


def test_two_processes_give_the_model_of_one(problem):
    graphs, y = problem
    params = {"loss": "mse", "dropout": 0.0, "validation": 0.0, "epochs": 5}
    one = gin(**params).fit(graphs, y).predict(graphs)
    two = gin(**params, processes=2).fit(graphs, y).predict(graphs)
    assert np.abs(one - two).max() < 0.02 * y.std()
    start = gin(**params | {"epochs": 1, "learning_rate": 1e-9}).fit(graphs, y).predict(graphs)
    assert np.abs(one - start).max() > 0.2 * y.std()  # it did learn


def test_settings_that_make_no_sense(problem):
    graphs, y = problem
    for wrong in ({"loss": "l1"}, {"members": 0}, {"validation": 1.0}, {"device": "tpu"}):
        with pytest.raises(InvalidSettingError):
            gin(**wrong).fit(graphs, y)
    with pytest.raises(InvalidSettingError, match="strategy"):
        gin(processes=2, strategy="fsdp").fit(graphs, y)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_asked_for_and_absent(problem):
    with pytest.raises(DeviceError, match="cpu"):
        gin(device="cuda").fit(*problem)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_mixed_precision_on_cuda(problem):
    graphs, y = problem
    found = gin(device="cuda", epochs=40, learning_rate=5e-3).fit(graphs[:45], y[:45])
    assert np.corrcoef(found.predict(graphs[45:]), y[45:])[0, 1] > 0.9


def test_torch_own_chance_is_left_alone(problem):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    gin(epochs=1).fit(*problem)
    assert torch.equal(torch.rand(3), expected)
