"""The benchmark's own figures, out of the real files."""

import time

import numpy as np
import pytest
from scipy.stats import spearmanr

from archcast import datasets
from archcast.datasets._unpickle import load_pickle
from archcast.datasets.benchmarks._nasbench201_rows import rows, table
from archcast.datasets.benchmarks.nasbench201 import isomorphism_classes


@pytest.fixture(scope="module")
def graphs(nasbench201):
    return nasbench201.graphs()


@pytest.mark.parametrize(
    ("task", "best", "row"),
    [
        ("cifar10/test_accuracy", 94.3733, 6111),
        ("cifar100/test_accuracy", 73.5133, 9930),
        ("imagenet16-120/test_accuracy", 47.3111, 857),
    ],
)
def test_best_test_accuracies(nasbench201, task, best, row):
    labels = nasbench201.labels(task)
    assert labels.shape == (15_625,)
    assert labels.argmax() == row
    assert labels[row] == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize(
    ("data", "best"), [("cifar10", 91.57), ("cifar100", 73.26), ("imagenet16-120", 47.33)]
)
def test_validation_accuracies_are_matched_to_their_cells(nasbench201, data, best):
    validation = nasbench201.labels(f"{data}/val_accuracy")
    assert np.isfinite(validation).all()
    assert validation.max() == pytest.approx(best, abs=5e-3)
    # A wrong order of edges or operators would all but destroy this.
    assert spearmanr(validation, nasbench201.labels(f"{data}/test_accuracy"))[0] > 0.97


@pytest.mark.parametrize(
    ("data", "best"), [("cifar10", 89.16), ("cifar100", 61.18), ("imagenet16-120", 38.27)]
)
def test_twelve_epochs(nasbench201, data, best):
    test = nasbench201.labels(f"{data}/test_accuracy_12_epochs")
    validation = nasbench201.labels(f"{data}/val_accuracy_12_epochs")
    assert test.max() == pytest.approx(best, abs=5e-3)
    assert spearmanr(test, validation)[0] > 0.95
    # Another order of rows would leave nothing of it.
    assert spearmanr(test, nasbench201.labels(f"{data}/test_accuracy"))[0] > 0.75
    assert nasbench201.recipe(f"{data}/val_accuracy_12_epochs")["epochs"] == 12
    assert nasbench201.recipe(f"{data}/val_accuracy")["epochs"] == 200


def test_two_sources_of_twelve_epochs_agree(nasbench201):
    records = load_pickle(datasets.fetch("nasbench201/12-epochs.pickle"))
    specs = [record["arch"] for record in records]
    values = [record["valacc"] for record in records]
    assert nasbench201.query(specs, "cifar10/val_accuracy_12_epochs").tolist() == values


def test_seeds(nasbench201):
    seeds = nasbench201.seeds("cifar10/test_accuracy")
    assert np.bincount(np.isfinite(seeds).sum(1)).tolist() == [0, 2225, 5439, 7961]
    assert np.nanmedian(nasbench201.label_std("cifar10/test_accuracy")) == pytest.approx(
        0.21, abs=0.005
    )
    # The two sources agree on cells whose three seeds both have.
    gap = np.abs(seeds.mean(1) - nasbench201.labels("cifar10/test_accuracy"))
    assert np.nanmax(gap) < 0.01


def test_card_tells_the_tasks(nasbench201):
    assert set(nasbench201.card.tasks) == set(nasbench201.tasks)
    assert nasbench201.card.rows == len(nasbench201)


def test_query_reads_any_form(nasbench201):
    spec = nasbench201.specs[6111]
    value = nasbench201.query(spec, "cifar10/test_accuracy")
    assert value == nasbench201.labels("cifar10/test_accuracy").max()
    prefixed = [f"nasbench201:{spec}", nasbench201.specs[0]]
    assert nasbench201.query(prefixed, "cifar10/test_accuracy")[0] == value


def test_published_classes(nasbench201):
    assert len(set(isomorphism_classes())) == 6466
    assert len(set(nasbench201.specs)) == 15_625


def test_graphs_are_aligned_with_labels(nasbench201, graphs):
    assert [graph.name for graph in graphs] == list(nasbench201.specs)
    macs = np.array([graph.macs for graph in graphs])
    assert spearmanr(macs, nasbench201.labels("cifar10/test_accuracy"))[0] > 0.6


def test_opening_is_quick(mirror, cache):
    table.cache_clear()
    rows.cache_clear()
    start = time.process_time()
    datasets.load("nasbench201").labels("cifar10/test_accuracy")
    assert time.process_time() - start < 1
