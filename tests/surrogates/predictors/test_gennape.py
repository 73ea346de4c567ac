from __future__ import annotations

import numpy as np
import pytest

from archcast.encoders import ComputeGraph
from archcast.encoders.errors import InvalidSettingError
from archcast.encoders.ops import OP_ID
from archcast.encoders.spaces import get_space
from archcast.predictors import get_predictor, load_predictor, save_predictor
from archcast.predictors.graphs import gennape_topology
from archcast.predictors.graphs.gennape_clusters import FuzzyCMeans
from archcast.predictors.graphs.gennape_join import Join
from archcast.predictors.graphs.gennape_topology import spectra, target_similarity

QUICK = {
    "width": 16, "layers": 2, "contrast_epochs": 2, "epochs": 8, "batch": 16, "learning_rate": 5e-3,
}  # fmt: skip


def chain(nodes: int) -> ComputeGraph:
    at = np.arange(nodes - 1)
    return ComputeGraph.from_columns({"op": [OP_ID["relu"]] * nodes}, np.stack([at, at + 1], 1))


# ------------------------------------------------------------------------------ clusters
def test_memberships_are_the_formula():
    rng = np.random.default_rng(0)
    x, centres = rng.normal(size=(5, 3)), rng.normal(size=(4, 3))
    found = FuzzyCMeans(centres, 1.7).membership(x)
    for i in range(5):
        for c in range(4):
            own = np.linalg.norm(x[i] - centres[c])
            total = sum((own / np.linalg.norm(x[i] - v)) ** (2 / 0.7) for v in centres)
            assert found[i, c] == pytest.approx(1 / total)


def test_a_point_on_a_centre_belongs_to_it():
    found = FuzzyCMeans(np.array([[0.0, 0], [1, 0], [5, 5]]), 2.0).membership([[1.0, 0]])
    np.testing.assert_allclose(found, [[0, 1, 0]], atol=1e-6)


def test_clusters_are_a_fixed_point_and_lower_the_objective():
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(at, 0.3, (30, 2)) for at in (0, 4, 9)])
    made = FuzzyCMeans.fit(x, 3, seed=0, tolerance=1e-10)
    weight = made.membership(x) ** 2
    again = np.array([(w[:, None] * x).sum(0) / w.sum() for w in weight.T])
    np.testing.assert_allclose(again, made.centres, atol=1e-6)
    np.testing.assert_allclose(np.sort(made.centres[:, 0]), [0, 4, 9], atol=0.3)

    def objective(clusters: FuzzyCMeans) -> float:
        gap = ((x[:, None] - clusters.centres) ** 2).sum(2)
        return float((clusters.membership(x) ** 2 * gap).sum())

    for _ in range(5):
        other = FuzzyCMeans(made.centres + rng.normal(0, 0.2, made.centres.shape), 2.0)
        assert objective(made) < objective(other)


def test_no_more_clusters_than_points():
    made = FuzzyCMeans.fit(np.repeat([[0.0, 1], [2, 3]], 4, 0), 5)
    assert len(made.centres) == 2
    with pytest.raises(InvalidSettingError):
        FuzzyCMeans.fit(np.zeros((3, 2)), 0)
    with pytest.raises(InvalidSettingError):
        FuzzyCMeans.fit(np.zeros((3, 2)), 2, 1.0)


# ------------------------------------------------------------------------------ topology
def test_the_spectrum_of_a_chain_is_known():
    for nodes in (2, 7, 30):
        found = spectra([chain(nodes)], 10)[0]
        known = 1 - np.cos(np.pi * np.arange(nodes) / (nodes - 1))
        padded = np.concatenate([known, np.full(10, 2.0)])[:10]
        np.testing.assert_allclose(found, padded, atol=1e-9)


def test_graphs_without_edges_have_a_spectrum():
    lonely = ComputeGraph.from_columns({"op": [OP_ID["conv"]] * 3}, [])
    np.testing.assert_allclose(spectra([lonely], 5), [[0, 0, 0, 2, 2]])


def test_large_graphs_by_lanczos(monkeypatch):
    graphs = get_space("nasbench201").graphs(get_space("nasbench201").sample(3, seed=0))
    exact = spectra(graphs)
    monkeypatch.setattr(gennape_topology, "_DENSE", 10)
    near = spectra(graphs)
    assert (near >= exact - 1e-8).all()  # Ritz values are upper bounds
    np.testing.assert_allclose(near, exact, atol=0.02)


def test_the_target_prefers_the_alike():
    spectrum = np.array([[0.0, 0.1], [0.0, 0.11], [0.0, 0.9], [0.0, 0.5]])
    target = target_similarity(spectrum, 0.3)
    np.testing.assert_allclose(target.sum(1), 1)
    assert (np.diag(target) == 0).all()
    assert list(target.argmax(1)[:3]) == [1, 0, 3]
    assert target[0, 1] > target_similarity(spectrum, 3.0)[0, 1]


