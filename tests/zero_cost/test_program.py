"""What is read out of a graph: norms, ends of blocks, features, orders of weights."""

from archcast.encoders import read
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.ops import OP_ID
from archcast.encoders.spaces import get_space
from archcast.zero_cost._program import compile_graph

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|"


def small(*ops, channels=8, extent=(1, 4, 4), edges=None):
    n = len(ops)
    return ComputeGraph.from_columns(
        {
            "op": [OP_ID[op] for op in ops],
            "channels_in": [channels] * n,
            "channels_out": [channels] * n,
            "extent": [extent] * n,
            "op_weights": [64] * n,
        },
        edges if edges is not None else [(i, i + 1) for i in range(n - 1)],
    )


def test_convolutions_have_norms_and_classifiers_and_shortcuts_have_none():
    program = compile_graph(read(CELL))
    bare = []
    for i, step in enumerate(program.instructions):
        if step.op == "conv" and not step.norm:
            bare.append(program.instructions[step.inputs[0]].op)
        else:
            assert step.norm == (step.op in {"conv", "affine"}), i
    assert bare == ["avg_pool", "avg_pool"]  # the two reductions' shortcuts, as published


def test_networks_with_norms_of_their_own_get_no_others():
    program = compile_graph(
        get_space("autoformer_tiny").graph(get_space("autoformer_tiny").sample(1)[0])
    )
    assert not any(step.norm for step in program.instructions)


def test_a_convolution_on_one_position_has_no_norm():
    program = compile_graph(small("input", "conv", "relu", "output", extent=(1, 1, 1)))
    assert not any(step.norm for step in program.instructions)


def test_bottlenecks_are_the_nodes_on_every_path():
    graph = small(
        "input", "conv", "relu", "linear", "add", "output",
        edges=[(0, 1), (1, 2), (1, 3), (2, 4), (3, 4), (4, 5)],
    )  # fmt: skip
    program = compile_graph(graph)
    ops = [program.instructions[i].op for i in program.bottlenecks]
    assert ops == ["input", "conv", "add", "output"]


def test_features_are_what_the_pool_reads():
    program = compile_graph(read(CELL))
    step = program.instructions[program.features]
    assert (step.op, step.channels, step.extent) == ("relu", 64, (1, 8, 8))


def test_equal_shapes_are_counted():
    program = compile_graph(read(CELL))
    keys = [step.weight for step in program.instructions if step.weight]
    assert len(set(keys)) == len(keys)
    assert max(key.ordinal for key in keys if key.shape == (16, 16, 3, 3)) == 4  # five cells


def test_a_result_that_depends_on_no_input_is_given():
    program = compile_graph(small("input", "output", edges=[]))
    assert [step.op for step in program.instructions] == ["input", "input"]
    assert program.outputs


def test_the_most_that_lives_at_a_time():
    # The input lives until both have read it; the sum needs three values.
    graph = small("input", "conv", "add", "output", edges=[(0, 1), (0, 2), (1, 2), (2, 3)])
    assert compile_graph(graph).peak == 3 * 8 * 16
