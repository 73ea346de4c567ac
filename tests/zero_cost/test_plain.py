"""Plain scores against numbers worked out by hand, and against published ones."""

import importlib
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from archcast import datasets, encoders
from archcast.encoders.spaces import get_space

torch = pytest.importorskip("torch")
nn = torch.nn
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
plain, newer = (importlib.import_module(f"_plain_{name}") for name in ("proxies", "newer"))
network = importlib.import_module("_plain_nasbench201").network

# What the hand-made network's hidden unit is: the loss's derivatives are then fractions.
H = math.log(3)
CELLS = (
    "|skip_connect~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_3x3~1|avg_pool_3x3~2|",
    "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_1x1~1|skip_connect~2|",
    "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|skip_connect~2|",
)


@pytest.fixture
def two_layers():
    """One pixel of log 3, weights 1 and (1, 0): logits (log 3, 0), class 0 with chance 3/4."""
    conv, linear = nn.Conv2d(1, 1, 1, bias=False), nn.Linear(1, 2, bias=False)
    conv.weight.data.fill_(1.0)
    linear.weight.data.copy_(torch.tensor([[1.0], [0.0]]))
    module = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), linear)
    return module, torch.full((1, 1, 1, 1), H), torch.tensor([0])


def images(*rows):
    return torch.tensor(rows, dtype=torch.float32)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Gradients: -H/4 for the first layer, (-H/4, H/4) for the second.
        ("grad_norm", H / 4 * (1 + math.sqrt(2))),
        ("snip", H / 2),
        ("plain", -H / 2),
        # Activation times gradient is -H/4 in both layers.
        ("fisher", 2 * (H / 4) ** 2 / 2),
        # Loss f(s) of s = (w3 - w2) w1 x: f' = 1/4, f'' = 3/16, gradient of s (-H, -H, H).
        ("grasp", 2 * H * 3 / 16 / 4 * 3 * H**2 - 3 * H**2 / 16),
        ("l2_norm", 2.0),
        ("params", 3.0),
        ("flops", 1 + 1 + 2),
    ],
)
def test_a_network_of_two_layers(two_layers, name, expected):
    assert plain.CLASSIC[name](*two_layers) == pytest.approx(expected, rel=1e-5)


def test_scores_leave_the_network_as_it_was(two_layers):
    module, inputs, labels = two_layers
    module[0].weight.data.fill_(-1.0)
    for name, proxy in plain.CLASSIC.items():
        if name not in ("epe_nas", "jacov", "zen"):  # need several images, or pooling
            proxy(module, inputs, labels)
    assert module[0].weight.item() == -1.0
    assert all(parameter.grad is None for parameter in module.parameters())


def test_flops_of_every_kind_of_layer():
    layers = [nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.AvgPool2d(2)]
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    # 32 elements of 9 products, twice 32, 32; 8 windows of 4; 8 elements to average; 6 products.
    expected = 32 * 9 + 64 + 32 + 8 * 4 + 8 + 6
    assert plain.flops(module, torch.rand(2, 1, 4, 4), torch.tensor([0, 1])) == expected


def test_synflow_takes_absolute_weights_and_no_norm():
    conv, linear = nn.Conv2d(1, 1, 1, bias=False), nn.Linear(1, 2, bias=False)
    conv.weight.data.fill_(-2.0)
    linear.weight.data.copy_(torch.tensor([[1.0], [-3.0]]))
    module = nn.Sequential(conv, nn.BatchNorm2d(1), nn.Flatten(), linear)
    # Outputs 2 and 6; both layers carry the whole flow of 8.
    score = plain.synflow(module, torch.zeros(1, 1, 1, 1), torch.tensor([0]))
    assert score == pytest.approx(math.log(16))


def test_jacobians_of_a_linear_network_are_all_alike():
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    x = torch.rand(3, 1, 2, 2)
    eigenvalues = np.array([3.0, 0.0, 0.0]) + 1e-5
    expected = -(np.log(eigenvalues) + 1 / eigenvalues).sum()
    assert plain.jacov(module, x, torch.tensor([0, 0, 1])) == pytest.approx(expected, rel=1e-5)
    # Correlations of 1: four of the class of two, one of the other.
    score = plain.epe_nas(module, x, torch.tensor([0, 0, 1]))
    assert score == pytest.approx(5 * math.log(1 + 1e-5), rel=1e-4)


def test_nwot_counts_shared_signs():
    x = images([[[1, -1, 1]]], [[[1, 1, -1]]])
    for inplace in (False, True):
        module = nn.Sequential(nn.ReLU(inplace=inplace))
        # Three agree with themselves, one between the two.
        assert plain.nwot(module, x.clone(), torch.tensor([0, 1])) == pytest.approx(math.log(8))


