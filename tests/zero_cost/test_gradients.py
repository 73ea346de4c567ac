"""Gradient proxies against plain ones on the same network, weights and images."""

import importlib
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from archcast.encoders import read
from archcast.encoders.spaces import get_space
from archcast.zero_cost import score
from archcast.zero_cost._program import Weight, compile_graph

torch = pytest.importorskip("torch")
nn = torch.nn
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
plain, newer = (importlib.import_module(f"_plain_{name}") for name in ("proxies", "newer"))

from archcast.zero_cost._data import Data  # noqa: E402
from archcast.zero_cost._lab import Lab  # noqa: E402
from archcast.zero_cost._weights import Weights  # noqa: E402
from archcast.zero_cost.proxies import gradients, jacobians, ntk, synflow, vkdnw, zico  # noqa: E402

CPU = torch.device("cpu")
OF_A_LAB = {
    "grad_norm": gradients.grad_norm,
    "snip": gradients.snip,
    "plain": gradients.plain,
    "grasp": gradients.grasp,
    "fisher": gradients.fisher,
    "l2_norm": gradients.l2_norm,
    "synflow": synflow.synflow,
    "jacov": jacobians.jacov,
    "epe_nas": jacobians.epe_nas,
    "jacobian_cosine": jacobians.jacobian_cosine,
    "ntk_condition": ntk.ntk_condition,
    "zico": zico.zico,
    "vkdnw": vkdnw.vkdnw,
}


class Small(nn.Module):
    """Every convolution has its norm; a residual, a depth-wise convolution, two pools."""

    def __init__(self, classes=10):
        super().__init__()

        def conv(before, after, kernel, stride=1, groups=1):
            layer = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
            return nn.Sequential(layer, nn.BatchNorm2d(after))

        self.stem, self.first, self.second = conv(3, 8, 3), conv(8, 8, 3), conv(8, 8, 1)
        self.down, self.deep = conv(8, 16, 3, 2), conv(16, 16, 5, groups=16)
        self.pool, self.head = nn.MaxPool2d(2), nn.Linear(16, classes)

    def forward(self, x):
        x = self.stem(x).relu()
        x = x + self.second(self.first(x).relu())
        x = self.deep(self.down(x.relu()).relu()).relu()
        return self.head(self.pool(x).mean((2, 3)))


def by_shape(module):
    """The weights that ``init="shape"`` gives layers of these shapes."""
    draw = Weights(0, "shape", CPU, torch.float32)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            kind = "conv" if isinstance(layer, nn.Conv2d) else "linear"
            layer.weight.data.copy_(draw(Weight(kind, tuple(layer.weight.shape), 0)))
            if layer.bias is not None:
                layer.bias.data.zero_()
    return module


@pytest.fixture(scope="module")
def small():
    return by_shape(Small())


@pytest.fixture(scope="module")
def batch():
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(8, 3, 12, 12, generator=generator)
    return images, torch.tensor([0, 1, 2, 2, 1, 0, 0, 9])


@pytest.fixture(scope="module")
def ours(small, batch):
    graph = read(small, input_shape=(1, 3, 12, 12))
    names = list(OF_A_LAB)
    return score([graph], names, samples=8, init="shape", data=batch, cache=False)


def lab(programs, samples=4, width=1, dtype=torch.float64, **options):
    options = {"differentiate": True} | options
    data, weights = Data(samples, 0, device=CPU, dtype=dtype), Weights(0, "kaiming", CPU, dtype)
    return Lab(programs, weights, data, width=width, **options)


# -------------------------------------------------------------------- the same as plain ones
@pytest.mark.parametrize(
    "name",
    ["grad_norm", "snip", "plain", "grasp", "fisher", "l2_norm", "synflow", "jacov", "epe_nas"],
)
def test_scores_are_those_of_plain_implementations(small, batch, ours, name):
    expected = plain.CLASSIC[name](small, *batch)
    assert ours[name][0] == pytest.approx(expected, rel=1e-4)


