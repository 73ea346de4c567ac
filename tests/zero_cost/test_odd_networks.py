"""Every proxy on networks it was not made for: a score or a reason, and nobody else's is lost."""

import contextlib
import math
import re

import numpy as np
import pytest

from archcast.encoders import ComputeGraph, read
from archcast.encoders.errors import ArchcastError
from archcast.encoders.ops import OP_ID
from archcast.encoders.spaces import SPACES, get_space
from archcast.zero_cost import PROXIES, score

torch = pytest.importorskip("torch")
nn = torch.nn

#: What a defect of ours would be called; not a reason that anybody gave.
DEFECT = re.compile(r"\w*(Error|Exception|Warning):")
SAMPLES = 4
ALL = tuple(PROXIES)


class Branches(nn.Module):
    """Two inputs of different shapes, joined."""

    def __init__(self):
        super().__init__()
        self.image, self.table = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(5, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, image, table):
        found = self.image(image).relu().mean((2, 3)) + self.table(table)
        return self.head(found.relu())


class Words(nn.Module):
    """Token ids to logits, through whatever turns (B, L, 8) into (B, L, 8)."""

    def __init__(self, body):
        super().__init__()
        self.embedding, self.body, self.head = nn.Embedding(30, 8), body, nn.Linear(8, 30)

    def forward(self, ids):
        found = self.body(self.embedding(ids))
        return self.head(found[0] if isinstance(found, tuple) else found)


