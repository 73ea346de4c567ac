"""Where networks come from, whose weights they have, and what is refused."""

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
import onnx  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from torch import nn  # noqa: E402

from archcast.encoders._torch.capture import Recording  # noqa: E402
from archcast.encoders._torch.record import record  # noqa: E402
from archcast.encoders.errors import (  # noqa: E402
    InvalidSettingError,
    ShapeError,
    StorageError,
    UnreadableModelError,
)
from archcast.zero_cost.source import load_source  # noqa: E402

FLOAT = TensorProto.FLOAT


def model(nodes=None, constants=None, shape=(1, 4)):
    nodes = nodes or [
        helper.make_node("Gemm", ["x", "fc.weight", "fc.bias"], ["h"], transB=1),
        helper.make_node("Clip", ["h", "low"], ["c"]),
        helper.make_node("Mul", ["c", "scale"], ["y"]),
    ]
    torch.manual_seed(5)
    constants = constants or {
        "fc.weight": torch.randn(3, 4),
        "fc.bias": torch.randn(3),
        "low": torch.tensor(0.0),
        "scale": torch.tensor([2.0, 3.0, 4.0]),
    }
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(v.numpy(), n) for n, v in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_importing_needs_no_torch():
    code = "import sys, archcast.zero_cost.source; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ----------------------------------------------------------------------- weights
def test_weights_are_parameters_and_settings_are_not():
    network = load_source(model())
    names = {n for n, _ in network.named_parameters()}
    assert names == {"weights.fc.weight", "weights.fc.bias", "weights.scale"}
    wanted = numpy_helper.to_array(model().graph.initializer[0])
    assert torch.equal(network.weights.fc.weight, torch.from_numpy(wanted.copy()))


def test_masks_are_no_weights():
    nodes = [helper.make_node("Add", ["x", "mask"], ["y"])]
    network = load_source(model(nodes, {"mask": torch.tensor([0.0, -1e9, float("-inf"), 0.0])}))
    assert not list(network.parameters())
    assert torch.isinf(network(torch.zeros(1, 4))[0, 2])


def test_masks_in_the_making_are_no_weights():
    nodes = [helper.make_node("Trilu", ["ones"], ["mask"], upper=0),
             helper.make_node("MatMul", ["x", "mask"], ["y"])]  # fmt: skip
    network = load_source(model(nodes, {"ones": torch.ones(4, 4)}))
    assert not list(network.parameters())
    assert torch.equal(network(torch.ones(1, 4)), torch.tensor([[4.0, 3.0, 2.0, 1.0]]))


def test_fresh_weights_are_the_seeds():
    first, again, other = (
        load_source(model(), weights="fresh", seed=seed).weights.fc.weight for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_fresh_weights_keep_the_signal():
    network = load_source(
        model(
            [helper.make_node("Conv", ["x", "w", "b"], ["y"])],
            {"w": torch.zeros(64, 128, 3, 3), "b": torch.ones(64)},
            (1, 128, 8, 8),
        ),
        weights="fresh",
    )
    assert torch.equal(network.weights.b, torch.zeros(64))
    assert float(network.weights.w.detach().std()) == pytest.approx(
        (2 / (128 * 9)) ** 0.5, rel=0.02
    )
    assert float(network(torch.randn(8, 128, 8, 8)).detach().std()) == pytest.approx(
        2**0.5, rel=0.1
    )


def test_weights_that_the_file_leaves_out_are_drawn():
    bare = model()
    bare.graph.initializer[0].ClearField("raw_data")
    network = load_source(bare)
    assert network.weights.fc.weight.shape == (3, 4)
    assert float(network.weights.fc.weight.detach().std()) > 0.1
    assert not torch.equal(network.weights.fc.bias, torch.zeros(3))  # the file has these


def test_external_data_is_found_beside_the_file(tmp_path):
    path = tmp_path / "m.onnx"
    whole = load_source(model()).eval()
    onnx.save(model(), path, save_as_external_data=True, location="m.data", size_threshold=0)
    x = torch.randn(1, 4)
    assert torch.equal(load_source(path).eval()(x), whole(x))
    (tmp_path / "m.data").unlink()
    with pytest.raises(UnreadableModelError, match=r"m\.data"):
        load_source(path)


# ------------------------------------------------------------------------ modules
def test_a_module_is_copied():
    module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).eval()
    network = load_source(module, (1, 4))
    assert network.training
    network(torch.randn(6, 4)).sum().backward()
    assert module[0].weight.grad is None
    assert torch.equal(module[1].running_mean, torch.zeros(3))
    assert torch.equal(network.get_parameter("module.0.weight"), module[0].weight)