def test_zico_is_that_of_a_plain_implementation(small, batch, ours):
    # A weight whose two gradients nearly agree decides a layer's sum: float32 shows.
    assert ours["zico"][0] == pytest.approx(newer.zico(small, *batch), rel=1e-3)


def test_jacobian_cosine_of_its_definition(small, batch, ours):
    rows = plain.jacobian(small, batch[0])
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = np.abs(unit @ unit.T)[~np.eye(8, dtype=bool)] ** (1 / 20)
    assert ours["jacobian_cosine"][0] == pytest.approx(1 - pairs.mean() / 2, rel=1e-4)


def test_ntk_of_one_backward_pass_is_that_of_one_a_sample(small, batch, ours):
    module = by_shape(Small()).eval()
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]

    def freeze(norm, given):
        variance, mean = torch.var_mean(given[0], (0, 2, 3), correction=0)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    hooks = [norm.register_forward_pre_hook(freeze) for norm in norms]
    with torch.no_grad():
        module(batch[0])
    for hook in hooks:
        hook.remove()
    layers = plain.weights(module)
    rows = []
    for result in module(batch[0]).sum(1):
        grads = torch.autograd.grad(result, layers, retain_graph=True)
        rows.append(torch.cat([grad.flatten() for grad in grads]).double())
    values = torch.linalg.eigvalsh(torch.stack(rows) @ torch.stack(rows).T)
    expected = -math.log(values[-1] / values[0])
    assert ours["ntk_condition"][0] == pytest.approx(expected, rel=1e-4)


def test_vkdnw_of_its_definition(small, batch, ours):
    module = by_shape(Small()).eval()  # norms of fresh statistics pass what they get
    parameters = list(module.parameters())
    logits = module(batch[0])
    fisher = torch.zeros(len(parameters), len(parameters), dtype=torch.float64)
    for sample in logits:
        rows = []
        for logit in sample:
            grads = torch.autograd.grad(logit, parameters, retain_graph=True)
            rows.append(torch.stack([grad.flatten()[0] for grad in grads]).double())
        p = 0.95 * torch.softmax(sample.double(), 0) + 0.005
        middle = torch.diag(p) - torch.outer(p, p)
        fisher += torch.stack(rows).T @ middle @ torch.stack(rows) / len(logits)
    deciles = np.quantile(torch.linalg.svdvals(fisher).detach(), np.arange(1, 10) / 10)
    shares = deciles / deciles.sum()
    expected = 6 - (shares * np.log(shares)).sum()
    assert ours["vkdnw"][0] == pytest.approx(expected, abs=1e-3)


def test_mixtures_of_many_classes_estimate_the_same_fisher_information():
    logits = torch.randn(2, 40, generator=torch.Generator().manual_seed(0))
    p = vkdnw._root(logits)
    draws = [vkdnw._drawn(logits, p, draw, seed) for seed in range(400) for draw in range(10)]
    found = sum(torch.einsum("bi,bj->bij", x, x) for x in draws) / 400
    expected = torch.diag_embed(p) - torch.einsum("bi,bj->bij", p, p)
    assert torch.allclose(found, expected, atol=0.1 * float(expected.abs().max()))


class Gated(nn.Module):
    """Squeeze and excitation, group norm, activations of all kinds; a class for each position."""

    def __init__(self, classes):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8)
        self.gate, self.out = nn.Conv2d(8, 8, 1), nn.ConvTranspose2d(8, classes, 2, 2)

    def forward(self, x):
        x = nn.functional.hardswish(self.norm(self.stem(x)))
        x = x * torch.sigmoid(self.gate(nn.functional.silu(x.mean((2, 3), keepdim=True))))
        return self.out(nn.functional.avg_pool2d(nn.functional.gelu(x).tanh(), 2))


class Recurrent(nn.Module):
    """Token ids, two kinds of recurrent layers, a softmax."""

    def __init__(self):
        super().__init__()
        self.words, self.gru = nn.Embedding(30, 8), nn.GRU(8, 6, batch_first=True)
        self.lstm, self.head = nn.LSTM(6, 6, batch_first=True), nn.Linear(6, 5)

    def forward(self, ids):
        x = self.lstm(self.gru(self.words(ids))[0])[0]
        return self.head(torch.softmax(x, 2))