# ------------------------------------------------------------------------------- members
def test_a_member_that_knows_gets_weight():
    rng = np.random.default_rng(0)
    y = rng.normal(size=200)
    members = np.stack([y + rng.normal(size=200), 30 + 5 * y, rng.normal(size=200)], 1)
    join = Join.of(members).weighted(members, y)
    assert join.weights[1] > 0.7
    assert abs(join.weights[2]) < 0.1
    error = join.calibrated(members, np.full(200, 0.1), y)
    assert error.std(np.full(1, 0.1))[0] == pytest.approx(np.std(join.value(members) - y), rel=0.2)


def test_a_forecast_is_memberships_times_heads():
    """What one forecast is: memberships times heads, by hand."""
    space = get_space("nats_size")
    graphs = space.graphs(space.sample(30, seed=0))
    y = np.log([g.macs for g in graphs])
    fitted = get_predictor("gennape", **QUICK, pairwise=False).fit(graphs, y)
    from archcast.predictors.graphs._data import pack
    from archcast.predictors.graphs.gennape_encoder import embed
    from archcast.predictors.graphs.gennape_net import opinions

    data = pack(graphs[:4])
    heads, judged = opinions(fitted.net_, data, fitted.anchors_)
    assert judged.shape == (4, 0)
    share = fitted.clusters_.membership(embed(fitted.contrastive_, data))
    value = (share * heads).sum(1) * fitted.join_.weights[0] * fitted.spread_ + fitted.centre_
    np.testing.assert_allclose(fitted.predict(graphs[:4]), value)


# ------------------------------------------------------------------------------ learning
def test_contrast_brings_alike_topologies_together():
    from archcast.predictors.graphs._data import pack
    from archcast.predictors.graphs.gennape_encoder import embed

    graphs = []
    for name in ("nasbench201", "nasbench_macro"):
        graphs += get_space(name).graphs(get_space(name).sample(24, seed=0))
    data = pack(graphs)
    low_end = spectra([graphs[i] for i in np.unique(data.of, return_index=True)[1]])

    def agreement(epochs: int) -> float:
        made = get_predictor("gennape", **{**QUICK, "contrast_epochs": epochs}).pretrain(graphs)
        z = embed(made.pretrained_, data)
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        gap = np.linalg.norm(low_end[:, None] - low_end, axis=2)
        upper = np.triu_indices(len(data), 1)
        return float(np.corrcoef((z @ z.T)[upper], -gap[upper])[0, 1])

    assert agreement(15) > agreement(0) + 0.05


def test_a_fit_starts_from_what_was_pretrained():
    space = get_space("nats_size")
    graphs = space.graphs(space.sample(24, seed=0))
    y = np.log([g.macs for g in graphs])
    other = get_space("nasbench_macro").graphs(get_space("nasbench_macro").sample(12, seed=0))
    model = get_predictor("gennape", **QUICK)
    plain = model.fit(graphs, y).predict(graphs)
    seen = model.pretrain(other).fit(graphs, y).predict(graphs)
    assert np.abs(plain - seen).max() > 1e-3
    fresh = get_predictor("gennape", **QUICK).pretrain(other).fit(graphs, y)
    np.testing.assert_array_equal(fresh.predict(graphs), seen)


@pytest.mark.parametrize("few", [1, 6])
def test_fine_tuning(few, tmp_path):
    space = get_space("nats_size")
    graphs = space.graphs(space.sample(40, seed=0))
    y = np.log([g.macs for g in graphs])
    fitted = get_predictor("gennape", **QUICK, adaptation="fine-tuning").fit(graphs, y)
    before = fitted.predict(graphs)
    adapted = fitted.adapt(graphs[:few], y[:few] + 7)
    np.testing.assert_array_equal(fitted.predict(graphs), before)
    value, std = adapted.predict(graphs, return_std=True)
    assert np.isfinite(std).all()
    assert 4 < (value - before).mean() < 10
    save_predictor(adapted, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(load_predictor(tmp_path / "a.safetensors").predict(graphs), value)


def test_settings_that_make_no_sense():
    space = get_space("nats_size")
    graphs = space.graphs(space.sample(4, seed=0))
    with pytest.raises(InvalidSettingError, match="clusters"):
        get_predictor("gennape", clusters=0).fit(graphs, [1.0, 2, 3, 4])
    with pytest.raises(InvalidSettingError, match="temperature"):
        get_predictor("gennape", temperature=0.0).fit(graphs, [1.0, 2, 3, 4])
    other = get_predictor("gennape", **QUICK).pretrain(graphs).set_params(width=8)
    with pytest.raises(InvalidSettingError, match="pretrain"):
        other.fit(graphs, [1.0, 2, 3, 4])
    fitted = get_predictor("gennape", **QUICK, adaptation="hope").fit(graphs, [1.0, 2, 3, 4])
    with pytest.raises(InvalidSettingError, match="hope"):
        fitted.adapt(graphs, [1.0, 2, 3, 4])
