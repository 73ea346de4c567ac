"""The skim leaves out weights and nothing else."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from archcast.encoders import read
from archcast.encoders._onnx.skim import KEEP, load_model, skim
from archcast.encoders.errors import ArchcastError


def big_model(size: int) -> onnx.ModelProto:
    """One matrix product with a weight of ``size`` rows, in a constant of a sub-graph as well."""
    array = np.ones((size, 4), np.float32)
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(array, "k"))],
        "inner",
        [],
        [helper.make_tensor_value_info("k", 1, array.shape)],
    )
    nodes = [
        helper.make_node("If", ["c"], ["w2"], then_branch=inner, else_branch=inner),
        helper.make_node("MatMul", ["x", "w"], ["a"], doc_string="trace " * 500),
        helper.make_node("MatMul", ["x", "w2"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info("x", 1, (1, size))]
    outs = [helper.make_tensor_value_info("y", 1, (1, 4))]
    weights = [
        numpy_helper.from_array(array, "w"),
        numpy_helper.from_array(np.array(True), "c"),
    ]
    return helper.make_model(helper.make_graph(nodes, "g", ends, outs, weights))


def test_large_payloads_go_and_the_graph_stays():
    full = big_model(5000)
    data = full.SerializeToString()
    small = skim(memoryview(data))
    assert len(data) > 200_000
    assert len(small) < 2_000
    assert read(small) == read(full)
    assert read(small).params == read(full).params == 40_000


def test_small_payloads_stay():
    data = big_model(KEEP // 32).SerializeToString()
    model = load_model(data)
    assert numpy_helper.to_array(model.graph.initializer[0]).shape == (KEEP // 32, 4)


def test_real_files_lose_only_payloads(light_models):
    for path in light_models:
        full, skimmed = onnx.load(path), load_model(path)
        assert [n.op_type for n in full.graph.node] == [n.op_type for n in skimmed.graph.node]
        assert read(full) == read(path)


@pytest.fixture(scope="module")
def seeds(light_models) -> list[bytes]:
    """Real files to damage: small enough to read in a millisecond or so."""
    files = [p.read_bytes() for p in light_models if p.stat().st_size < 40_000]
    return [*files, big_model(600).SerializeToString()]


@given(data=st.data())
@settings(max_examples=3000, deadline=None)
def test_damaged_files_raise_only_our_errors(seeds, data):
    content = bytearray(data.draw(st.sampled_from(seeds)))
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.integers(0, 3)):
            case 0 | 1:
                content[place] = data.draw(st.integers(0, 255))
            case 2:
                del content[place : place + data.draw(st.integers(1, 16))]
            case 3:
                content[place:place] = data.draw(st.binary(min_size=1, max_size=8))
        if not content:
            break
    message = ""
    try:
        size = len(read(bytes(content)))
    except ArchcastError as error:
        size, message = 0, str(error)
    assert size or message
    assert "\n" not in message
