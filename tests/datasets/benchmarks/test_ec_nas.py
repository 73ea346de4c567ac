"""EC-NAS against its published figures, and the reader of its file format."""

import struct

import numpy as np
import pytest

from archcast import datasets
from archcast.datasets._tfrecord import read_message, read_records
from archcast.datasets.benchmarks.ec_nas import parameters
from archcast.encoders.errors import StorageError, UnreadableModelError
from archcast.encoders.spaces.nasbench101 import NASBench101

VAL = "cifar10/val_accuracy_4_epochs"


@pytest.fixture(scope="module")
def bench(mirror):
    return datasets.load("ec_nas")


def test_every_cell_of_up_to_five_vertices_comes_once(bench):
    assert len(bench) == len(set(bench.specs)) == bench.card.rows == 2532
    vertices = [round(len(spec.partition(":")[0]) ** 0.5) for spec in bench.specs]
    assert np.bincount(vertices).tolist() == [0, 0, 1, 6, 84, 2441]


def test_parameters_of_all_networks_are_the_stored_ones(bench):
    graphs = bench.graphs()
    assert [graph.params for graph in graphs] == parameters()
    assert len({graph.hash for graph in graphs}) == 2532


def test_labels(bench):
    accuracies = bench.labels(VAL)
    assert (accuracies.min(), accuracies.max()) == pytest.approx((5.669, 77.013), abs=1e-3)
    assert bench.labels("cifar10/test_accuracy_4_epochs").max() == pytest.approx(76.252, abs=1e-3)
    energy = bench.labels("quadro_rtx_6000/training_energy_kwh")
    assert energy.sum() == pytest.approx(50.5255, abs=1e-4)
    seconds = bench.labels("quadro_rtx_6000/training_time_s")
    assert seconds.sum() / 86400 == pytest.approx(3.1054, abs=1e-4)
    assert bench.labels("quadro_rtx_6000/training_co2eq_g").sum() == pytest.approx(6476.2, abs=0.1)
    assert np.corrcoef(energy, seconds)[0, 1] == pytest.approx(0.9856, abs=1e-4)
    assert all(np.isfinite(bench.labels(task)).all() for task in bench.tasks)
    assert set(bench.card.tasks) == set(bench.tasks)


def test_first_row_as_the_file_has_it(bench):
    spec = "0110000011000100000100000:conv3x3,maxpool3x3,conv3x3"
    assert bench.specs[0] == spec
    assert bench.query(spec, VAL) == pytest.approx(58.16306)
    assert bench.query(spec, "quadro_rtx_6000/training_energy_kwh") == 0.01758


def test_isomorphic_cells_share_a_row(bench):
    """One network written with its two parallel vertices in either order."""
    texts = ["0110000100010000:conv3x3,maxpool3x3", "0110000100010000:maxpool3x3,conv3x3"]
    assert [text in bench.specs for text in texts].count(True) == 1
    assert bench.index(texts[0]) == bench.index(texts[1])
    assert bench.query(texts, VAL)[0] == bench.query(texts[1], VAL)


def test_curve_ends_in_the_label(bench):
    curves = bench.curves(VAL)
    assert curves.shape == (2532, 3)
    np.testing.assert_array_equal(curves[:, -1], bench.labels(VAL))
    # Untrained networks score chance.
    assert np.median(curves[:, 0]) == pytest.approx(10, abs=0.3)


def test_recipe_says_how_short_it_is(bench):
    assert bench.recipe(VAL)["epochs"] == 4
    assert bench.space == NASBench101.name


def test_records_and_messages_by_hand(tmp_path):
    path = tmp_path / "two.tfrecord"
    frame = [struct.pack("<Q4x", len(body)) + body + bytes(4) for body in (b"", b"abc")]
    path.write_bytes(b"".join(frame))
    assert read_records(path) == [b"", b"abc"]
    message = b"\x08\x96\x01" + b"\x11" + struct.pack("<d", 0.5) + b"\x1a\x02hi"
    message += b"\x25" + struct.pack("<f", 0.25)
    assert list(read_message(message)) == [(1, 150), (2, 0.5), (3, b"hi"), (4, 0.25)]


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "short.tfrecord"
    for content in (b"\x05\0\0", struct.pack("<Q4x", 5) + b"ab", struct.pack("<Q4x", 2**63)):
        path.write_bytes(content)
        with pytest.raises(UnreadableModelError, match="ends inside"):
            read_records(path)
    for message in (b"\x08\x96", b"\x11\0", b"\x1a\x05hi", b"\x0b"):
        with pytest.raises(UnreadableModelError, match="protobuf"):
            list(read_message(message))
    with pytest.raises(StorageError, match="cannot read"):
        read_records(tmp_path / "none.tfrecord")
