"""NAS-Bench-MR out of its own files: ranges, and the published sizes of its networks."""

import time

import numpy as np
import pytest

from archcast import datasets
from archcast.encoders.ops import OP_ID
from archcast.encoders.spaces.nasbench_mr import NASBenchMR


@pytest.fixture(scope="module")
def bench(mirror):
    return datasets.load("nasbench_mr")


@pytest.mark.parametrize(
    ("task", "low", "high"),
    [
        ("imagenet_50_1000/top1", 46.08, 86.16),
        ("imagenet_50_100/top1", 31.08, 57.24),
        ("imagenet_10_1000/top1", 74.4, 90.4),
        ("imagenet_10c/top1", 35.28, 67.96),
        ("cityscapes/miou", 32.91, 79.1),
        ("cityscapes_4x/miou", 33.03, 68.74),
        ("hmdb51/top1", 8.63, 28.292),
        ("hmdb51_p/top1", 10.765, 40.391),
    ],
)
def test_ranges(bench, task, low, high):
    labels = bench.labels(task)
    assert labels.shape == (2507,)
    assert (labels.min(), labels.max()) == (pytest.approx(low), pytest.approx(high))


def test_card_names_the_tasks(bench):
    assert set(bench.card.tasks) == set(bench.tasks)
    assert bench.card.rows == len(bench)


def test_no_architecture_comes_twice(bench):
    assert len(set(bench.specs)) == 2507


def test_accuracies_are_counts_of_the_images_the_card_speaks_of(bench):
    for task, images in (("imagenet_10c/top1", 2500), ("imagenet_10_1000/top1", 500)):
        counts = bench.labels(task) / 100 * images
        assert np.abs(counts - counts.round()).max() < 1e-6
        smaller = counts / 5
        assert np.abs(smaller - smaller.round()).max() > 0.1


def test_parameters_and_flops_are_the_published_ones(bench):
    rows = np.random.default_rng(0).choice(2507, 250, replace=False)
    graphs = bench.graphs(rows)
    assert [g.params for g in graphs] == bench.proxy_scores("imagenet_50_1000/params")[
        rows
    ].round().tolist()
    # The authors' counter adds two for each element a norm leaves, and the classifier's bias.
    flops = [g.macs + 2 * normed(g) + 50 for g in graphs]
    assert flops == bench.proxy_scores("imagenet_50_1000/flops")[rows].round().tolist()
    assert len({g.hash for g in graphs}) == 250


def normed(graph) -> int:
    convs = graph.op == OP_ID["conv"]
    elements = graph.channels_out[convs].astype(int) * graph.extent[convs].astype(int).prod(1)
    return int(elements.sum()) - 50  # no norm follows the classifier


def test_query_understands_every_form(bench):
    spec = bench.specs[7]
    (stem, *stages, last) = spec.split("-")
    code = [int(n) for n in stem.split("_")]
    for stage in stages:
        modules, _, *rest = map(int, stage.split("_"))
        code += [modules, *rest]
    code.append(int(last))
    task = "cityscapes/miou"
    assert NASBenchMR().text(NASBenchMR().parse(code)) == spec
    assert bench.query(f"nasbench_mr:{spec}", task) == bench.labels(task)[7]


def test_opens_in_a_second(mirror):
    start = time.process_time()
    datasets.load("nasbench_mr").labels("cityscapes/miou")
    assert time.process_time() - start < 1
