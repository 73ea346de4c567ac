"""The parts of graph networks: data, fusion, attention, backbones."""

from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")

from archcast.encoders import ComputeGraph  # noqa: E402
from archcast.encoders.errors import InvalidSettingError  # noqa: E402
from archcast.encoders.ops import OP_ID  # noqa: E402
from archcast.encoders.spaces import get_space  # noqa: E402
from archcast.predictors.graphs._backbones import BACKBONES, backbone  # noqa: E402
from archcast.predictors.graphs._data import RELATIONS, cut, pack  # noqa: E402
from archcast.predictors.graphs._fused import fuse  # noqa: E402
from archcast.predictors.graphs._network import Network, evaluate  # noqa: E402
from archcast.predictors.graphs._nnformer import (  # noqa: E402
    NeighbourAttention,
    NeighbourForward,
    _mask,
)
from archcast.predictors.graphs._regression import line, widening  # noqa: E402


def graph(ops, edges):
    return ComputeGraph.from_columns({"op": [OP_ID[op] for op in ops]}, edges)


@pytest.fixture(scope="module")
def graphs():
    space = get_space("nasbench201")
    return [*space.graphs(space.sample(6, seed=0)), graph(["input"], [])]


# ------------------------------------------------------------------------------- fusion
def test_an_activation_after_its_only_producer():
    stay, edges, marks = fuse(graph(["input", "conv", "relu", "linear"], [[0, 1], [1, 2], [2, 3]]))
    assert stay.tolist() == [0, 1, 3]
    assert edges.tolist() == [[0, 1], [1, 2]]
    assert marks.tolist() == [[0, 0], [0, OP_ID["relu"] + 1], [0, 0]]


def test_an_activation_before_all_of_its_users():
    # add -> relu -> conv, and a skip around both
    ops = ["input", "conv", "relu", "conv", "add", "output"]
    found = fuse(graph(ops, [[0, 1], [1, 2], [1, 4], [2, 3], [3, 4], [4, 5]]))
    stay, edges, marks = found
    assert len(stay) == 5
    assert sorted(map(tuple, edges.tolist())) == [(0, 1), (1, 2), (1, 3), (2, 3), (3, 4)]
    assert marks[2].tolist() == [OP_ID["relu"] + 1, 0]
    assert marks.sum() == OP_ID["relu"] + 1


def test_an_activation_that_fits_nowhere_stays():
    ops = ["input", "conv", "relu", "add"]
    stay, edges, marks = fuse(graph(ops, [[0, 1], [1, 2], [1, 3], [2, 3]]))
    assert len(stay) == 4
    assert marks.sum() == 0
    assert len(edges) == 4


def test_fusion_keeps_networks_apart():
    space = get_space("nasbench201")
    whole = {g.hash: g for g in space.graphs(space.sample(300, seed=1))}
    again = set()
    for g in whole.values():
        stay, edges, marks = fuse(g)
        columns = {name: values[stay] for name, values in g.columns.items()}
        columns["dilation"] = columns["dilation"].copy()
        columns["dilation"][:, :2] = 100 + marks  # any column will do to tell marks apart
        again.add(ComputeGraph.from_columns(columns, edges).hash)
    assert len(again) == len(whole)


# --------------------------------------------------------------------------------- data
def test_a_batch_is_the_disjoint_union_of_its_graphs(graphs):
    data = pack(graphs, RELATIONS)
    which = [3, 0, 6]
    batch = data.batch(which)
    assert batch.counts.tolist() == [len(graphs[i]) for i in which]
    assert batch.op.tolist() == np.concatenate([graphs[i].op for i in which]).tolist()
    first = np.cumsum([0, *batch.counts.tolist()])
    parts = [graphs[i].edges + at for i, at in zip(which, first, strict=False)]
    expected = np.concatenate(parts).astype(int)
    assert batch.edges["predecessors"].T.tolist() == expected.tolist()
    assert batch.edges["successors"].T.tolist() == expected[:, ::-1].tolist()
    for pairs in batch.edges.values():
        assert (batch.graph[pairs[0]] == batch.graph[pairs[1]]).all()


def test_equal_graphs_are_held_once(graphs):
    data = pack([graphs[0], graphs[1], graphs[0]])
    assert len(data) == 2
    assert data.of.tolist() == [0, 1, 0]


def test_siblings_are_the_products_of_the_adjacency():
    g = graph(
        ["input", "conv", "linear", "relu", "add", "concat"],
        [[0, 1], [0, 2], [0, 3], [1, 4], [2, 4], [2, 5], [3, 5]],
    )
    a = np.zeros((6, 6), int)
    a[g.edges[:, 0], g.edges[:, 1]] = 1
    data = pack([g], RELATIONS)
    for name, product in (("share_successor", a @ a.T), ("share_predecessor", a.T @ a)):
        expected = (product > 0) & ~np.eye(6, dtype=bool)
        found = np.zeros((6, 6), bool)
        found[tuple(data.pairs[name].T)] = True
        assert (found == expected).all()