def test_zen_of_a_norm_is_its_running_deviation():
    pooled = nn.AdaptiveAvgPool2d(1)
    bare = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), pooled)
    x, labels = torch.zeros(4, 1, 8, 8), torch.zeros(4, dtype=torch.long)
    torch.manual_seed(0)
    score = plain.zen(bare, x, labels)
    torch.manual_seed(0)
    weight, first, second = torch.randn(1, 1, 1, 1), torch.randn_like(x), torch.randn_like(x)
    moved = 0.01 * abs(weight.item()) * second.abs().flatten(1).sum(1).mean().item()
    assert score == pytest.approx(math.log(moved), rel=1e-4)

    torch.manual_seed(0)
    normed = plain.zen(nn.Sequential(bare[0], nn.BatchNorm2d(1), pooled), x, labels)
    before, after = weight * first, weight * (first + 0.01 * second)
    unit = [(v - v.mean()) / v.std(correction=0) for v in (before, after)]
    moved = (unit[0] - unit[1]).abs().flatten(1).sum(1).mean().item()
    running = 0.81 + 0.09 * before.var().item() + 0.1 * after.var().item()
    assert normed == pytest.approx(math.log(moved) + math.log(running) / 2, abs=1e-3)


def test_dextr_sees_containers():
    module = nn.Sequential(nn.Sequential(nn.Identity()))
    # Singular values 3 and 1, three times over.
    assert newer.inverse_conditions(module, images([[[3, 0]], [[0, 1]]])) == pytest.approx(1)
    assert newer.inverse_conditions(module, torch.zeros(1, 2, 1, 2)) == 0


def test_curvature_of_a_circle_is_one_over_its_radius():
    linear = nn.Linear(2, 2)
    linear.weight.data.copy_(2 * torch.eye(2))
    assert newer.curvature(nn.Sequential(nn.Flatten(), linear), (2, 1, 1)) == pytest.approx(0.5)


def test_dextr_joins_its_parts():
    linear = nn.Linear(48, 2, bias=False)
    module = nn.Sequential(nn.Flatten(), linear)
    torch.manual_seed(0)
    score = newer.dextr(module, torch.rand(1, 3, 4, 4), torch.tensor([0]), side=4)
    torch.manual_seed(0)
    torch.rand(1, 3, 4, 4)
    a = math.log(1 + 3)  # columns of one number: three modules, each 1
    b = math.log(1 + newer.curvature(module, (3, 4, 4)))
    assert score == pytest.approx(a * b / (a + b))


def test_meco_is_the_smallest_eigenvalue_of_correlations():
    module = nn.Sequential(nn.Identity())
    uncorrelated = images([[[1, -1, 1, -1]], [[1, 1, -1, -1]]])
    opposite = images([[[1, 2, 3, 4]], [[4, 3, 2, 1]]])
    assert newer.meco(module, uncorrelated, torch.tensor([0])) == pytest.approx(2)
    assert newer.meco(module, opposite, torch.tensor([0])) == pytest.approx(0, abs=1e-6)


def test_swap_counts_different_patterns():
    x = images([[[1, -1, 1]]], [[[1, 1, 1]]])
    module = nn.Sequential(nn.ReLU(), nn.Conv2d(1, 1, 1))
    labels = torch.tensor([0, 1])
    assert newer.swap(module, x, labels) == 2
    assert newer.swap(module, x, labels, mean=3, spread=2) == pytest.approx(2 * math.exp(-0.5))


def test_zico_of_two_gradients():
    linear = nn.Linear(1, 2, bias=False)
    nn.init.zeros_(linear.weight)
    module = nn.Sequential(nn.Flatten(), linear)
    # Gradients -+1/2 and -+3/2: mean size 1, deviation 1/2, for both weights.
    score = newer.zico(module, images([[[1]]], [[[3]]]), torch.tensor([0, 0]))
    assert score == pytest.approx(math.log(4))


@pytest.mark.parametrize("spec", CELLS)
def test_the_network_is_the_spaces(spec):
    module, space = network(spec), get_space("nasbench201")
    ours = sum(parameter.numel() for parameter in space.module(spec).parameters())
    assert plain.params(module, torch.empty(0), torch.empty(0)) == ours
    read = encoders.read(module, input_shape=(1, 3, 32, 32))
    assert read.hash == space.graph(spec).hash


@pytest.mark.parametrize("spec", CELLS[:2])
def test_published_scores_come_out(mirror, spec):
    file = mirror / "inputs" / "cifar10_subset.npz"
    if not file.exists():
        pytest.skip("needs images of CIFAR-10")
    with np.load(file) as arrays:
        x = torch.tensor(arrays["x_train"][:64]).permute(0, 3, 1, 2) / 127.5 - 1
        labels = torch.tensor(arrays["y_train"][:64]).long()
    benchmark = datasets.load("nasbench201")
    row = list(benchmark.specs).index(spec)
    # Weights and images are others; flops differ by how global pooling is counted.
    margins = {"params": 1e-9, "flops": 1e-4, "l2_norm": 0.01, "synflow": 0.02, "zen": 0.1}
    for name, margin in (margins | {"nwot": 0.02, "jacov": 0.15}).items():
        unit = 1e-6 if name in ("params", "flops") else 1
        score = unit * plain.CLASSIC[name](network(spec), x * 2, labels)
        published = benchmark.proxy_scores(f"cifar10/{name}")[row]
        assert score == pytest.approx(published, rel=margin), name
