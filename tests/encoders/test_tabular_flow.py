"""Features of signal flow, on graphs small enough to follow by hand."""

from __future__ import annotations

import numpy as np
import pytest

from archcast.encoders.graph import ComputeGraph
from archcast.encoders.ops import OP_ID
from archcast.encoders.spaces import get_space
from archcast.encoders.tabular import feature_names, tabular


def network(ops, edges) -> ComputeGraph:
    """Operators of 8 channels on 16 x 16 positions, windows 3 x 3 where they have one."""
    windows = {"conv", "avg_pool", "max_pool"}
    n = len(ops)
    columns = {
        "op": [OP_ID[op] for op in ops],
        "kernel": [(1, 3, 3) if op in windows else (1, 1, 1) for op in ops],
        "channels_in": [8] * n,
        "channels_out": [8] * n,
        "extent": [(1, 16, 16)] * n,
        "op_weights": [576 if op == "conv" else 0 for op in ops],
        "op_macs": [576 * 256 if op == "conv" else 0 for op in ops],
    }
    return ComputeGraph.from_columns(columns, edges)


def feature(graph: ComputeGraph, name: str) -> float:
    return float(tabular([graph]).values[0, feature_names().index(name)])


def count(graph: ComputeGraph, name: str) -> float:
    return 2.0 ** feature(graph, name) - 1


def test_all_of_a_chain_counts():
    graph = network(["input", "conv", "relu", "conv", "output"], [(0, 1), (1, 2), (2, 3), (3, 4)])
    assert count(graph, "flow_window") == pytest.approx(2, abs=1e-5)
    assert count(graph, "flow_activation") == pytest.approx(1, abs=1e-5)
    assert feature(graph, "flow_window_share") == pytest.approx(1)
    assert count(graph, "flow_effective_layers") == pytest.approx(2, abs=1e-5)


def test_half_of_a_block_goes_around_it():
    graph = network(["input", "conv", "add", "output"], [(0, 1), (0, 2), (1, 2), (2, 3)])
    assert count(graph, "flow_window") == pytest.approx(0.5, abs=1e-5)
    assert feature(graph, "flow_macs_share") == pytest.approx(0.5)


def test_sums_grow_and_are_renewed_by_layers_with_weights():
    """The second shortcut carries two of three parts, the convolutions beside it one."""
    graph = network(
        ["input", "conv", "add", "conv", "conv", "add", "output"],
        [(0, 1), (0, 2), (1, 2), (2, 3), (3, 4), (2, 5), (4, 5), (5, 6)],
    )
    last = 1 / 3  # the first sum has variance 2, the branch 1
    assert count(graph, "flow_window") == pytest.approx(2 * last + 0.5, abs=1e-5)


def test_pooling_keeps_half_of_the_signal():
    graph = network(
        ["input", "conv", "avg_pool", "add", "output"],
        [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)],
    )
    assert count(graph, "flow_pool") == pytest.approx(1 / 3, abs=1e-5)
    assert count(graph, "flow_window") == pytest.approx(2 / 3, abs=1e-5)


def test_alone_or_among_others_the_numbers_are_the_same():
    flow = [i for i, name in enumerate(feature_names()) if name.startswith("flow_")]
    graphs = []
    for name in ("nasbench201", "nats_size", "hwgpt_s"):
        space = get_space(name)
        graphs += [space.graph(spec) for spec in space.sample(4, seed=0)]
    together = tabular(graphs).values[:, flow]
    alone = np.concatenate([tabular([graph]).values[:, flow] for graph in graphs])
    np.testing.assert_allclose(together, alone, rtol=1e-6)
    assert len(np.unique(together, axis=0)) > 8
