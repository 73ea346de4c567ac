"""Texts lose nothing, are the same for equal networks, and keep to a budget."""

from __future__ import annotations

import re

import numpy as np
import pytest

from archcast.encoders import ComputeGraph
from archcast.encoders.errors import InvalidSettingError, UnreadableModelError
from archcast.encoders.ops import OP_ID
from archcast.encoders.spaces import get_space
from archcast.encoders.text import count_tokens, parse, serialise

SPACES = (
    "nasbench201",
    "nasbench101",
    "nats_size",
    "autoformer_tiny",
    "darts",
    "ofa_mobilenetv3",
    "fbnet",
)


def sampled(name: str, count: int = 6) -> list[ComputeGraph]:
    space = get_space(name)
    return space.graphs(space.sample(count, seed=5))


def shuffled(graph: ComputeGraph, seed: int) -> ComputeGraph:
    """The same network, its operators given in another order."""
    rng = np.random.default_rng(seed)
    waiting = [int(n) for n in np.bincount(graph.edges[:, 1], minlength=len(graph))]
    ready, order = [i for i, n in enumerate(waiting) if n == 0], []
    while ready:
        order.append(ready.pop(int(rng.integers(len(ready)))))
        for target in graph.edges[graph.edges[:, 0] == order[-1], 1].tolist():
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    rank = np.argsort(order)
    columns = {name: values[order] for name, values in graph.columns.items()}
    labels = {int(rank[i]): name for i, name in graph.labels.items()}
    return ComputeGraph.from_columns(columns, rank[graph.edges], labels=labels)


def chain(ops: list[str], labels: dict[int, str] | None = None) -> ComputeGraph:
    at = np.arange(len(ops) - 1)
    columns = {
        "op": [OP_ID[op] for op in ops],
        "channels_in": [8] * len(ops),
        "channels_out": [8] * len(ops),
        "extent": [[1, 8, 8]] * len(ops),
    }
    return ComputeGraph.from_columns(columns, np.stack([at, at + 1], 1), labels=labels or {})


@pytest.mark.parametrize("name", SPACES)
def test_a_whole_text_holds_the_whole_graph(name):
    for graph in sampled(name):
        assert parse(serialise(graph)).hash == graph.hash


@pytest.mark.parametrize("name", SPACES)
def test_different_networks_have_different_texts(name):
    distinct = {graph.hash: graph for graph in sampled(name, 30)}
    for budget in (None, 4096):
        assert len({serialise(g, budget) for g in distinct.values()}) == len(distinct) > 5


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("budget", [None, 4096, 64])
def test_the_order_of_the_source_does_not_matter(name, budget):
    for seed, graph in enumerate(sampled(name, 4)):
        again = shuffled(graph, seed)
        assert again.hash == graph.hash
        assert serialise(again, budget) == serialise(graph, budget)


def test_two_equal_branches_are_written_in_one_way():
    ops = ["input", "conv", "conv", "relu", "tanh", "relu", "tanh", "concat"]
    plain = [(0, 1), (0, 2), (1, 3), (1, 4), (2, 5), (2, 6), (3, 7), (4, 7), (5, 7), (6, 7)]
    crossed = [(0, 1), (0, 2), (2, 3), (2, 4), (1, 5), (1, 6), (3, 7), (4, 7), (5, 7), (6, 7)]
    columns = {"op": [OP_ID[op] for op in ops]}
    graphs = [ComputeGraph.from_columns(columns, edges) for edges in (plain, crossed)]
    assert len({serialise(g) for g in graphs}) == len({serialise(g, 500) for g in graphs}) == 1


def test_scalar_attributes_and_parameter_shapes_are_there():
    columns = {
        "op": [OP_ID["input"], OP_ID["conv"], OP_ID["attention"], OP_ID["output"]],
        "kernel": [[1, 1, 1], [1, 3, 5], [1, 1, 1], [1, 1, 1]],
        "stride": [[1, 1, 1], [1, 2, 2], [1, 1, 1], [1, 1, 1]],
        "groups": [1, 4, 1, 1],
        "heads": [1, 1, 8, 1],
        "channels_in": [16, 16, 32, 32],
        "channels_out": [16, 32, 32, 32],
        "extent": [[1, 8, 8], [1, 4, 4], [1, 4, 4], [1, 4, 4]],
        "op_weights": [0, 1920, 0, 0],
        "op_macs": [0, 30720, 16384, 0],
    }
    text = serialise(ComputeGraph.from_columns(columns, [(0, 1), (1, 2), (2, 3)]))
    assert "conv(prev, Param[32,4,3,5])(stride=2, groups=4)" in text
    assert "attention(prev)(heads=8)" in text
    short = serialise(ComputeGraph.from_columns(columns, [(0, 1), (1, 2), (2, 3)]), 100)
    assert "conv 3x5 x2 s2 g4" in short
    assert "attention h8" in short