def curved_networks():
    ids, images = torch.zeros(1, 6, dtype=torch.int64), torch.zeros(1, 3, 8, 8)
    yield "positions", Gated(4), images
    yield "one logit", Gated(1), images
    yield "recurrent", Recurrent(), ids
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
    yield "attention", nn.Sequential(nn.Embedding(30, 8), encoder, nn.Linear(8, 12)), ids
    yield "convolutions", Small(3), images


@pytest.mark.parametrize(("what", "module", "example"), list(curved_networks()))
def test_grasp_is_the_derivative_of_the_gradient(what, module, example):
    one = lab([compile_graph(read(module, example=example))])
    layers = [step.weight for step in one.weighted]
    first = torch.autograd.grad(one.loss, layers, create_graph=True, materialize_grads=True)
    product = sum((grad.detach() * grad).sum() for grad in first)
    second = torch.autograd.grad(product, layers, retain_graph=True, materialize_grads=True)
    pairs = zip(layers, second, strict=True)
    expected = -sum(float((weight * h).detach().sum()) for weight, h in pairs)
    assert abs(expected) > 1e-9
    assert float(gradients.grasp(one)) == pytest.approx(expected, rel=1e-6)


# -------------------------------------------------------------------- properties
def small_cells(count=3):
    space = get_space("nasbench201")
    return [compile_graph(graph) for graph in space.graphs(space.sample(count, seed=3))]


def texts(*widths):
    """Small language models: token ids, a recurrent layer, attention."""
    for width in widths:
        body = nn.TransformerEncoderLayer(8, 2, width, batch_first=True, activation="gelu")
        model = nn.Sequential(nn.Embedding(30, 8), body, nn.Linear(8, 12))
        yield compile_graph(read(model, example=torch.zeros(1, 6, dtype=torch.int64)))


@pytest.mark.parametrize("name", ["nasbench201", "nats_size", "texts"])
def test_company_changes_nothing(name):
    # In float64, so that what is left are errors and not rounding.
    if name == "texts":
        nets = list(texts(16, 24))
    else:
        space = get_space(name)
        graphs = space.graphs(space.sample(2, seed=3), image_size=8)
        nets = [compile_graph(graph) for graph in graphs]
    together = lab([*nets, nets[0]], width=3)
    alone = [lab([net]) for net in nets]
    for proxy, compute in OF_A_LAB.items():
        found = compute(together).numpy()
        each = [float(compute(one)) for one in alone]
        tolerance = 1e-3 if proxy == "jacov" else 1e-6  # 1 / 1e-5 of eigenvalues that are 0
        assert found == pytest.approx([*each, each[0]], rel=tolerance, nan_ok=True), proxy


def test_synflow_of_a_network_beyond_the_range_of_numbers():
    depth, width = 500, 32
    layers = [nn.Conv2d(width, width, 1, bias=False) for _ in range(depth)]
    module = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))
    graph = read(module, input_shape=(1, width, 2, 2))
    found = score([graph], ["synflow"], samples=2, init="shape", cache=False)["synflow"][0]
    weight = Weights(0, "shape", CPU, torch.float32)(Weight("conv", (width, width, 1, 1), 0))
    vector, size = torch.ones(width, dtype=torch.float64), 0.0
    for _ in range(depth):
        vector = weight[:, :, 0, 0].double().abs() @ vector
        size += math.log(vector.sum())
        vector = vector / vector.sum()
    # Each layer carries the whole flow, over four positions.
    assert size > 710
    assert found == pytest.approx(size + math.log(4 * depth), rel=1e-9)


def test_synflow_does_not_depend_on_where_it_is_rescaled(monkeypatch):
    space = get_space("nasbench201")
    graphs = space.graphs(space.sample(2, seed=0), image_size=16)
    nets = [compile_graph(graph) for graph in graphs]
    before = synflow.synflow(lab(nets, width=2))
    monkeypatch.setattr(synflow, "_TOO_LARGE", 1e12)
    monkeypatch.setattr(synflow, "_LARGE", 1e9)
    assert synflow.synflow(lab(nets, width=2)).numpy() == pytest.approx(before.numpy(), rel=1e-6)


