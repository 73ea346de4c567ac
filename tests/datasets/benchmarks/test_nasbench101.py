"""The published subset against an independent join of hashes and cells."""

import csv
import gzip
import json

import numpy as np
import pytest

from archcast import datasets
from archcast.datasets.benchmarks import _nasbench101_table
from archcast.datasets.benchmarks.nasbench101 import specs_of
from archcast.encoders.spaces._nasbench101_cells import CellTable, module_hashes
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


def test_cells_are_those_of_the_source_where_it_has_them(nasbench101, keys):
    """One file of the source holds adjacencies: an independent check of the enumeration."""
    document = json.loads(datasets.fetch("nasbench101/1k.json").read_text())
    row, space = {key: at for at, key in enumerate(keys)}, NASBench101()
    names = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
    assert len(document["key"]) == 1000
    for key, matrix, codes in zip(
        document["key"], document["adjacency"], document["operations"], strict=True
    ):
        vertices = codes.index(-2) + 1  # smaller cells are padded with zeros and -3
        operators = ["input", *(names[code] for code in codes[1 : vertices - 1]), "output"]
        cell = space.parse(([line[:vertices] for line in matrix[:vertices]], operators))
        assert space.text(cell) == nasbench101.specs[row[key]]


def test_the_joined_table_names_isomorphic_cells(nasbench101, joined):
    """It has another operator order in 1,725 rows: the same by hash, not always by channels."""
    ours, theirs = [], []
    for spec, row in zip(nasbench101.specs, joined, strict=True):
        operators = row["ops"].replace("-bn-relu", "").split(",")[1:-1]
        text = f"{row['adjacency_rowmajor']}:{','.join(operators)}"
        if text != spec:
            ours.append(spec)
            theirs.append(text)
    assert len(ours) == 1725
    space = NASBench101()
    hashes = [module_hashes(_table(space.parse(text))) for text in ours]
    assert hashes == [module_hashes(_table(space.parse(text))) for text in theirs]
    pairs = zip(space.graphs(ours), space.graphs(theirs), strict=True)
    assert sum(a == b for a, b in pairs) == 1324


def _table(cell):
    return CellTable(np.array([cell.matrix], np.uint8), np.array([cell.operators], np.int8))


def test_training_time_and_curves(nasbench101, joined):
    np.testing.assert_allclose(
        nasbench101.labels("tpu_v2/training_time_s"),
        [float(row["train_time_108_s"]) for row in joined],
    )
    curves = nasbench101.curves("cifar10/val_accuracy")
    assert curves.shape == (30_001, 4)
    np.testing.assert_array_equal(curves[:, 3], nasbench101.labels("cifar10/val_accuracy"))
    np.testing.assert_array_equal(curves[:, 0], nasbench101.labels("cifar10/val_accuracy_4_epochs"))


def test_zen_scores(nasbench101, joined):
    scores = nasbench101.proxy_scores("cifar10/zen")
    expected = [float(row["zen_naslib"] or "nan") for row in joined]
    np.testing.assert_allclose(scores, expected)
    known = np.isfinite(scores)
    assert known.sum() == 10_250


def test_query_reads_any_form(nasbench101):
    spec = nasbench101.specs[5]
    value = nasbench101.labels("cifar10/val_accuracy")[5]
    assert nasbench101.query(f"nasbench101:{spec}", "cifar10/val_accuracy") == value
    long = spec.replace("conv3x3", "conv3x3-bn-relu").replace("conv1x1", "conv1x1-bn-relu")
    assert nasbench101.query(long, "cifar10/val_accuracy") == value


def test_query_reads_isomorphic_cells(nasbench101, joined):
    """The joined table writes 1,725 cells with their operators in another order."""
    operators = [row["ops"].replace("-bn-relu", "").split(",")[1:-1] for row in joined]
    texts = [
        f"{row['adjacency_rowmajor']}:{','.join(names)}"
        for row, names in zip(joined, operators, strict=True)
    ]
    np.testing.assert_array_equal(
        nasbench101.query(texts, "cifar10/val_accuracy"),
        nasbench101.labels("cifar10/val_accuracy"),
    )


def test_the_table_of_cells_is_made_again_when_damaged(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path))
    made = []

    def few():
        made.append(1)
        return {"vertices": np.array([2, 3])}

    monkeypatch.setattr(_nasbench101_table, "_hashed_cells", few)
    for _ in range(2):
        assert _nasbench101_table.cell_table()["vertices"].tolist() == [2, 3]
    assert len(made) == 1
    (path,) = tmp_path.glob("derived/nasbench101-cells-*.npz")
    path.write_bytes(path.read_bytes()[:50])
    assert _nasbench101_table.cell_table()["vertices"].tolist() == [2, 3]
    monkeypatch.setattr(_nasbench101_table, "fingerprint", lambda files: "other")
    _nasbench101_table.cell_table()
    assert len(made) == 3


def test_hash_of_no_cell(nasbench101):
    with pytest.raises(KeyError, match="0000"):
        specs_of(["0" * 32])


def test_specs_are_canonical(nasbench101):
    space = NASBench101()
    assert all(space.text(space.parse(spec)) == spec for spec in nasbench101.specs[::100])


def test_ec_nas_is_another_training_of_the_same_recipe(nasbench101):
    """What its data card says of its noise: the same cells, four epochs, other figures."""
    other, task = datasets.load("ec_nas"), "cifar10/val_accuracy_4_epochs"
    hashes = dict(zip(_hashes(nasbench101.specs), nasbench101.labels(task), strict=True))
    pairs = [
        (hashes[name], value)
        for name, value in zip(_hashes(other.specs), other.labels(task), strict=True)
        if name in hashes
    ]
    ours, theirs = np.array(pairs).T
    assert len(pairs) == 195
    assert not np.isclose(ours, theirs).any()
    assert np.corrcoef(ours, theirs)[0, 1] == pytest.approx(0.680, abs=1e-3)
    assert (theirs - ours).mean() == pytest.approx(10.01, abs=0.01)


def _hashes(specs):
    """Hashes of cells of at most five vertices; None for the others."""
    cells = [NASBench101().parse(spec) for spec in specs]
    return [module_hashes(_table(c))[0] if len(c.matrix) <= 5 else None for c in cells]
