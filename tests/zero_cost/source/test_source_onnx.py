"""ONNX files run in torch: the numbers of torch and onnxruntime, and torch's own gradients."""

import io
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from archcast.encoders.spaces import get_space  # noqa: E402
from archcast.encoders.spaces._zoo_models import import_timm  # noqa: E402
from archcast.zero_cost.source import load_source  # noqa: E402

WHEEL = Path(onnx.__file__).parent / "backend" / "test" / "data"


def exported(module, *inputs, **options):
    """A module's ONNX file as bytes, weights under their own names."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, inputs, file, dynamo=False, opset_version=options.pop("opset", 17), **options
        )
    return file.getvalue()


def close(a, b):
    a, b = a.detach(), b.detach()
    return float((a - b).abs().max()) <= 1e-4 * float(b.abs().max())


class Apply(nn.Module):
    """Some layers, and a function of them and the input."""

    def __init__(self, function, **layers):
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self.function = function

    def forward(self, x):
        return self.function(x, **self.layers)


def first(layer):
    return Apply(lambda x, a: a(x)[0], a=layer)


def alone(layer):
    return Apply(lambda x, a: a(x), a=layer)


def blocks(x, conv, norm):
    y = conv(x)
    left, right = F.silu(norm(y)).chunk(2, 1)
    return F.pixel_shuffle(left * torch.sigmoid(right), 2)


def resized(x, conv):
    y = conv(x)
    parts = [
        F.interpolate(y, scale_factor=2, mode="nearest"),
        F.interpolate(y, size=(16, 16), mode="bilinear", align_corners=True),
        F.interpolate(y, size=(16, 16), mode="bicubic"),
    ]
    return F.pad(torch.cat(parts, 1), (1, 2, 3, 1), mode="reflect")


def pooled(x, conv):
    y = conv(x)
    largest = F.max_pool2d(y, 3, 2, 1, ceil_mode=True)
    mean = F.avg_pool2d(y, 3, 2, 1, ceil_mode=True, count_include_pad=False)
    return largest - mean + F.adaptive_avg_pool2d(y, 1) + y.norm(dim=(2, 3), keepdim=True)


IMAGE, STEPS = (1, 3, 8, 8), (1, 6, 8)
NETWORKS = {
    "rnn": (first(nn.RNN(8, 5, nonlinearity="relu", batch_first=True)), STEPS),
    "gru": (first(nn.GRU(8, 5, bidirectional=True, batch_first=True)), STEPS),
    "lstm": (first(nn.LSTM(8, 5, num_layers=2, bidirectional=True, batch_first=True)), STEPS),
    "attention": (
        Apply(lambda x, a: a(x, x, x)[0], a=nn.MultiheadAttention(8, 2, batch_first=True)),
        STEPS,
    ),
    "encoder": (alone(nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)), STEPS),
    "norms": (
        Apply(blocks, conv=nn.Conv2d(3, 8, 3, 2, 1), norm=nn.GroupNorm(2, 8)), IMAGE,
    ),
    "transposed": (alone(nn.ConvTranspose2d(3, 4, 3, 2, 1, 1, groups=1, dilation=1)), IMAGE),
    "resized": (Apply(resized, conv=nn.Conv2d(3, 4, 1)), IMAGE),
    "pooled": (Apply(pooled, conv=nn.Conv2d(3, 4, 3, bias=False)), IMAGE),
    "einsum": (Apply(lambda x, a: torch.einsum("bcd,bed->bce", a(x), x), a=nn.Linear(8, 8)), STEPS),
    "slices": (
        Apply(lambda x, a: torch.roll(a(x), 2, 1)[:, 1::2].flip(1) ** 2, a=nn.Linear(8, 8)), STEPS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_and_gradients_are_those_of_torch(name):
    module, shape = NETWORKS[name]
    torch.manual_seed(0)
    with torch.no_grad():  # the exporter keeps equal weights, two fresh norms' say, only once
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    network = load_source(exported(module.eval(), torch.randn(shape))).eval()
    x = torch.randn(3, *shape[1:])
    wanted, found = module(x), network(x)
    assert found.shape == wanted.shape
    assert close(found, wanted)
    own = dict(network.weights.named_parameters())
    module.zero_grad()
    wanted.square().sum().backward()
    found.square().sum().backward()
    shared = [(own[n].grad, p.grad) for n, p in module.named_parameters() if n in own]
    assert shared or name in ("rnn", "gru", "lstm")  # whose gates the file puts in another order
    assert all(close(a, b) for a, b in shared)
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in own.values())


def test_an_export_with_its_norms_is_trained_like_the_module():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    file = exported(
        module, torch.randn(2, 3, 8, 8), training=torch.onnx.TrainingMode.TRAINING,
        do_constant_folding=False,
    )  # fmt: skip
    network, x = load_source(file), torch.randn(5, 3, 8, 8)
    before = [b.clone() for b in network.buffers()]
    assert close(network(x), module.train()(x))
    assert all(torch.equal(a, b) for a, b in zip(before, network.buffers(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["squeezenet", "shufflenet", "densenet121", "inception_v1", "resnet50"]
)
def test_the_onnx_packages_networks_agree_with_onnxruntime(name):
    runtime = pytest.importorskip("onnxruntime")
    model = onnx.load(WHEEL / "light" / f"light_{name}.onnx")
    network = load_source(model, weights="fresh", seed=3).eval()
    # These files make all weights of one number; as initialisers they can be any.
    drawn = {n: getattr(*place).detach() for n, place in network._tensors.items()}
    made = [node for node in model.graph.node if node.output[0] in drawn]
    for node in made:
        model.graph.node.remove(node)
        array = drawn[node.output[0]].numpy()
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, node.output[0]))
    for proto in list(model.graph.initializer):
        if proto.name in drawn and proto.name not in {n.output[0] for n in made}:
            proto.CopyFrom(onnx.numpy_helper.from_array(drawn[proto.name].numpy(), proto.name))
    if model.graph.node[-1].op_type == "Softmax":  # which saturates, and hides what comes before
        output = model.graph.output[0]
        output.name = model.graph.node.pop().input[0]
        output.ClearField("type")
        network = load_source(model).eval()
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (x,) = network.example(seed=1)
    (wanted,) = session.run(None, {network.input_names[0]: x.numpy()})
    with torch.no_grad():
        found = network(x).numpy()
    assert len(drawn) > 20
    assert np.abs(wanted).max() > 2 * np.abs(wanted).mean()  # not all one number
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nasbench201", "nasbench101", "nasbench_nlp", "nats_size"])
def test_networks_of_search_spaces_agree_with_torch(name):
    space = get_space(name)
    torch.manual_seed(1)
    module = space.module(space.sample(1, seed=2)[0]).eval()
    network = load_source(exported(module, *module.example())).eval()
    inputs = network.example(2, seed=4)
    with torch.no_grad():
        found, wanted = network(*inputs), module(*inputs)
    pairs = zip(found, wanted, strict=True) if isinstance(wanted, tuple) else [(found, wanted)]
    assert all(close(a, b) for a, b in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_networks_of_timm_agree_with_torch(name):
    timm = import_timm()
    torch.manual_seed(0)
    module = timm.create_model(name).eval()
    network = load_source(exported(module, torch.zeros(1, 3, 224, 224))).eval()
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        assert close(network(x), module(x))


@pytest.mark.slow
def test_the_newer_exporter_agrees_with_torch():
    pytest.importorskip("onnxscript")
    module = NETWORKS["encoder"][0].eval()
    program = torch.onnx.export(module, (torch.randn(STEPS),), dynamo=True, verbose=False)
    network, x = load_source(program.model_proto).eval(), torch.randn(4, 6, 8)
    assert close(network(x), module(x))
