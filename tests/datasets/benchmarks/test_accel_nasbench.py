"""Accel-NASBench's own figures, and its counts as proof that the networks are right."""

import time

import numpy as np
import pytest

from archcast import datasets
from archcast.datasets.benchmarks.accel_nasbench import _rows
from archcast.encoders.ops import OP_ID
from archcast.encoders.spaces import get_space


@pytest.fixture(scope="module")
def bench(mirror):
    return datasets.load("accel_nasbench")


@pytest.fixture(scope="module")
def graphs(bench):
    return bench.graphs()


def test_rows_and_accuracies(bench):
    top1 = bench.labels("imagenet1k/top1")
    assert len(bench) == len(top1) == bench.card.rows == 5138
    assert (top1.min(), top1.max()) == (42.85, 67.052)
    assert bench.query("e6k3l1-e4k5l2-e6k3l3-e6k5l3-e6k5l2-e1k3l2-e1k3l2", "imagenet1k/top1") > 59


def test_first_labels_come_at_once(bench):
    _rows.cache_clear()
    start = time.process_time()
    fresh = datasets.load("accel_nasbench")
    fresh.labels("imagenet1k/top1")
    assert time.process_time() - start < 1


def test_specs_are_what_the_space_writes(bench):
    space = get_space("mnasnet")
    for row in range(0, len(bench), 37):
        cell = space.parse(_rows()[row]["architecture"])
        assert space.text(cell) == bench.specs[row]


def test_networks_trained_twice(bench):
    top1 = bench.labels("imagenet1k/top1")
    first, again = np.delete(np.arange(14), 9), np.arange(443, 456)
    assert [bench.specs[i] for i in first] == [bench.specs[i] for i in again]
    assert len(set(bench.specs)) == 5138 - 13
    gap = np.abs(top1[first] - top1[again])
    assert np.median(gap) == pytest.approx(0.086, abs=5e-4)
    assert np.sqrt(np.mean(gap**2) / 2) == pytest.approx(0.27, abs=5e-3)


def test_rows_were_not_drawn_alike(bench):
    squeezes = np.array(["se" in spec for spec in bench.specs])
    deep = np.array(["l4" in spec for spec in bench.specs])
    assert np.flatnonzero(squeezes)[0] == 1795
    assert deep.tolist() == [row >= 5138 - 1059 for row in range(5138)]


@pytest.mark.parametrize(
    ("task", "missing", "lowest", "highest"),
    [
        ("a100/images_per_second", 0, 4279.7, 30275.4),
        ("rtx3090/images_per_second", 3, 2984.6, 21733.2),
        ("tpuv2/images_per_second", 37, 314.5, 1803.1),
        ("tpuv3/images_per_second", 44, 633.7, 1803.3),
        ("zcu102/images_per_second", 2, 76.2, 1449.5),
        ("vck190/images_per_second", 2, 543.5, 4489.0),
        ("zcu102/latency_ms", 2, 1.7, 23.6),
        ("vck190/latency_ms", 2, 1.6, 12.1),
    ],
)
def test_devices(bench, task, missing, lowest, highest):
    values = bench.labels(task)
    assert np.isnan(values).sum() == missing
    assert np.nanmin(values) == pytest.approx(lowest, abs=0.05)
    assert np.nanmax(values) == pytest.approx(highest, abs=0.05)
    known = np.isfinite(bench.label_std(task))
    assert known.sum() == (0 if task.startswith(("zcu", "vck")) else 5138 - missing)


def test_parameters_equal_the_tables(bench, graphs):
    assert [g.params for g in graphs] == bench.proxy_scores("imagenet1k/params").tolist()


def test_macs_equal_the_tables_but_for_norms_and_pools(bench, graphs):
    """The profiler counts them: 4 an element normalised, 1 an element pooled or left by that."""
    table = bench.proxy_scores("imagenet1k/macs")
    for row, graph in enumerate(graphs):
        numbers = graph.extent.prod(1).astype(np.int64) * graph.channels_out
        squeezed = np.zeros(len(graph), np.int64)
        source = dict(graph.edges[:, ::-1].tolist())
        for pool in np.flatnonzero(graph.op == OP_ID["global_avg_pool"]):
            squeezed[pool] = numbers[source[int(pool)]] + graph.channels_out[pool]
        # Convolutions in squeeze-and-excite blocks have one position, and no norm.
        normed = (graph.op == OP_ID["conv"]) & (graph.extent.prod(1) > 1)
        assert graph.macs + 4 * numbers[normed].sum() + squeezed.sum() == table[row]


def test_distinct_networks(graphs):
    assert len({g.hash for g in graphs}) == 5125