class TwoHeads(nn.Module):
    """Two results, and a layer used twice."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.shared = nn.Conv2d(6, 6, 3, padding=1, groups=2)
        self.classes, self.box = nn.Linear(6, 10), nn.Linear(6, 4)

    def forward(self, x):
        found = self.shared(self.shared(self.stem(x).relu()).relu()).mean((2, 3))
        return self.classes(found), self.box(found)


def conv(*layers):
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *layers, nn.Flatten(), nn.LazyLinear(10))


def convnet(bias_channels=8):
    c = bias_channels
    return nn.Sequential(
        nn.Conv2d(3, c, 3, padding=1), nn.BatchNorm2d(c), nn.ReLU(),
        nn.Conv2d(c, c, 3, padding=1), nn.BatchNorm2d(c), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 10),
    )  # fmt: skip


def encoder():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


IMAGE = (1, 3, 8, 8)
IDS = torch.zeros(1, 6, dtype=torch.int64)
#: Name -> module and what it takes.
MODULES = {
    "ordinary": (convnet(), IMAGE),
    "no_activation": (conv(nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3)), IMAGE),
    "no_norm": (conv(nn.ReLU(), nn.Conv2d(8, 4, 3), nn.ReLU()), IMAGE),
    "gelu": (conv(nn.GELU(), nn.Conv2d(8, 4, 3), nn.GELU()), IMAGE),
    "sigmoid": (nn.Sequential(nn.Linear(6, 9), nn.Sigmoid(), nn.Linear(9, 3)), (1, 6)),
    "one_linear": (nn.Linear(7, 3), (1, 7)),
    "one_output": (nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 1)), (1, 7)),
    "one_channel": (convnet(1), IMAGE),
    "one_pixel": (convnet(), (1, 3, 1, 1)),
    "one_convolution": (nn.Conv2d(3, 5, 3), IMAGE),
    "no_weights": (nn.Sequential(nn.ReLU(), nn.AvgPool2d(2), nn.Flatten()), IMAGE),
    "softmax_end": (nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Softmax(1)), IMAGE),
    "segmenter": (nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(),
                                nn.Upsample(scale_factor=2),
                                nn.ConvTranspose2d(4, 5, 2, stride=2)), IMAGE),
    "group_norm": (conv(nn.GroupNorm(2, 8), nn.SiLU()), IMAGE),
    "one_dimension": (nn.Sequential(nn.Conv1d(4, 8, 3), nn.ReLU(), nn.MaxPool1d(2),
                                    nn.Conv1d(8, 2, 3)), (1, 4, 20)),
    "three_dimensions": (nn.Sequential(nn.Conv3d(2, 4, 3), nn.BatchNorm3d(4), nn.ReLU(),
                                       nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 3)),
                         (1, 2, 6, 6, 6)),
    "two_inputs": (Branches(), (torch.zeros(IMAGE), torch.zeros(1, 5))),
    "two_outputs": (TwoHeads(), IMAGE),
    "embedding": (Words(nn.Identity()), IDS),
    "rnn": (Words(nn.RNN(8, 8, batch_first=True)), IDS),
    "gru": (Words(nn.GRU(8, 8, batch_first=True)), IDS),
    "lstm": (Words(nn.LSTM(8, 8, 2, batch_first=True)), IDS),
    "transformer": (Words(encoder()), IDS),
}  # fmt: skip


def captured(name):
    module, given = MODULES[name]
    given = torch.zeros(given) if isinstance(given[0], int) else given
    module = module.eval()
    with torch.no_grad():
        module(*given) if isinstance(given, tuple) else module(given)  # lazy layers take shape
    return read(module, example=given, name=name)


def by_hand():
    """Graphs that no reader makes: one operator, an operator without a name, nothing trained."""
    linear = {"op": [OP_ID["linear"]], "channels_in": [4], "channels_out": [3], "op_weights": [12]}
    ops = [OP_ID[op] for op in ("input", "conv", "other", "linear", "output")]
    other = {
        "op": ops,
        "channels_in": [3, 3, 8, 8, 5],
        "channels_out": [3, 8, 8, 5, 5],
        "kernel": [(1, 1, 1), (1, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1)],
        "extent": [(1, 6, 6), (1, 6, 6), (1, 1, 1), (1, 1, 1), (1, 1, 1)],
        "op_weights": [0, 216, 0, 40, 0],
    }
    chain = [(i, i + 1) for i in range(4)]
    return {
        "one_operator": ComputeGraph.from_columns(linear, []),
        "only_an_input": ComputeGraph.from_columns(
            {"op": [OP_ID["input"]], "channels_out": [3], "extent": [(1, 4, 4)]}, []
        ),
        "in_and_out": ComputeGraph.from_columns(
            {
                "op": [OP_ID["input"], OP_ID["output"]],
                "channels_in": [3, 3],
                "channels_out": [3, 3],
            },
            [(0, 1)],
        ),
        "other": ComputeGraph.from_columns(other, chain, labels={2: "Fancy"}),
    }


@pytest.fixture(scope="module")
def graphs():
    cell = get_space("nasbench201").sample(1, seed=3)[0]
    return {
        **{name: captured(name) for name in MODULES},
        **by_hand(),
        "nasbench201": get_space("nasbench201").graph(cell, image_size=8),
    }


@pytest.fixture(scope="module")
def together(graphs):
    return score(graphs.values(), ALL, samples=SAMPLES, cache=False)


@pytest.fixture(scope="module")
def alone(graphs):
    return [score([graph], ALL, samples=SAMPLES, cache=False) for graph in graphs.values()]


@pytest.mark.parametrize("samples", [1, 2])
def test_few_samples(graphs, samples):
    chosen = [graphs[name] for name in ("ordinary", "transformer", "one_convolution")]
    scores = score(chosen, ALL, samples=samples, cache=False)
    for name in ALL:
        check(scores, name, ("ordinary", "transformer", "one_convolution"))


def check(scores, name, networks):
    """A number or a reason for each, and no reason that is a defect."""
    for row, network in enumerate(networks):
        reason = scores.reasons[name].get(row, "")
        assert math.isfinite(scores[name][row]) != bool(reason), (network, reason)
        assert not DEFECT.search(reason), (network, reason)


@pytest.mark.parametrize("name", ALL)
def test_every_network_has_a_score_or_a_reason(name, graphs, together):
    check(together, name, graphs)


@pytest.mark.parametrize("name", ALL)
def test_odd_company_changes_no_score(name, graphs, together, alone):
    apart = np.array([scores[name][0] for scores in alone])
    assert np.isfinite(apart).any()
    np.testing.assert_allclose(
        together[name], apart, rtol=1e-5, atol=1e-5, err_msg=str(list(graphs))
    )
    reasons = [scores.reasons[name].get(0) for scores in alone]
    assert reasons == [together.reasons[name].get(row) for row in range(len(reasons))]


def test_onnx_files(onnx_files):
    chosen = {}
    for path in onnx_files:
        with contextlib.suppress(ArchcastError):  # some hold no network
            graph = read(path)
            if graph.macs < 5e6:
                chosen[path.name] = graph
    assert len(chosen) > 20
    scores = score(chosen.values(), ALL, samples=3, cache=False)
    for name in ALL:
        check(scores, name, chosen)


#: Spaces whose networks are small where their images or sequences are.
SMALL = {"nasbench201": 8, "nasbench_macro": 16, "nats_size": 16, "transnas_micro": 32}


@pytest.mark.parametrize("space", sorted(SMALL))
def test_small_spaces(space):
    check_space(space, SMALL[space], memory=None)


@pytest.mark.slow
@pytest.mark.parametrize("space", sorted(set(SPACES) - set(SMALL)))
def test_other_spaces(space, mirror):
    # Where even one sample needs more than this, that is the reason.
    check_space(space, 16, memory=500_000_000)


def check_space(name, size, memory):
    space = get_space(name)
    specs = space.sample(2, seed=5)
    try:
        graphs = space.graphs(specs, image_size=size)
    except ArchcastError:  # the size is part of the space
        graphs = space.graphs(specs)
    scores = score(graphs, ALL, samples=2, memory=memory, cache=False)
    for proxy in ALL:
        check(scores, proxy, specs)
