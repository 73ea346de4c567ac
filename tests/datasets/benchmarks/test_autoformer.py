"""The three AutoFormer tables; their parameters and multiplications prove the networks."""

import numpy as np
import pytest

from archcast import datasets
from archcast.encoders.spaces import get_space

RANGES = {"tiny": (74.48, 75.54), "small": (79.41, 81.66), "base": (81.76, 82.31)}


@pytest.fixture(scope="module", params=sorted(RANGES))
def size(request, mirror):
    return request.param


def operations(benchmark, row):
    """Multiplications as AutoFormer's own code counts them, with two tokens too many a block."""
    space = get_space(benchmark.name)
    cell = space.parse(benchmark.specs[row])
    width = space.chosen(cell, "embed_dim")[0]
    patches, blocks = 196, 198
    total = patches * 768 * width + width + 197 * width / 2 + 197 * width * 1000
    for ratio, heads in space.layers(cell, "mlp_ratio", "num_heads"):
        inner = 64 * heads
        total += blocks * (2 * width + 4 * width * inner + 2 * width * int(width * ratio))
        total += blocks * blocks * (2 * inner + 28.5) + blocks * inner / 2
    return total


def products(benchmark, row):
    """Multiplications of the graph: 197 tokens, relative positions at full price.

    Two products read the softmax, and the canonical form counts its scores with each of them.
    """
    space = get_space(benchmark.name)
    cell = space.parse(benchmark.specs[row])
    width = space.chosen(cell, "embed_dim")[0]
    total = 196 * 768 * width + width * 1000
    for ratio, heads in space.layers(cell, "mlp_ratio", "num_heads"):
        inner = 64 * heads
        total += 197 * (4 * width * inner + 2 * width * int(width * ratio)) + 5 * 197**2 * inner
    return total


def test_check_figures(size):
    benchmark = datasets.load(f"autoformer_{size}")
    top1 = benchmark.labels("imagenet1k/top1")
    assert len(benchmark) == len(set(benchmark.specs)) == 1001
    assert (top1.min().round(2), top1.max().round(2)) == RANGES[size]
    assert benchmark.recipe("imagenet1k/top1")["inherited"] is True
    assert set(benchmark.card.tasks) == set(benchmark.tasks)


def test_parameters_of_the_networks_are_the_published_ones(size):
    benchmark = datasets.load(f"autoformer_{size}")
    rows = list(range(0, 1001, 20))
    published = benchmark.proxy_scores("imagenet1k/params")[rows]
    assert [g.params for g in benchmark.graphs(rows)] == published.round().astype(int).tolist()


def test_published_operations_are_of_the_same_networks(size):
    benchmark = datasets.load(f"autoformer_{size}")
    published = benchmark.proxy_scores("imagenet1k/flops")
    counted = [operations(benchmark, row) for row in range(len(benchmark))]
    np.testing.assert_allclose(counted, published, rtol=1e-12)
    rows = range(0, 1001, 100)
    assert [g.macs for g in benchmark.graphs(rows)] == [products(benchmark, row) for row in rows]


def test_noise_is_measured_on_the_tiny_supernet_only(mirror):
    noisy = "imagenet-c/gaussian_noise_1_top1"
    assert datasets.load("autoformer_small").tasks == ("imagenet1k/top1",)
    values = datasets.load("autoformer_tiny").labels(noisy)
    assert (values.min(), values.max()) == (64.736, 66.132)


def test_query_reads_the_form_of_the_file(mirror):
    benchmark = datasets.load("autoformer_tiny")
    space = get_space("autoformer_tiny")
    original = {
        "layer_num": 12,
        "mlp_ratio": [4] * 6 + [3.5] * 6,
        "num_heads": [3, 4] * 6,
        "embed_dim": [192] * 12,
    }
    text = space.text(space.parse(original))
    assert text.startswith("layer_num=12;embed_dim=192;mlp_ratio=4.0,")
    assert benchmark.query(benchmark.specs[3], "imagenet1k/top1") == pytest.approx(75.24, abs=1)
