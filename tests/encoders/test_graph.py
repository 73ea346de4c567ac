"""ComputeGraph: order, hash, files."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcast.encoders import ComputeGraph, load_graphs, save_graphs
from archcast.encoders.errors import ShapeError, StorageError, UnreadableModelError
from archcast.encoders.ops import GROUP_OF, GROUPS, OP_ID, OPS


def small(**changes) -> ComputeGraph:
    columns = {
        "op": [OP_ID[o] for o in ("input", "conv", "relu", "linear", "output")],
        "channels_out": [3, 8, 8, 10, 10],
        "op_macs": [0, 100, 0, 80, 0],
    }
    columns.update(changes)
    return ComputeGraph.from_columns(columns, [(0, 1), (1, 2), (2, 3), (3, 4)], params=7, name="x")


@st.composite
def dags(draw):
    """Node attributes and edges of a random directed acyclic graph."""
    n = draw(st.integers(2, 12))
    ops = draw(st.lists(st.sampled_from([2, 4, 16, 38]), min_size=n, max_size=n))
    channels = draw(st.lists(st.integers(1, 3), min_size=n, max_size=n))
    pairs = [(i, j) for j in range(n) for i in range(j)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=20))
    return ops, channels, edges


@given(dags(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_the_order_of_nodes_does_not_matter(dag, random):
    ops, channels, edges = dag
    graph = ComputeGraph.from_columns({"op": ops, "channels_out": channels}, edges)
    # A random topological order: repeatedly take any node whose predecessors are all taken.
    order, left = [], set(range(len(ops)))
    while left:
        ready = [v for v in sorted(left) if all(a in order for a, b in edges if b == v)]
        order.append(random.choice(ready))
        left.discard(order[-1])
    place = {v: k for k, v in enumerate(order)}
    columns = {"op": [ops[v] for v in order], "channels_out": [channels[v] for v in order]}
    shuffled = ComputeGraph.from_columns(columns, [(place[a], place[b]) for a, b in edges])
    assert shuffled.hash == graph.hash
    assert shuffled.ops == graph.ops
    assert (np.diff(graph.depth) >= 0).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"channels_out": [3, 9, 8, 10, 10]},
        {"op_macs": [0, 101, 0, 80, 0]},
        {"kernel": [(1, 1, 1), (1, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1)]},
        {"groups": [1, 2, 1, 1, 1]},
    ],
)
def test_every_attribute_is_in_the_hash(changes):
    assert small(**changes) != small()


def test_what_is_no_architecture_is_not_in_the_hash():
    columns = {"op": [0, 1]}
    a = ComputeGraph.from_columns(columns, [(0, 1)], params=1, name="a", source="onnx")
    b = ComputeGraph.from_columns(columns, [(0, 1)], params=2, name="b", source="torch")
    assert a == b
    assert len({a, b}) == 1


def test_the_name_of_an_unknown_operator_is_in_the_hash():
    columns = {"op": [0, OP_ID["other"], 1]}
    edges = [(0, 1), (1, 2)]
    a = ComputeGraph.from_columns(columns, edges, labels={1: "Mystery"})
    b = ComputeGraph.from_columns(columns, edges, labels={1: "Riddle"})
    assert a != b
    assert a.ops == ["input", "Mystery", "output"]


def test_files_keep_everything(tmp_path):
    graphs = [small(), small(groups=[1, 2, 1, 1, 1])]
    save_graphs(tmp_path / "many.npz", graphs)
    loaded = load_graphs(tmp_path / "many.npz")
    assert loaded == graphs
    assert [g.params for g in loaded] == [7, 7]
    graphs[0].save(tmp_path / "one.npz")
    again = ComputeGraph.load(tmp_path / "one.npz")
    again.__dict__.pop("hash", None)
    assert again.hash == graphs[0].hash
    assert repr(again) == repr(graphs[0])
    with pytest.raises(UnreadableModelError, match="2 graphs"):
        ComputeGraph.load(tmp_path / "many.npz")


def test_no_graphs_is_a_file_too(tmp_path):
    save_graphs(tmp_path / "none.npz", [])
    assert load_graphs(tmp_path / "none.npz") == []


def test_damaged_and_missing_files_are_named(tmp_path):
    path = tmp_path / "g.npz"
    with pytest.raises(StorageError, match="no such file"):
        load_graphs(path)
    path.write_bytes(b"text")
    with pytest.raises(UnreadableModelError, match="not a file of graphs"):
        load_graphs(path)
    small().save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(UnreadableModelError):
        load_graphs(path)


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "g.npz"
    small().save(path)
    before = path.read_bytes()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(StorageError, match="No space left"):
        small(groups=[1, 2, 1, 1, 1]).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["g.npz"]


def test_columns_are_checked():
    with pytest.raises(ShapeError, match="lower to a higher"):
        ComputeGraph.from_columns({"op": [0, 1]}, [(1, 0)])
    with pytest.raises(ShapeError, match="kernel"):
        ComputeGraph.from_columns({"op": [0, 1], "kernel": [1, 1]}, [(0, 1)])


def test_every_operator_has_one_group():
    assert len(OPS) == len(set(OPS)) == len(GROUP_OF)
    assert list(GROUPS)[GROUP_OF[OP_ID["conv"]]] == "conv"
