"""The size space's figures, out of the real file."""

import time

import numpy as np
import pytest
from scipy.stats import spearmanr

from archcast import datasets
from archcast.datasets.benchmarks.nats_size import _accuracies
from archcast.encoders.spaces._base import Space
from archcast.encoders.spaces.nats_size import NATSSize

TASK = "cifar10/test_accuracy"


@pytest.fixture(scope="module")
def nats_size(mirror):
    return datasets.load("nats_size")


def test_the_whole_space_is_there(nats_size):
    labels = nats_size.labels(TASK)
    assert labels.shape == (32_768,)
    assert set(nats_size.specs) == set(NATSSize().enumerate())
    assert np.isfinite(labels).all()
    assert labels.max() == 93.65
    assert (
        nats_size.query("64:64:56:64:24", TASK) == labels[nats_size.specs.index("64:64:56:64:24")]
    )


def test_card_tells_the_task(nats_size):
    assert set(nats_size.card.tasks) == set(nats_size.tasks)
    assert nats_size.card.rows == len(nats_size)
    assert nats_size.recipe(TASK)["epochs"] == 90


def test_all_networks_differ_and_bigger_ones_score_better(nats_size):
    graphs = nats_size.graphs()
    assert len({graph.hash for graph in graphs}) == 32_768
    assert spearmanr([graph.params for graph in graphs], nats_size.labels(TASK))[0] > 0.85


def test_sizes_by_hand():
    w = 16
    stem, cell = 27 * w + 2 * w, 5 * (9 * w * w + 2 * w)
    reduction = 2 * (9 * w * w + 2 * w) + w * w
    graph = NATSSize().graph("16:16:16:16:16")
    assert graph.params == stem + 3 * cell + 2 * reduction + 2 * w + 10 * w + 10
    macs = 27 * w * 32**2 + 45 * w * w * (32**2 + 16**2 + 8**2) + 19 * w * w * (16**2 + 8**2)
    assert graph.macs == macs + 10 * w


def test_odd_pictures_are_built_one_by_one():
    specs = NATSSize().sample(3, seed=1)
    assert NATSSize().graphs(specs, image_size=32) == Space.graphs(NATSSize(), specs)
    assert all(g.input_shape == (1, 3, 36, 36) for g in NATSSize().graphs(specs, image_size=36))


def test_opening_is_quick(mirror):
    _accuracies.cache_clear()
    start = time.process_time()
    datasets.load("nats_size").labels(TASK)
    assert time.process_time() - start < 1
