"""The published subset against an independent join of hashes and cells."""

import csv
import gzip
import json

import numpy as np
import pytest

from archcast import datasets
from archcast.datasets.benchmarks.nasbench101 import specs_of
from archcast.encoders.spaces.nasbench101 import NASBench101

# One worker for the whole file: enumerating the space, which its fixtures need, takes a minute.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("nasbench101")]


@pytest.fixture(scope="module")
def keys(mirror):
    documents = [json.loads(datasets.fetch(f"nasbench101/{n}k.json").read_text()) for n in (20, 10)]
    return [key for document in documents for key in document["key"]]


@pytest.fixture(scope="module")
def joined(mirror, keys):
    """Rows of a table joined elsewhere, in the benchmark's order."""
    path = mirror / "derived" / "nb101_30001.csv.gz"
    if not path.is_file():
        pytest.skip("needs derived/nb101_30001.csv.gz in the mirror")
    with gzip.open(path, "rt", newline="") as stream:
        rows = {row["module_hash"]: row for row in csv.DictReader(stream)}
    return [rows[key] for key in keys]


def test_every_hash_has_its_cell(nasbench101, joined):
    assert len(nasbench101) == len(set(nasbench101.specs)) == 30_001
    bits = [spec.partition(":")[0] for spec in nasbench101.specs]
    assert bits == [row["adjacency_rowmajor"] for row in joined]


def test_parameters_of_all_networks_are_the_published_ones(nasbench101, joined):
    graphs = nasbench101.graphs()
    assert [g.params for g in graphs] == [int(row["params"]) for row in joined]


def test_labels(nasbench101, joined):
    for task, column in {
        "cifar10/val_accuracy": "val108",
        "cifar10/val_accuracy_36_epochs": "val36",
        "cifar10/val_accuracy_12_epochs": "val12",
        "cifar10/val_accuracy_4_epochs": "val4",
    }.items():
        np.testing.assert_allclose(
            nasbench101.labels(task), [100 * float(row[column]) for row in joined]
        )
    assert nasbench101.labels("cifar10/val_accuracy").max() == pytest.approx(94.91, abs=0.005)
    assert nasbench101.recipe("cifar10/val_accuracy_4_epochs")["epochs"] == 4
    assert set(nasbench101.card.tasks) == set(nasbench101.tasks)
    assert nasbench101.card.rows == 30_001


def test_query_reads_any_form(nasbench101):
    spec = nasbench101.specs[5]
    value = nasbench101.labels("cifar10/val_accuracy")[5]
    assert nasbench101.query(f"nasbench101:{spec}", "cifar10/val_accuracy") == value
    long = spec.replace("conv3x3", "conv3x3-bn-relu").replace("conv1x1", "conv1x1-bn-relu")
    assert nasbench101.query(long, "cifar10/val_accuracy") == value


def test_hash_of_no_cell(nasbench101):
    with pytest.raises(KeyError, match="0000"):
        specs_of(["0" * 32])


def test_specs_are_canonical(nasbench101):
    space = NASBench101()
    assert all(space.text(space.parse(spec)) == spec for spec in nasbench101.specs[::100])