def test_a_hub_does_not_relate_all_to_all():
    n = 5000
    g = graph(["input"] + ["conv"] * n, [[0, i] for i in range(1, n + 1)])
    assert len(pack([g], RELATIONS).pairs["share_predecessor"]) <= 32 * 32


def test_batches_respect_the_budget():
    sizes = np.array([5, 50, 5, 5, 200, 5])
    parts = [rows.tolist() for rows in cut(np.arange(6), sizes, 2, 60)]
    assert parts == [[0, 1], [2, 3], [4], [5]]


def test_unknown_names():
    with pytest.raises(InvalidSettingError, match="relation"):
        pack([graph(["input"], [])], ["cousins"])
    with pytest.raises(InvalidSettingError, match="backbone"):
        backbone("cnn", 8, 1, 1, 0.0)
    with pytest.raises(InvalidSettingError, match="multiple"):
        backbone("gin", 10, 1, 4, 0.0)


# ---------------------------------------------------------------------------- backbones
@pytest.mark.parametrize("name", BACKBONES)
def test_a_graph_scores_the_same_alone_and_in_company(name, graphs):
    torch.manual_seed(0)
    network = Network(backbone(name, 16, 2, 4, 0.3), 16, 2, 0.3).eval()
    data = pack(graphs, BACKBONES[name].relations, fused=True)
    network.scale_to(data)
    together = evaluate(network, data)[0]
    with torch.no_grad():
        alone = torch.cat([network(data.batch([i]))[0] for i in range(len(data))]).numpy()
    assert together.shape == (7, 2)
    assert np.abs(together - alone).max() < 1e-5
    assert all(np.abs(a - b).max() > 1e-6 for a, b in pairwise(together))


def test_neighbour_attention_is_masked_dense_attention(graphs):
    batch = pack(graphs[:2], RELATIONS).batch([0, 1])
    torch.manual_seed(0)
    attention = NeighbourAttention(16, 8)
    h = torch.randn(len(batch.op), 16)
    n = len(h)
    masks = {name: _mask(batch.edges[name], n) for name in RELATIONS}
    a = torch.zeros(n, n)
    a[batch.edges["successors"][1], batch.edges["successors"][0]] = 1  # a[i, j]: i leads to j
    dense = {
        "successors": a,  # a node sees its users: I + A
        "predecessors": a.T,
        "share_successor": a @ a.T,
        "share_predecessor": a.T @ a,
    }
    heard = []
    for name, into in attention.into.items():
        q, k, v = into(h).view(n, 3, 2, 2).unbind(1)
        allowed = (dense[name] + torch.eye(n)) > 0
        score = torch.einsum("ihd,jhd->hij", q, k) / 2**0.5
        share = score.masked_fill(~allowed, -torch.inf).softmax(-1)
        heard.append(torch.einsum("hij,jhd->ihd", share, v).flatten(1))
    expected = attention.out(torch.cat(heard, 1))
    assert (attention(h, masks) - expected).abs().max() < 1e-5


def test_neighbour_forward_is_its_formula(graphs):
    batch = pack(graphs[:1], RELATIONS).batch([0])
    torch.manual_seed(0)
    layer, h = NeighbourForward(8), torch.randn(len(batch.op), 8)
    a = torch.zeros(len(h), len(h))
    for source, target in batch.edges["predecessors"].T.tolist():
        a[source, target] += 1
    beside = torch.cat([a @ layer.users(h), a.T @ layer.inputs(h)], 1)
    expected = layer.second(torch.relu(layer.first(h) + beside))
    assert (layer(h, batch) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("name", BACKBONES)
def test_messages_reach_both_directions(name):
    chain = [[0, 1], [1, 2]]
    one, two = graph(["input", "conv", "relu"], chain), graph(["input", "linear", "relu"], chain)
    torch.manual_seed(0)
    body = backbone(name, 8, 2, 4, 0.0).eval()
    network = Network(body, 8, 1, 0.0).eval()
    states = []
    for g in (one, two):
        batch = pack([g], BACKBONES[name].relations).batch([0])
        with torch.no_grad():
            states.append(body(network.embedding(batch), batch))
    assert ((states[0] - states[1]).abs().max(1).values > 1e-4).all()


# ------------------------------------------------------------------------------- scales
def test_deviations_are_widened_by_what_is_usual():
    error = np.random.default_rng(0).normal(size=(4000, 3)) * [1.0, 3.0, 1.0]
    error[:40, 0] = 500  # networks that did not train
    error[9:, 2] = np.nan  # too few to say
    assert widening(error) == pytest.approx([1.0, 3.0, 1.0], rel=0.05)


def test_ranks_are_brought_onto_the_scale_by_a_line():
    score = np.arange(12.0)[:, None]
    target = np.where(score > 8, np.nan, 3 * score - 7)
    assert line(score, target, "hinge")[:, 0] == pytest.approx([3, -7])
    assert line(score, -target, "hinge")[0, 0] > 0  # never upside down
    assert line(score, target, "mse")[:, 0].tolist() == [1, 0]