def test_no_operator_that_reads_something_lost_what_it_reads():
    for graph in sampled("nasbench201"):
        text = serialise(graph)
        assert not re.search(r"(?<!input)\(\)", text)
        assert set(re.findall(r"[( ](Value\d+)[,)]", text)) <= set(re.findall(r"(Value\d+):", text))


def test_a_repeated_block_is_written_once_at_all_widths():
    cell = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    text = serialise(get_space("nasbench201").graphs([cell])[0], 256)
    assert text.count("5 A") == 3
    assert text.count("A {") == text.count("B {") == 1
    assert text.count("avg pool 3") == 1
    assert count_tokens(text) < 130


@pytest.mark.parametrize("budget", [32, 50, 100, 200])
def test_a_budget_is_kept_and_nothing_is_cut(budget):
    for name in SPACES:
        for graph in sampled(name, 3):
            text = serialise(graph, budget)
            assert count_tokens(text) <= budget
            assert text.count("{") == text.count("}")
            assert not text.endswith((",", " ", "=", "\n"))


def test_the_language_models_own_count_is_heeded():
    graph = sampled("fbnet", 1)[0]
    assert len(serialise(graph, 100, count=len)) <= 100 < len(serialise(graph, 100))


def test_what_enters_a_block_is_not_left_open():
    space = get_space("nasbench201")
    distinct = {graph.hash: graph for graph in space.graphs(space.sample(400, seed=9))}
    graphs = list(distinct.values())
    assert len({serialise(graph, 1000) for graph in graphs}) == len(graphs)

    def network(pooled_twice: bool) -> ComputeGraph:
        ops = ["input", "conv", "avg_pool", "relu", "add", "output"]
        enters = 2 if pooled_twice else 1
        edges = [(0, 1), (1, 2), (2, 3), (3, 4), (enters, 4), (4, 5)]
        return ComputeGraph.from_columns({"op": [OP_ID[op] for op in ops]}, edges)

    assert serialise(network(True), 500) != serialise(network(False), 500)


def test_a_budget_for_nothing_is_refused():
    with pytest.raises(InvalidSettingError, match="31 tokens"):
        serialise(chain(["input", "relu"]), 31)


def test_odd_networks():
    warp = 'Hyper(bolic), --> "Warp"'
    graphs = [
        ComputeGraph.from_columns({"op": [OP_ID["conv"]]}, []),
        ComputeGraph.from_columns({"op": [OP_ID["input"], OP_ID["relu"], OP_ID["linear"]]}, []),
        chain(["input", "other", "output"], {1: warp}),
        chain(["input", "other", "output"], {1: "Warp"}),
        ComputeGraph.from_columns(
            {"op": [OP_ID["input"], OP_ID["add"], OP_ID["output"]]}, [(0, 1), (0, 1), (1, 2)]
        ),
    ]
    for graph in graphs:
        assert parse(serialise(graph)).hash == graph.hash
        assert serialise(graph, 64)
    assert len({serialise(graph, 500) for graph in graphs}) == len(graphs)


def test_ten_thousand_operators():
    long = chain(["input", *(["conv", "relu"] * 5000)])
    assert parse(serialise(long)).hash == long.hash
    assert count_tokens(serialise(long, 64)) <= 64
    rng = np.random.default_rng(0)
    at = np.arange(9999)
    edges = np.stack([(at * rng.random(9999)).astype(int), at + 1], 1)
    tangled = ComputeGraph.from_columns({"op": rng.integers(1, 50, 10_000)}, edges)
    assert count_tokens(serialise(tangled, 64)) <= 64


@pytest.mark.parametrize("text", ["", "relu(Value7)", "network?", "conv(prev, Param[1,x])"])
def test_what_is_no_text_of_ours_is_refused(text):
    with pytest.raises(UnreadableModelError):
        parse(text)


def test_a_summary_is_refused():
    graph = sampled("nasbench201", 1)[0]
    with pytest.raises(UnreadableModelError):
        parse(serialise(graph, 50))
