"""HELP's latencies of FBNet networks, and what they are latencies of."""

import numpy as np
import pytest
from scipy.stats import pearsonr

from archcast import datasets
from archcast.datasets.benchmarks.fbnet import TABLED
from archcast.encoders.spaces.fbnet import LAYERS, OPERATORS, FBNet


@pytest.fixture(scope="module")
def bench(mirror):
    return datasets.load("fbnet")


@pytest.fixture(scope="module")
def choices(bench):
    """(5,000, 177) one column an operator of a layer, ``skip`` left out, and a constant."""
    columns = np.zeros((len(bench), LAYERS * 8 + 1))
    columns[:, -1] = 1
    for row, spec in enumerate(bench.specs):
        for layer, name in enumerate(spec.split(",")):
            if name != "skip":
                columns[row, layer * 8 + OPERATORS.index(name)] = 1
    return columns


def explained(choices, values):
    """Share of the variance that a sum over layers explains, and what each adds."""
    weights = np.linalg.lstsq(choices, values, rcond=None)[0]
    return 1 - np.var(values - choices @ weights) / np.var(values), weights


def test_rows_and_latencies(bench):
    assert len(bench) == len(set(bench.specs)) == bench.card.rows == 5000
    assert len(bench.tasks) == 27
    for task in bench.tasks:
        assert bench.labels(task).shape == (5000,)
        assert (bench.labels(task) > 0).all()
    assert bench.labels("raspi4/latency_ms").max() == pytest.approx(53.09, abs=5e-3)
    assert bench.query(bench.specs[0], "titan-rtx-batch64/latency_ms") > 7


def test_four_devices_are_sums_over_blocks(bench, choices):
    """This proves, too, that architectures and latencies are in one order."""
    for device in TABLED:
        share, _ = explained(choices, bench.labels(f"{device}/latency_ms"))
        assert share > 1 - 1e-12
        assert bench.recipe(f"{device}/latency_ms")["measured"] is False
    for task, least, most in (("samsung-s7", 0.2, 0.4), ("titanxp-batch64", 0.99, 0.9999)):
        share, _ = explained(choices, bench.labels(f"{task}/latency_ms"))
        assert least < share < most


def test_latencies_are_of_the_network_for_small_images(bench, choices):
    """What a 3x3 block of expansion 6 adds follows its MACs at 32 pixels, not those at 224."""
    space, added = FBNet(), explained(choices, bench.labels("fpga/latency_ms"))[1]
    # Layers that change the shape are left out: there, a skip is a convolution.
    layers = [0, *(layer for layer in range(1, LAYERS - 1) if layer % 4 != 1)]
    agreement = {}
    for pixels in (32, 224):
        macs = []
        for layer in layers:
            block = ["skip"] * LAYERS
            block[layer] = "k3_e6"
            macs.append(space.graph(block, image_size=pixels).macs)
        agreement[pixels] = pearsonr(macs, added[[8 * layer + 3 for layer in layers]])[0]
    assert agreement[32] > 0.98
    assert agreement[224] < 0.6
    # The same block costs more in the second stage than in the first on every device whose time
    # is not overhead alone: at 224 pixels, it would have half of the MACs there.
    for task in bench.tasks:
        if "batch1/" not in task:
            added = explained(choices, bench.labels(task))[1]
            assert added[8 * 2 + 3] > added[3], task


def test_graphs_are_distinct(bench):
    graphs = bench.graphs(range(0, 5000, 10))
    assert len({g.hash for g in graphs}) == 500
    assert {g.input_shape for g in graphs} == {(1, 3, 32, 32)}
