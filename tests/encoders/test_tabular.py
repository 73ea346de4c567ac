"""Tabular features: what they count, and that nothing but the network enters them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcast.encoders import ComputeGraph, read
from archcast.encoders.ops import OP_ID, OPS
from archcast.encoders.tabular import feature_names, tabular

NAMES = feature_names()


def build(ops, edges, **columns) -> ComputeGraph:
    meta = {k: columns.pop(k) for k in ("params", "name") if k in columns}
    return ComputeGraph.from_columns({"op": [OP_ID[o] for o in ops], **columns}, edges, **meta)


def residual(blocks: int = 1, side: int = 32) -> ComputeGraph:
    """Stem, then blocks of conv3x3-relu-conv3x3 with a shortcut, global pool, linear."""
    ops, edges, last = ["input", "conv"], [(0, 1)], 1
    for _ in range(blocks):
        n = len(ops)
        ops += ["conv", "relu", "conv", "add"]
        edges += [(last, n), (n, n + 1), (n + 1, n + 2), (n + 2, n + 3), (last, n + 3)]
        last = n + 3
    n = len(ops)
    ops += ["global_avg_pool", "linear", "output"]
    edges += [(last, n), (n, n + 1), (n + 1, n + 2)]
    conv = [o == "conv" for o in ops]
    end = [i >= n for i in range(len(ops))]
    return build(
        ops,
        edges,
        kernel=[[1, 3, 3] if c else [1, 1, 1] for c in conv],
        channels_in=[3, 3, *[8] * (len(ops) - 2)],
        channels_out=[3, *[8] * (len(ops) - 3), 10, 10],
        extent=[[1, 1, 1] if e else [1, side, side] for e in end],
        op_weights=[576 if c else 0 for c in conv],
        op_macs=[576 * side * side if c else 0 for c in conv],
    )


def row(graph: ComputeGraph) -> dict[str, float]:
    return dict(zip(NAMES, tabular([graph]).values[0].tolist(), strict=True))


def test_names_are_unique_and_fit_the_values():
    table = tabular([residual()])
    assert len(set(table.names)) == len(table.names)
    assert table.values.shape == (1, len(table.names))
    assert table.values.dtype == np.float32


def test_counts_paths_and_spans_of_a_residual_network():
    x = row(residual(blocks=2))
    assert x["count_spatial"] == pytest.approx(np.log2(1 + 5))
    assert x["longest_spatial"] == pytest.approx(np.log2(1 + 5))
    assert x["shortest_spatial"] == pytest.approx(np.log2(1 + 1))
    # Back from the second sum, half the walks take the shortcut: 1 + 2/2 + 2/2 convolutions.
    assert x["walk_spatial"] == pytest.approx(np.log2(1 + 3))
    assert x["log_paths"] == pytest.approx(np.log2(1 + np.log(4)))
    assert x["add_operands"] == 2
    assert x["add_span"] == 3
    assert x["spatial_into_add"] == 1.5
    assert x["add_into_add"] == 0.5
    assert x["log_input_side"] == 5
    assert x["stage0_macs"] == 1
    assert x["field_per_side"] == pytest.approx((5 * 2 + 32) / 32)


def test_kinds_go_by_geometry_not_by_the_operator_name():
    as_conv = build(
        ["input", "conv", "output"], [(0, 1), (1, 2)], extent=[[1, 8, 8]] * 3, channels_in=[3] * 3
    )
    as_linear = build(
        ["input", "linear", "output"], [(0, 1), (1, 2)], extent=[[1, 8, 8]] * 3, channels_in=[3] * 3
    )
    assert row(as_conv) == row(as_linear)


def test_only_the_network_enters_not_the_facts_of_its_file():
    graph = residual()
    other = replace(graph, params=123, name="other", source="onnx")
    assert (tabular([graph]).values == tabular([other]).values).all()


def test_a_batch_gives_the_rows_of_its_graphs():
    graphs = [residual(n, side) for n in range(1, 40) for side in (8, 32)] * 2
    table = tabular(graphs).values
    for i in (0, 7, 77, 78, 155):
        np.testing.assert_allclose(table[i], tabular([graphs[i]]).values[0], rtol=1e-6)


@st.composite
def networks(draw):
    n = draw(st.integers(1, 14))
    ops = draw(st.lists(st.sampled_from(OPS), min_size=n, max_size=n))
    pairs = [(i, j) for j in range(n) for i in range(j)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=24)) if pairs else []
    numbers = st.lists(st.integers(0, 5), min_size=n, max_size=n)
    triples = st.lists(st.tuples(*[st.integers(0, 9)] * 3), min_size=n, max_size=n)
    columns = {name: draw(numbers) for name in ("channels_in", "channels_out", "groups", "heads")}
    columns |= {name: draw(triples) for name in ("kernel", "stride", "extent", "dilation")}
    return ops, edges, columns, draw(st.permutations(range(n)))


@given(networks())
@settings(max_examples=150, deadline=None)
def test_any_graph_gives_finite_numbers_whatever_the_order_of_its_nodes(network):
    ops, edges, columns, shuffle = network
    graph = build(ops, edges, **columns)
    values = tabular([graph]).values
    assert np.isfinite(values).all()
    # Any order that keeps edges forward: by depth, ties as shuffled.
    depth = [0] * len(ops)
    for s, t in sorted(edges, key=lambda e: e[1]):
        depth[t] = max(depth[t], depth[s] + 1)
    order = sorted(range(len(ops)), key=lambda i: (depth[i], shuffle[i]))
    place = {old: new for new, old in enumerate(order)}
    again = build(
        [ops[i] for i in order],
        [(place[s], place[t]) for s, t in edges],
        **{k: [v[i] for i in order] for k, v in columns.items()},
    )
    np.testing.assert_allclose(tabular([again]).values, values, rtol=1e-5, atol=1e-6)


def test_odd_graphs():
    several = build(["input", "input", "add", "output", "output"], [(0, 2), (1, 2), (2, 3), (2, 4)])
    chain = build(["input", *["relu"] * 9_998, "output"], [(i, i + 1) for i in range(9_999)])
    values = tabular([several, chain]).values
    assert np.isfinite(values).all()
    assert values[0][NAMES.index("inputs")] == 2
    assert values[1][NAMES.index("log_depth")] == pytest.approx(np.log2(1 + 9_999), rel=1e-3)
    assert tabular([]).values.shape == (0, len(NAMES))


def test_dead_ends_and_disconnected_outputs_have_no_paths():
    cut = build(["input", "conv", "output"], [])
    assert row(cut)["longest_spatial"] == 0
    assert row(cut)["shortest_spatial"] == 0


def test_real_networks_differ_as_known(light_models):
    table = {p.stem: row(read(p)) for p in light_models}
    assert table["light_densenet121"]["concat_operands"] > 1
    assert table["light_resnet50"]["count_add"] == pytest.approx(np.log2(1 + 16))
    assert table["light_resnet50"]["stem_kernel"] == 7
    assert table["light_vgg19"]["log_paths"] == 0
    assert table["light_vgg19"]["weights_fc"] > 0.8
    assert table["light_squeezenet"]["total_fold"] == pytest.approx(4, abs=0.3)
