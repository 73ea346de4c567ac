"""Static proxies against the ranks that are published for them."""

import numpy as np
import pytest

from archcast import datasets
from archcast.encoders.spaces import get_space
from archcast.zero_cost import score

ALL_CONV = "+".join(
    "|" + "".join(f"nor_conv_3x3~{source}|" for source in range(node)) for node in (1, 2, 3)
)


def test_scores_of_a_known_network():
    graph = get_space("nasbench201").graph(ALL_CONV)
    scores = score([graph], ["params", "flops", "trainable_layers"])
    # Stem, two reduction blocks of three, fifteen cells of six, classifier.
    assert scores["trainable_layers"].tolist() == [1 + 2 * 3 + 15 * 6 + 1]
    assert scores["flops"].tolist() == [2 * graph.macs]
    assert 0 < scores["params"][0] < graph.params


def test_tables_of_relative_positions_are_not_counted_as_spread_out():
    space = get_space("autoformer_tiny")
    graph = space.graphs(space.sample(1, seed=0))[0]
    found = score([graph], ["params"])["params"][0]
    assert 0.9 * graph.params < found < graph.params


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "published"),
    [("cifar10", 0.626), ("cifar100", 0.646), ("imagenet16-120", 0.623)],
)
def test_ranks_of_the_number_of_layers_are_the_published_ones(mirror, data, published):
    from scipy.stats import kendalltau

    benchmark = datasets.load("nasbench201")
    rows = np.random.default_rng(0).permutation(len(benchmark))[:3000]
    layers = score(benchmark.graphs(rows), ["trainable_layers"])["trainable_layers"]
    accuracy = benchmark.labels(f"{data}/test_accuracy")[rows]
    # Published for all rows and all layers; ours are a sample, and dead layers do not count.
    assert kendalltau(layers, accuracy).statistic == pytest.approx(published, abs=0.05)