@pytest.mark.parametrize(("name", "size"), [("autoformer_tiny", 64), ("flexibert", 16)])
def test_synflow_of_transformers_is_about_weights_and_not_about_rounding(name, size):
    space = get_space(name)
    graphs = space.graphs(space.sample(3, seed=0), image_size=size)
    found = [
        score(graphs, ["synflow"], samples=2, seed=seed, cache=False)["synflow"]
        for seed in range(2)
    ]
    assert np.isfinite(found).all()
    assert found[0] == pytest.approx(found[1], abs=0.1)  # of some 30 to 200


def test_synflow_that_is_not_positive_is_none():
    class Difference(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x):
            return self.one(x) - self.two(x)

    graph = read(Difference(), input_shape=(1, 3, 8, 8))
    found = score([graph], ["synflow"], samples=2, cache=False)
    assert np.isnan(found["synflow"][0])
    assert "no positive flow" in found.reasons["synflow"][0]


@pytest.mark.parametrize(
    ("classes", "labels", "reason"),
    [
        (10, [0, 1, 2, 3], "no two samples of one class"),
        (120, [0, 1, 2, 3], "no two samples of one class"),
        (120, [5, 5, 5, 5], "all samples are of one class"),
        (10, [0, 1, 1, 3], ""),
        (120, [0, 1, 1, 3], ""),
    ],
)
def test_epe_nas_compares_samples_of_one_class(small, classes, labels, reason):
    graph = read(Small(classes), input_shape=(1, 3, 12, 12))
    images = np.random.default_rng(0).standard_normal((4, 3, 12, 12)).astype(np.float32)
    found = score([graph], ["epe_nas"], samples=4, data=(images, labels), cache=False)
    assert np.isnan(found["epe_nas"][0]) == bool(reason)
    assert reason in found.reasons["epe_nas"].get(0, "")


def test_splits_are_all_samples_once():
    data = Data(5, 0, device=CPU)
    net = small_cells(1)[0]
    parts = data.split(2)
    assert [part.samples for part in parts] == [2, 3]
    assert torch.equal(torch.cat([part(net, 0) for part in parts]), data(net, 0))
    assert torch.equal(torch.cat([part.labels(7) for part in parts]), data.labels(7))


def odd_networks():
    linear = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    yield "one layer", linear, (1, 3, 2, 2)
    yield "no weights", nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1)), (1, 3, 4, 4)
    yield "one channel, one output", nn.Conv2d(1, 1, 3), (1, 1, 5, 5)
    yield "saturated", nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.Softmax(1)), (1, 3, 2, 2)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize(("what", "module", "shape"), list(odd_networks()))
def test_odd_networks_have_a_score_or_a_reason(what, module, shape, samples):
    graph = read(module, input_shape=shape)
    scores = score([graph], list(OF_A_LAB), samples=samples, cache=False)
    for name in OF_A_LAB:
        value, reason = scores[name][0], scores.reasons[name].get(0, "")
        assert math.isfinite(value) != bool(reason), (what, name)
        assert "Error" not in reason, (what, name)


def test_labels_that_are_given_count_for_a_single_logit_too():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 1, 1))
    graph = read(module, input_shape=(1, 3, 6, 6))
    images = np.random.default_rng(0).standard_normal((4, 3, 6, 6)).astype(np.float32)
    found = [
        score([graph], ["grad_norm", "grasp"], samples=4, data=(images, labels), cache=False)
        for labels in ([0, 0, 0, 0], [1, 1, 1, 1])
    ]
    assert found[0]["grad_norm"] != found[1]["grad_norm"]
    assert found[0]["grasp"] != found[1]["grasp"]


def test_token_ids_have_jacobians_by_their_embeddings():
    found = lab(list(texts(16)), samples=3).jacobians
    assert found[0] is not None
    assert found[0].shape[0] == 3
    assert float(found[0].abs().max()) > 0
