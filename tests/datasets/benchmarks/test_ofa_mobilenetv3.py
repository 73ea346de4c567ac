"""The evaluations of Once-for-All subnetworks: merging, noise, and exact counts."""

from ast import literal_eval

import numpy as np
import pytest

from archcast import datasets
from archcast.datasets.benchmarks.ofa_mobilenetv3 import evaluations
from archcast.encoders.spaces import get_space

TASK = "imagenet1k/top1"


@pytest.fixture(scope="module")
def bench(mirror):
    return datasets.load("ofa_mobilenetv3")


@pytest.fixture(scope="module")
def graphs(bench):
    return bench.graphs()


def test_evaluations_as_the_files_have_them(bench):
    found = evaluations()
    top1 = [value for _, value in found]
    assert len(found) == 2373
    assert len({written for written, _ in found}) == 2223
    assert (min(top1), max(top1)) == (70.998, 77.466)


def test_evaluations_of_one_network_are_one_row(bench):
    assert len(bench) == len(set(bench.specs)) == bench.card.rows == 2162
    repeats = bench.seeds(TASK)
    assert np.bincount(np.isfinite(repeats).sum(1)).tolist() == [0, 2009, 100, 48, 5]
    assert np.isfinite(repeats).sum() == 2373
    values = bench.labels(TASK)
    assert np.allclose(values, np.nanmean(repeats, 1))
    assert (values.min(), values.max()) == (70.998, 77.466)
    noise = bench.label_std(TASK)
    assert np.nanmedian(noise) == pytest.approx(0.011, abs=5e-4)
    assert np.nanmax(noise) == pytest.approx(0.068, abs=5e-4)


def test_a_row_is_found_by_the_form_of_the_files(bench):
    written, value = evaluations()[0]
    space = get_space("ofa_mobilenetv3")
    row = bench.index(space.text(space.parse(literal_eval(written))))
    assert value in bench.seeds(TASK)[row]


def test_parameters_and_macs_equal_the_tables(bench, graphs):
    assert [g.params for g in graphs] == bench.proxy_scores("imagenet1k/params").tolist()
    assert [g.macs for g in graphs] == bench.proxy_scores("imagenet1k/macs").tolist()


def test_every_row_is_a_network_of_its_own(graphs):
    assert len({g.hash for g in graphs}) == 2162


def test_weights_are_inherited(bench):
    assert bench.recipe(TASK)["inherited"] is True
