"""Latencies of subnetworks nobody can name."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from archcast import datasets
from archcast.encoders.errors import InvalidSpecError


@pytest.fixture(scope="module")
def bench(mirror):
    return datasets.load("ofa_latency")


def test_rows_and_latencies(bench):
    assert len(bench) == bench.card.rows == 5000
    assert len(bench.tasks) == 12
    values = np.array([bench.labels(task) for task in bench.tasks])
    assert values.shape == (12, 5000)
    assert (values > 0).all()
    # The files are in one order: at large batches, devices agree.
    large = [bench.labels(task) for task in bench.tasks if "batch64" in task]
    assert spearmanr(np.array(large).T)[0].min() > 0.95


def test_no_row_has_a_graph(bench):
    assert len(bench.with_graph) == 0
    assert bench.graphs() == []
    with pytest.raises(InvalidSpecError, match="row 3 is unknown"):
        bench.graphs([3])
