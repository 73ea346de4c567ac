"""ScAn-Bench: size and recipe varied together."""

import numpy as np
import pytest

from archcast import datasets
from archcast.datasets.benchmarks.scan_bench import progress


@pytest.fixture(scope="module")
def scan(mirror):
    return datasets.load("scan_bench")


def test_check_figures(scan):
    assert (len(scan), len(set(scan.specs))) == (1194, 719)
    curves = scan.curves("slimpajama/val_loss")
    assert (np.nanmin(curves).round(2), np.nanmax(curves).round(2)) == (1.28, 6.99)
    assert curves.shape == (1194, 10)
    assert set(scan.card.tasks) == set(scan.tasks)
    assert np.isfinite(scan.labels("openbookqa/accuracy")).sum() == 864


def test_labels_are_the_ends_of_the_curves(scan):
    for task in ("slimpajama/test_loss", "slimpajama/val_loss"):
        curves = scan.curves(task)
        count = np.isfinite(curves).sum(1)
        np.testing.assert_array_equal(scan.labels(task), curves[np.arange(1194), count - 1])
    assert np.sort(np.nanmax(progress(), axis=1)).round(2)[:2].tolist() == [0.8, 1.0]


def test_parameters_of_all_architectures_are_the_published_ones(scan):
    published = scan.proxy_scores("slimpajama/params")
    rows = {spec: row for row, spec in enumerate(scan.specs)}
    assert len(rows) == 719
    shallow = [row for spec, row in rows.items() if int(spec.split(";")[1][9:]) <= 8]
    chosen = shallow[::4] + list(rows.values())[::40]
    assert [g.params for g in scan.graphs(chosen)] == published[chosen].astype(int).tolist()


def test_closed_form_of_all_parameters(scan):
    published = scan.proxy_scores("slimpajama/params")
    for spec, count in zip(scan.specs, published, strict=True):
        width, depth, _ = (int(part.partition("=")[2]) for part in spec.split(";"))
        hidden = -(-(width * 8 // 3) // 256) * 256
        assert width * (50277 + 1 + depth * (4 * width + 3 * hidden + 2)) == count


def test_compute_of_the_table_is_that_of_the_networks(scan):
    from archcast.datasets.benchmarks import scan_bench

    flops = scan_bench._final("total_flops")
    tokens = scan.recipe("slimpajama/val_loss")["tokens"]
    rows = list(range(0, 1194, 60))
    counted = [
        3 * 2 * g.macs / 2048 * tokens[row] for row, g in zip(rows, scan.graphs(rows), strict=True)
    ]
    np.testing.assert_allclose(counted, flops[rows], rtol=1e-9)


def test_recipes_differ_by_row(scan):
    recipe = scan.recipe("slimpajama/test_loss")
    assert sorted(set(recipe["batch_size"])) == [32, 64, 128]
    assert (recipe["tokens"].min(), recipe["tokens"].max()) == (201_363_184, 40_000_000_000)
    assert recipe["lr"].shape == (1194,)
    steps = recipe["tokens"][0] / (recipe["batch_size"][0] * recipe["sequence_length"])
    assert int(steps) == 14725  # as the first configuration has it