def test_a_module_with_fresh_weights():
    module = nn.Linear(4, 3)
    weights = [
        load_source(module, (1, 4), weights="fresh", seed=s).module.weight for s in (0, 0, 1)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], module.weight)


def test_a_module_without_memory_needs_fresh_weights():
    with torch.device("meta"):
        module = nn.Linear(4, 3)
    with pytest.raises(UnreadableModelError, match="fresh"):
        load_source(module, (1, 4))
    assert load_source(module, (1, 4), weights="fresh")(torch.ones(2, 4)).shape == (2, 3)


def test_a_specification():
    cell = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|none~0|none~1|nor_conv_1x1~2|"
    first, again, other = (load_source(cell, seed=seed) for seed in (0, 0, 1))
    x = first.example(2)
    assert first.input_shapes == [(1, 3, 32, 32)]
    assert first(*x).shape == (2, 10)
    assert torch.equal(first(*x), again(*x))
    assert not torch.equal(first(*x), other(*x))


# ---------------------------------------------------------------------- recordings
class Windows(nn.Module):
    """A class token, heads, a norm: what holds a batch in a recording."""

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.qkv, self.norm = nn.Linear(8, 24), nn.BatchNorm1d(5)

    def forward(self, x):
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)
        q, k, v = self.qkv(x).reshape(x.shape[0], 5, 3, 2, 4).permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.norm(y.transpose(1, 2).reshape(x.shape[0], 5, 8))


def test_a_recording_is_replayed_with_any_batch():
    module = Windows().eval()
    text = record(module, (torch.randn(1, 4, 8),)).to_json()
    recording = Recording.from_json(text)
    network = load_source(recording).eval()
    own, drawn = dict(module.named_parameters()), dict(network.named_parameters())
    with torch.no_grad():
        for name, (_, qualified, trained) in recording.weights.items():
            if trained:
                own[qualified].copy_(drawn[f"weights.{name}"])
    x = torch.randn(3, 4, 8)
    assert torch.allclose(network(x), module(x), atol=1e-6)
    assert torch.allclose(network.train()(x), module.train()(x), atol=1e-6)


def test_a_recording_without_its_tables_is_refused():
    class Table(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("places", torch.arange(100))
            self.weight = nn.Parameter(torch.randn(100))

        def forward(self, x):
            return x + self.weight[self.places]

    recording = record(Table(), (torch.randn(1, 100),))
    with pytest.raises(UnreadableModelError, match="places"):
        load_source(recording)


# -------------------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        (b"", UnreadableModelError, "ONNX"),
        (b"certainly not a model", UnreadableModelError, "ONNX"),
        ("nowhere.onnx", StorageError, "nowhere"),
        (nn.Linear(2, 2), ShapeError, "input_shape"),
        (42, UnreadableModelError, "int"),
    ],
)
def test_what_is_no_network(source, error, words):
    with pytest.raises(error, match=words):
        load_source(source)


def test_an_unknown_operator_is_named_with_its_node():
    nodes = [helper.make_node("Frobnicate", ["x"], ["y"], name="odd_one")]
    with pytest.raises(UnreadableModelError, match=r"Frobnicate.*odd_one"):
        load_source(model(nodes))


def test_a_cycle_is_named():
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"]),
             helper.make_node("Relu", ["b"], ["y"])]  # fmt: skip
    with pytest.raises(UnreadableModelError, match="cycle"):
        load_source(model(nodes))


def test_a_missing_tensor_is_named():
    network = load_source(model([helper.make_node("Add", ["x", "gone"], ["y"])]))
    with pytest.raises(UnreadableModelError, match="gone"):
        network(torch.zeros(1, 4))


def test_shapes_that_do_not_fit_name_the_operator():
    network = load_source(model())
    with pytest.raises(ShapeError, match="Gemm"):
        network(torch.zeros(1, 5))
    with pytest.raises(ShapeError, match="1 inputs: x"):
        network()


def test_weights_are_own_or_fresh():
    with pytest.raises(InvalidSettingError, match="fresh"):
        load_source(model(), weights="trained")
