"""The published serialiser, its faults included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from archcast.encoders import read
from archcast.encoders.errors import UnreadableModelError
from archcast.encoders.text import serialise
from archcast.encoders.text.published import chain_slim

onnx = pytest.importorskip("onnx")


@pytest.fixture
def residual(tmp_path) -> Path:
    """relu(conv(x)) + x, then a pool: a grouped convolution, a shared value."""
    helper = onnx.helper
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Relu", ["r"], ["s"]),
        helper.make_node(
            "Conv", ["s", "w"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=4
        ),
        helper.make_node("Add", ["c", "r"], ["a"]),
        helper.make_node("MaxPool", ["a"], ["y"], kernel_shape=[2, 1], strides=[2, 2]),
    ]
    weight = onnx.numpy_helper.from_array(np.zeros((8, 2, 3, 3), np.float32), "w")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "net",
        [value("x", 1, [1, 8, 6, 6])],
        [value("y", 1, None)],
        [weight],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_a_text_line_by_line(residual):
    assert chain_slim(residual).splitlines() == [
        "Relu(1x8x6x6) --> Value0:1x8x6x6",
        "Relu() --> Conv(prev, Param[8,2,3,3])(kernel_shape=3, pads=1) --> Value1:1x8x6x6",
        "Add(Value1, Value0) --> Value2:1x8x6x6",
        "MaxPool()(kernel_shape=2,1, strides=2) --> Out",
    ]


def test_what_ours_keeps(residual):
    text = serialise(read(residual))
    assert "groups=4" in text
    assert "groups" not in chain_slim(residual)
    assert "group" not in chain_slim(residual)
    assert "max_pool()" not in text


def test_real_files(onnx_files):
    texts = [chain_slim(path) for path in onnx_files if "conv_mp1" in path.name]
    texts += [chain_slim(path) for path in onnx_files if "residual_block" in path.name]
    assert len(texts) == 2
    assert all(text.endswith("--> Out") for text in texts)
    assert texts[0].startswith("Conv(1x3x8x8, Param[8,3,3,3], Param[8])")


def test_no_file_and_no_model(tmp_path):
    with pytest.raises(UnreadableModelError, match="no such file"):
        chain_slim(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"not a model at all")
    with pytest.raises(UnreadableModelError, match="not an ONNX model"):
        chain_slim(tmp_path / "bad.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(UnreadableModelError, match="not an ONNX model"):
        chain_slim(tmp_path / "empty.onnx")
