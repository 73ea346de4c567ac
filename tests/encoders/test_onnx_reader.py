"""Reading ONNX: what the format allows, and what damaged files do."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from archcast.encoders import read
from archcast.encoders.errors import (
    NotANetworkError,
    ShapeError,
    StorageError,
    UnreadableModelError,
)

F, I64 = TensorProto.FLOAT, TensorProto.INT64


def weight(name, *shape, dtype=np.float32):
    return numpy_helper.from_array(np.full(shape, 0.5, dtype), name)


def integers(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def model(nodes, inputs, outputs, initializers=(), *, opset=17, functions=(), domains=()):
    """A model of nodes; ``inputs`` and ``outputs`` map names to shapes (None: no shape)."""
    ends = [
        [helper.make_tensor_value_info(n, F, s) for n, s in side.items()]
        for side in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "g", *ends, list(initializers))
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=8)


def conv_net(x=(1, 3, 32, 32), **options):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "v", "b"], ["y"], transB=1),
    ]
    weights = [weight("w", 8, 3, 3, 3), weight("v", 10, 8), weight("b", 10)]
    return model(nodes, {"x": x}, {"y": (1, 10)}, weights, **options)


def test_numbers_of_a_small_network():
    graph = read(conv_net())
    assert graph.ops == ["input", "conv", "relu", "global_avg_pool", "linear", "output"]
    assert graph.params == 8 * 3 * 9 + 80 + 10
    assert graph.macs == 8 * 3 * 9 * 32 * 32 + 80
    assert graph.input_shape == (1, 3, 32, 32)
    assert graph.output_shape == (1, 10)
    assert graph.kernel[1].tolist() == [1, 3, 3]


def test_a_path_bytes_and_a_proto_are_one_graph(tmp_path):
    proto = conv_net()
    onnx.save(proto, tmp_path / "net.onnx")
    graphs = [read(proto), read(proto.SerializeToString()), read(tmp_path / "net.onnx")]
    assert len({g.hash for g in graphs}) == 1
    assert read(str(tmp_path / "net.onnx")).name == "net"


def test_a_network_is_one_sample_whatever_its_batch():
    assert read(conv_net((16, 3, 32, 32))) == read(conv_net())


def test_symbolic_dimensions_have_defaults_and_can_be_bound():
    proto = conv_net(("N", 3, "H", "W"))
    assert read(proto).input_shape == (1, 3, 224, 224)
    assert read(proto, (2, 3, 64, 48)).input_shape == (2, 3, 64, 48)
    assert read(proto, {"x": (1, 3, 32, 32)}) == read(conv_net())
    with pytest.raises(ShapeError, match="its inputs are: x"):
        read(proto, {"image": (1, 3, 32, 32)})
    with pytest.raises(ShapeError, match="4 dimensions"):
        read(proto, (3, 32, 32))


def test_one_symbol_is_one_number_everywhere():
    nodes = [helper.make_node("MatMul", ["a", "b"], ["y"])]
    proto = model(nodes, {"a": (1, "K"), "b": ("K", 5)}, {"y": (1, 5)})
    assert read(proto, {"a": (1, 7)}).macs == 35


def test_initializers_may_also_be_inputs():
    proto = conv_net()
    proto.graph.input.append(helper.make_tensor_value_info("w", F, (8, 3, 3, 3)))
    assert read(proto) == read(conv_net())


def test_weights_may_be_constants_sparse_or_computed():
    expected = read(conv_net())
    proto = conv_net()
    (w, *rest) = proto.graph.initializer
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(rest)
    constant = helper.make_node("Constant", [], ["w"], value=w)
    proto.graph.node.insert(0, constant)
    assert read(proto) == expected
    assert read(proto).params == expected.params
    filled = helper.make_node("ConstantOfShape", ["s"], ["w"])
    proto.graph.node[0].CopyFrom(filled)
    proto.graph.initializer.append(integers("s", 8, 3, 3, 3))
    assert read(proto) == expected
    assert read(proto).params == expected.params


def test_operators_may_come_in_any_order():
    proto = conv_net()
    nodes = list(proto.graph.node)[::-1]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    assert read(proto) == read(conv_net())


def test_external_data_is_never_opened(tmp_path):
    proto = conv_net()
    path = tmp_path / "net.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="weights", size_threshold=0)
    (tmp_path / "weights").unlink()
    graph = read(path)
    assert graph == read(proto)
    assert graph.params == read(proto).params


def test_batch_norm_folds_into_the_convolution():
    proto = conv_net()
    norm = ["scale", "shift", "mean", "var"]
    proto.graph.node[1].input[0] = "n"
    node = helper.make_node("BatchNormalization", ["c", *norm], ["n"])
    proto.graph.node.insert(1, node)
    proto.graph.initializer.extend(weight(n, 8) for n in norm)
    graph = read(proto)
    assert graph == read(conv_net())
    assert graph.params == read(conv_net()).params + 16


@pytest.mark.parametrize("kind", ["qdq", "qlinear", "integer", "quant"])
def test_a_quantised_network_is_the_network(kind):
    scale, zero = weight("s"), numpy_helper.from_array(np.array(0, np.uint8), "z")
    pads = {"pads": [1, 1, 1, 1]}
    tail = list(conv_net().graph.node[1:])
    w8 = numpy_helper.from_array(np.ones((8, 3, 3, 3), np.uint8), "w8")
    start = {
        "qdq": [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
            helper.make_node("DequantizeLinear", ["w8", "s", "z"], ["w"]),
            helper.make_node("Conv", ["d", "w"], ["c"], **pads),
        ],
        "qlinear": [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            helper.make_node(
                "QLinearConv", ["q", "s", "z", "w8", "s", "z", "s", "z"], ["o"], **pads
            ),
            helper.make_node("DequantizeLinear", ["o", "s", "z"], ["c"]),
        ],
        "integer": [
            helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"]),
            helper.make_node("ConvInteger", ["q", "w8", "qz", "z"], ["o"], **pads),
            helper.make_node("Cast", ["o"], ["k"], to=F),
            helper.make_node("Mul", ["k", "qs"], ["c"]),
        ],
        "quant": [
            helper.make_node(
                "Quant", ["x", "s", "s", "s"], ["q"], domain="qonnx.custom_op.general"
            ),
            helper.make_node("Conv", ["q", "wf"], ["c"], **pads),
        ],
    }[kind]
    weights = [scale, zero, w8, weight("wf", 8, 3, 3, 3), weight("v", 10, 8), weight("b", 10)]
    proto = model([*start, *tail], {"x": (1, 3, 32, 32)}, {"y": (1, 10)}, weights)
    assert read(proto) == read(conv_net())
    assert read(proto).params == read(conv_net()).params


def test_a_local_function_is_inlined():
    body = [
        helper.make_node("Conv", ["a", "k"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
    ]
    opsets = [helper.make_opsetid("", 17)]
    function = helper.make_function("mine", "Block", ["a", "k"], ["r"], body, opsets)
    proto = conv_net(functions=[function], domains=["mine"])
    proto.graph.node[1].CopyFrom(helper.make_node("Block", ["x", "w"], ["r"], domain="mine"))
    del proto.graph.node[0]
    assert read(proto) == read(conv_net())


def test_a_function_that_calls_itself_is_refused():
    call = helper.make_node("Block", ["a"], ["r"], domain="mine")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    function = helper.make_function("mine", "Block", ["a"], ["r"], [call], opsets)
    node = helper.make_node("Block", ["x"], ["y"], domain="mine")
    proto = model([node], {"x": (1, 3)}, {"y": (1, 3)}, functions=[function], domains=["mine"])
    with pytest.raises(UnreadableModelError, match="nest without end"):
        read(proto)


def branch(name, op):
    nodes = [helper.make_node(op, ["x"], [name])]
    return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(name, F, (1, 8))])


@pytest.mark.parametrize(
    ("known", "expected"), [(True, ["relu"]), (None, ["relu", "tanh", "select"])]
)
def test_if_takes_the_known_branch_or_both(known, expected):
    node = helper.make_node(
        "If", ["c"], ["y"], then_branch=branch("t", "Relu"), else_branch=branch("e", "Tanh")
    )
    proto = model([node], {"x": (1, 8)}, {"y": (1, 8)})
    if known is None:
        proto.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, ()))
    else:
        proto.graph.initializer.append(numpy_helper.from_array(np.array(known), "c"))
    assert [o for o in read(proto).ops if o not in ("input", "output")] == expected


def test_a_loop_counts_its_body_as_often_as_it_runs():
    nodes = [
        helper.make_node("MatMul", ["h", "w"], ["m"]),
        helper.make_node("Identity", ["go"], ["on"]),
    ]
    body = helper.make_graph(
        nodes,
        "body",
        [
            helper.make_tensor_value_info("i", I64, ()),
            helper.make_tensor_value_info("go", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("h", F, (1, 8)),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("m", F, (1, 8)),
        ],
    )
    node = helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)
    proto = model([node], {"x": (1, 8)}, {"y": (1, 8)}, [weight("w", 8, 8)])
    proto.graph.initializer.append(numpy_helper.from_array(np.array(5, np.int64), "n"))
    assert read(proto).macs == 5 * 64
    assert read(proto).params == 64


def test_scan_runs_over_its_sequence():
    nodes = [
        helper.make_node("MatMul", ["s", "w"], ["m"]),
        helper.make_node("Add", ["m", "t"], ["o"]),
    ]
    body = helper.make_graph(
        [*nodes, helper.make_node("Identity", ["o"], ["p"])],
        "body",
        [helper.make_tensor_value_info(n, F, (1, 8)) for n in ("s", "t")],
        [helper.make_tensor_value_info(n, F, (1, 8)) for n in ("o", "p")],
    )
    node = helper.make_node("Scan", ["h", "x"], ["last", "y"], body=body, num_scan_inputs=1)
    proto = model(
        [node], {"x": (6, 1, 8)}, {"y": (6, 1, 8)}, [weight("w", 8, 8), weight("h", 1, 8)]
    )
    assert read(proto).macs == 6 * 64


@pytest.mark.parametrize(("op", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_recurrent_layers(op, gates):
    node = helper.make_node(op, ["x", "w", "r", "b"], ["y"], hidden_size=16)
    weights = [
        weight("w", 1, gates * 16, 8),
        weight("r", 1, gates * 16, 16),
        weight("b", 1, gates * 32),
    ]
    graph = read(model([node], {"x": (5, 1, 8)}, {"y": (5, 1, 1, 16)}, weights))
    assert graph.ops == ["input", op.lower(), "output"]
    assert graph.macs == 5 * gates * 16 * (8 + 16)
    assert graph.params == gates * 16 * (8 + 16) + gates * 32


def test_an_unknown_operator_keeps_its_name():
    proto = conv_net(domains=["com.acme"])
    proto.graph.node[1].CopyFrom(helper.make_node("Sparkle", ["c"], ["r"], domain="com.acme"))
    assert "com.acme.Sparkle" in read(proto).ops


def test_inference_of_onnx_helps_where_there_is_no_rule():
    nodes = [
        helper.make_node("GridSample", ["x", "grid"], ["s"]),
        helper.make_node("Conv", ["s", "w"], ["y"]),
    ]
    ends = {"x": (1, 3, 8, 8), "grid": (1, 5, 6, 2)}
    graph = read(model(nodes, ends, {"y": None}, [weight("w", 4, 3, 1, 1)]))
    assert graph.macs == 3 * 4 * 5 * 6
    assert "GridSample" in graph.ops


# ------------------------------------------------------------------ bad input
def test_a_cycle_is_named():
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    with pytest.raises(UnreadableModelError, match="cycle through Add"):
        read(model(nodes, {"x": (1, 3)}, {"b": (1, 3)}))


def test_a_missing_tensor_is_named():
    nodes = [helper.make_node("Add", ["x", "lost"], ["y"])]
    with pytest.raises(UnreadableModelError, match="'lost', which nothing produces"):
        read(model(nodes, {"x": (1, 3)}, {"y": (1, 3)}))
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    with pytest.raises(UnreadableModelError, match="output 'z'"):
        read(model(nodes, {"x": (1, 3)}, {"z": (1, 3)}))


def test_a_decision_tree_is_no_network():
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", nodes_treeids=[0]
    )
    with pytest.raises(NotANetworkError, match="TreeEnsembleRegressor"):
        read(model([node], {"x": (1, 3)}, {"y": (1, 1)}, domains=["ai.onnx.ml"]))


def test_an_input_without_a_shape_asks_for_one():
    proto = conv_net()
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ShapeError, match="--input-shape"):
        read(proto)
    assert read(proto, (1, 3, 32, 32)) == read(conv_net())


def test_an_input_too_small_says_so():
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"])]
    with pytest.raises(ShapeError, match="too small"):
        read(model(nodes, {"x": (1, 3, 2, 2)}, {"y": None}, [weight("w", 8, 3, 5, 5)]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"# a note\nnothing to see here\n", "not an ONNX file|damaged"),
        (b"\x00" * 100, "not an ONNX file"),
        (b"PK\x03\x04" + b"zip" * 50, "not an ONNX file|damaged"),
        (b"\x08\x07", "no graph"),
    ],
)
def test_files_that_are_not_onnx(tmp_path, content, message):
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(UnreadableModelError, match=message):
        read(path)


def test_a_truncated_file(tmp_path):
    data = conv_net().SerializeToString()
    path = tmp_path / "x.onnx"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableModelError, match="damaged"):
        read(path)


def test_three_gigabytes_of_zeros_are_refused_at_once(tmp_path):
    path = tmp_path / "x.onnx"
    with path.open("wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(UnreadableModelError, match="not an ONNX file"):
        read(path)


def test_missing_files_folders_and_strange_objects(tmp_path):
    with pytest.raises(StorageError, match="No such file"):
        read(tmp_path / "none.onnx")
    with pytest.raises(StorageError, match="folder"):
        read(tmp_path)
    with pytest.raises(UnreadableModelError, match="cannot read an architecture from dict"):
        read({"layers": 3})
