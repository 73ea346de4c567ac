"""Graph networks: writings of one network, and layers that compute what their papers say."""

import itertools

import numpy as np
import pytest

from archcast.encoders import read
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces.nasbench_graph import DATA, LINKS, OPERATORS, NASBenchGraph

SPACE = NASBenchGraph()


def test_forms_of_the_benchmark():
    text = "link=0112;ops=gcn,fc,cheb,gin"
    cell = SPACE.parse(text)
    ops = ["gcn", "fc", "cheb", "gin"]
    assert SPACE.parse({"link": [0, 1, 1, 2], "ops": ops}) == cell
    assert SPACE.parse(([0, 1, 1, 2], ops)) == cell
    row = np.array([6, *(OPERATORS.index(op) for op in ops)], np.int8)
    assert SPACE.parse(row.tolist()) == cell
    assert LINKS[6] == "0112"


def test_order_of_the_nodes_does_not_matter():
    first = SPACE.parse(([0, 1, 2, 1], ["gcn", "gin", "fc", "cheb"]))
    assert first == SPACE.parse(([0, 1, 1, 2], ["gcn", "gin", "cheb", "fc"]))
    assert SPACE.text(first) == "link=0112;ops=gcn,gin,cheb,fc"
    # Which of the two branches goes on is a difference.
    assert first != SPACE.parse(([0, 1, 1, 2], ["gcn", "cheb", "gin", "fc"]))


def test_identities_move_to_the_front():
    assert (
        SPACE.text(SPACE.parse("link=0123;ops=gcn,skip,gin,fc")) == "link=0123;ops=skip,gcn,gin,fc"
    )
    # Beside another leaf it adds something.
    kept = "link=0122;ops=gcn,gin,fc,skip"
    assert SPACE.text(SPACE.parse(kept)) == kept


def test_26207_networks():
    assert sum(1 for _ in SPACE.enumerate()) == SPACE.size == 26_207


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("link=0023;ops=gcn,gcn,gcn,bad", "'bad'"),
        ("link=0043;ops=gcn,gcn,gcn,gcn", "'0043'"),
        ("link=00;ops=gcn,gcn,gcn,gcn", "'00'"),
        ("link=0000;ops=gcn,gcn", "2 values"),
        ([0, 1, 2, 3, 9], "five positions"),
        ([0.5, 1, 2, 3, 4], "five positions"),
        ({"link": "0000"}, "link and ops"),
    ],
)
def test_errors_name_the_fault(spec, fault):
    with pytest.raises(InvalidSpecError, match=fault):
        SPACE.parse(spec)


def test_unknown_data_set_is_refused():
    with pytest.raises(InvalidSpecError, match="cora"):
        NASBenchGraph("karate")


def test_operators_differ_in_their_graphs():
    # Sums, means and normalised sums over neighbours have equal weights.
    graphs = SPACE.graphs([f"link=0111;ops=fc,{a},{b},fc" for a, b in pairs()])
    assert len({g.hash for g in graphs}) == len(graphs)


def pairs():
    return list(itertools.combinations_with_replacement(OPERATORS, 2))


@pytest.mark.parametrize("data", ["pubmed", "arxiv", "physics", "computers"])
def test_every_frame_reads_as_the_direct_graph(data):
    torch = pytest.importorskip("torch")
    space = NASBenchGraph(data)
    for spec in space.sample(2, seed=3):
        with torch.device("meta"):
            module = space.module(spec).eval()
        graph = space.graph(spec)
        assert read(module, example=module.example()) == graph
        assert graph.output_shape == (1, DATA[data].nodes, DATA[data].classes)


@pytest.fixture
def neighbourhood():
    """A path of four nodes, and one that has no neighbour."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    without = torch.zeros(5, 5)
    for i in range(3):
        without[i, i + 1] = without[i + 1, i] = 1
    x = torch.randn(1, 5, 8)
    return x, torch.stack([without, without + torch.eye(5)])[None]


def layer(op):
    """One layer of 12 features on five nodes, as a module."""
    from archcast.encoders.spaces._message_passing import CONVOLUTIONS, Adjacency
    from archcast.encoders.spaces._net_torch import TorchNet

    net = TorchNet()
    x, matrices = net.input((5, 8)), net.input((2, 5, 5))
    net.output(CONVOLUTIONS[op](net, x, 12, Adjacency(net, matrices)))
    return net.module()


@pytest.mark.parametrize("op", OPERATORS[:-1])
def test_only_neighbours_are_heard(op, neighbourhood):
    x, adjacency = neighbourhood
    module = layer(op)
    before = module(x, adjacency)
    changed = x.clone()
    changed[0, 3] += 1
    after = module(changed, adjacency)
    moved = (after - before).abs().sum(-1)[0] > 1e-6
    assert before.isfinite().all()
    assert moved.tolist() == [False, False, op != "fc", True, False]


def test_attention_weighs_the_neighbours_to_one(neighbourhood):
    x, adjacency = neighbourhood
    module = layer("gat")
    same = x[:, :1].expand(-1, 5, -1)  # whatever the weights, the mean of equals is the same
    out = module(same, adjacency)
    assert (out - out[:, :1]).abs().max() < 1e-6


def test_normalised_sums_are_those_of_the_papers(neighbourhood):
    import torch

    x, adjacency = neighbourhood
    without, looped = adjacency[0]
    for op, matrix in (("gcn", looped), ("arma", without)):
        module = layer(op)
        root = matrix.sum(1).clamp(min=1) ** -0.5
        weight, *rest = [m for m in module.modules() if isinstance(m, torch.nn.Linear)]
        expected = (root[:, None] * matrix * root) @ weight(x)
        expected = (expected + rest[0](x)).relu() if rest else expected + module.shared[0]
        assert (module(x, adjacency) - expected).abs().max() < 1e-5


def test_mean_over_neighbours(neighbourhood):
    import torch

    x, adjacency = neighbourhood
    module = layer("sage")
    ofs, own = (m for m in module.modules() if isinstance(m, torch.nn.Linear))
    mean = adjacency[0, 0] / adjacency[0, 0].sum(1, keepdim=True).clamp(min=1)
    assert (module(x, adjacency) - ofs(mean @ x) - own(x)).abs().max() < 1e-5


def test_trains():
    torch = pytest.importorskip("torch")
    module = SPACE.module("link=0012;ops=gat,sage,cheb,arma", num_classes=3, image_size=6)
    adjacency = torch.eye(6).expand(2, 2, 6, 6)
    logits = module(torch.randn(2, 6, 1433), adjacency)
    assert logits.shape == (2, 6, 3)
    logits.sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
