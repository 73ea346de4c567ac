"""Files that hold one batch size take any."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from archcast.encoders.errors import ShapeError  # noqa: E402
from archcast.zero_cost.source import load_source  # noqa: E402
from archcast.zero_cost.source._batching import fitted  # noqa: E402


@pytest.mark.parametrize(
    ("now", "before", "after", "wanted"),
    [
        ((4, 197, 192), (1, 197, 192), (1, 197, 3, 64), (4, 197, 3, 64)),
        ((4, 3, 8, 8), (1, 3, 8, 8), (3, 64), (12, 64)),
        ((256, 49, 96), (64, 49, 96), (1, 8, 8, 7, 7, 96), (4, 8, 8, 7, 7, 96)),
        ((6, 4, 10), (6, 1, 10), (6, 5, 2), (6, 20, 2)),  # heads join the batch, as torch has it
        ((6, 4, 10), (6, 1, 10), (6, 10), (24, 10)),  # the batch joins the steps before it
        ((3, 10), (2, 10), (2, 5, 2), (3, 5, 2)),
    ],
)
def test_the_axis_with_the_batch_grows(now, before, after, wanted):
    assert fitted(now, before, after) == wanted


def file(nodes, shape, constants, out):
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value.numpy(), name) for name, value in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs.split(), [output], **attributes)


def test_reshapes_are_fitted():
    constants = {"split": torch.tensor([1, 4, 2]), "w": torch.randn(2, 3)}
    nodes = [node("Reshape", "x split", "y"), node("MatMul", "y w", "z")]
    network = load_source(file(nodes, (1, 8), constants, "z"))
    x = torch.randn(5, 8)
    assert torch.allclose(network(x), x.reshape(5, 4, 2) @ constants["w"], atol=1e-6)
    assert network.batching == "fitted"


def test_what_cannot_be_fitted_is_run_one_by_one():
    # The first step of the batch is taken out: no reshape, and wrong for any other batch.
    constants = {"zero": torch.tensor([0]), "one": torch.tensor([1]), "w": torch.randn(8, 3)}
    nodes = [
        node("Slice", "x zero one zero", "y"),
        node("MatMul", "y w", "z"),
    ]
    network = load_source(file(nodes, (1, 8), constants, "z"))
    x = torch.randn(5, 8)
    assert torch.allclose(network(x), x @ constants["w"], atol=1e-6)
    assert network.batching == "one by one"


def test_norms_over_the_batch_are_not_run_one_by_one():
    constants = {"zero": torch.tensor([0]), "one": torch.tensor([1])}
    constants |= {name: torch.rand(3) for name in ("s", "b", "m", "v")}
    nodes = [node("Slice", "x zero one zero", "y"), node("BatchNormalization", "y s b m v", "z")]
    network = load_source(file(nodes, (1, 3, 4, 4), constants, "z"))
    x = torch.randn(5, 3, 4, 4)
    with pytest.raises(ShapeError, match="free batch dimension"):
        network(x)
    assert network.eval()(x).shape == x.shape


def test_smaller_batches_than_the_files_own():
    constants = {"shape": torch.tensor([4, 2, 4])}
    network = load_source(file([node("Reshape", "x shape", "y")], (4, 8), constants, "y"))
    x = torch.randn(3, 8)
    assert torch.equal(network(x), x.reshape(3, 2, 4))


def test_per_sample_gradients():
    constants = {"split": torch.tensor([1, 4, 2]), "w": torch.randn(2, 3)}
    nodes = [node("Reshape", "x split", "y"), node("MatMul", "y w", "z")]
    network = load_source(file(nodes, (1, 8), constants, "z"))
    weights = dict(network.named_parameters())

    def loss(values, x):
        return torch.func.functional_call(network, values, (x[None],)).square().sum()

    x = torch.randn(5, 8)
    found = torch.func.vmap(torch.func.grad(loss), (None, 0))(weights, x)
    single = torch.func.grad(loss)(weights, x[2])
    assert all(torch.allclose(found[n][2], single[n], atol=1e-5) for n in weights)
