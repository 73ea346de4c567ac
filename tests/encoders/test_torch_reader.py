"""Reading torch modules, and recognising what exporters write out in pieces."""

import io
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from archcast.encoders import read  # noqa: E402
from archcast.encoders.errors import ShapeError, UnreadableModelError  # noqa: E402
from archcast.encoders.spaces._zoo_models import import_timm  # noqa: E402


def ops(module, *shape):
    return [op for op in read(module, shape).ops if op not in ("input", "output")]


class Lambda(nn.Module):
    """A function of a linear layer's result, so that there is a network around it."""

    def __init__(self, function, width=32):
        super().__init__()
        self.linear = nn.Linear(16, width)
        self.function = function

    def forward(self, x):
        return self.function(self.linear(x))


@pytest.mark.parametrize(
    ("name", "size", "params", "macs"),
    [
        ("resnet50", 224, 25_557_032, 4_089_184_256),
        ("vit_base_patch16_224", 224, 86_567_656, 17_563_828_224),
        ("mobilenetv2_100", 224, 3_504_872, 300_774_272),
    ],
)
def test_published_sizes(name, size, params, macs):
    with torch.device("meta"):
        module = import_timm().create_model(name)
    graph = read(module, (1, 3, size, size))
    assert (graph.params, graph.macs) == (params, macs)


def test_a_meta_module_is_the_module_and_keeps_its_mode():
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout())
    graph = read(module, (1, 3, 32, 32))
    assert module.training
    assert graph.ops == ["input", "conv", "relu", "output"]
    assert graph.params == 8 * 27 + 8 + 16
    assert read(module.to("meta"), (1, 3, 32, 32)) == graph


def test_several_inputs_and_keyword_shapes():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(6, 8)

        def forward(self, x, y):
            return self.a(x) + self.b(y)

    by_name = read(Two(), {"x": (1, 4), "y": (1, 6)})
    assert by_name == read(Two(), example=(torch.zeros(1, 4), torch.zeros(1, 6)))
    assert by_name.count("input") == 2


def test_in_place_operators_change_what_later_ones_read():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            h = self.a(x)
            functional.relu_(h)
            return self.b(h)

    assert ops(InPlace(), 1, 4) == ["linear", "relu", "linear"]


@pytest.mark.parametrize(
    ("expected", "function"),
    [
        ("gelu", lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5))),
        ("gelu", lambda x: 0.5 * x * (1 + torch.tanh(0.8 * (x + 0.04 * x * x * x)))),
        ("gelu", lambda x: 0.5 * x * (1 + torch.tanh(0.8 * (x + 0.04 * torch.pow(x, 3))))),
        ("silu", lambda x: x * torch.sigmoid(x)),
        ("mish", lambda x: x * torch.tanh(functional.softplus(x))),
        ("hard_swish", lambda x: x * functional.relu6(x + 3) / 6),
        ("hard_sigmoid", lambda x: functional.relu6(x + 3) / 6),
        ("relu6", lambda x: torch.clamp(x, 0, 6)),
        ("relu", lambda x: torch.clamp(x, min=0)),
        ("layer_norm", lambda x: functional.layer_norm(x, (32,))),
        (
            "layer_norm",
            lambda x: (
                (x - x.mean(-1, keepdim=True))
                / torch.sqrt((x - x.mean(-1, keepdim=True)).pow(2).mean(-1, keepdim=True) + 1e-5)
            ),
        ),
        (
            "layer_norm",
            lambda x: (
                (x - x.mean(-1, keepdim=True))
                * torch.rsqrt(x.var(-1, keepdim=True, unbiased=False) + 1e-5)
            ),
        ),
        ("rms_norm", lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)),
        ("l2_norm", lambda x: functional.normalize(x, dim=-1)),
        (
            "softmax",
            lambda x: (
                (x - x.amax(-1, keepdim=True)).exp()
                / (x - x.amax(-1, keepdim=True)).exp().sum(-1, keepdim=True)
            ),
        ),
        ("glu", functional.glu),
        ("glu", lambda x: x[..., :16] * torch.sigmoid(x[..., 16:])),
    ],
)
def test_decomposed_operators_are_one_again(expected, function):
    # A second layer keeps a softmax from being the network's last operator.
    module = nn.Sequential(Lambda(function), nn.ReLU())
    module = nn.Sequential(module[0], nn.LazyLinear(8))
    module(torch.zeros(2, 5, 16))
    assert ops(module, 1, 5, 16) == ["linear", expected, "linear"]


class Attention(nn.Module):
    def __init__(self, fused):
        super().__init__()
        self.qkv, self.out, self.fused = nn.Linear(32, 96), nn.Linear(32, 32), fused

    def forward(self, x):
        n, length, _ = x.shape
        q, k, v = self.qkv(x).reshape(n, length, 3, 4, 8).permute(2, 0, 3, 1, 4)
        if self.fused:
            y = functional.scaled_dot_product_attention(q, k, v)
        else:
            y = torch.softmax(q @ k.transpose(-2, -1) * 8**-0.5, -1) @ v
        return self.out(y.transpose(1, 2).reshape(n, length, 32))


def test_attention_in_pieces_is_attention():
    fused, pieces = (read(Attention(f), (1, 10, 32)) for f in (True, False))
    assert fused == pieces
    assert fused.ops == ["input", "linear", "attention", "linear", "output"]
    assert fused.heads.tolist() == [1, 1, 4, 1, 1]
    assert fused.macs == 10 * 32 * 96 + 10 * 32 * 32 + 2 * 4 * 10 * 10 * 8


def test_folding_batch_norm_changes_params_but_not_the_graph():
    module = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()).eval()
    folded = nn.Sequential(torch.nn.utils.fuse_conv_bn_eval(module[0], module[1]), nn.ReLU())
    a, b = read(module, (1, 3, 8, 8)), read(folded, (1, 3, 8, 8))
    assert a == b
    assert (a.params, b.params) == (8 * 27 + 16, 8 * 27 + 8)


def test_a_recurrent_module_and_its_export():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(8, 16, batch_first=True)

        def forward(self, x):
            return self.rnn(x)[0]

    graph = read(Net(), (1, 5, 8))
    assert graph.ops == ["input", "lstm", "output"]
    assert graph.macs == 5 * 4 * 16 * (8 + 16)
    assert graph.params == sum(p.numel() for p in Net().parameters())


def test_a_recording_is_text_and_back():
    from archcast.encoders._torch.capture import Recording, capture

    recording = capture(Attention(fused=True), (torch.zeros(1, 10, 32),))
    assert Recording.from_json(recording.to_json()) == recording


def test_dead_branches_are_gone():
    class Dead(nn.Module):
        def __init__(self):
            super().__init__()
            self.live, self.dead = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            self.dead(x)
            return self.live(x) + 0 * self.dead(x)

    graph = read(Dead(), (1, 4))
    assert graph.ops == ["input", "linear", "output"]
    assert graph.params == 20


def test_the_hash_is_the_same_in_another_process():
    code = (
        "import torch; from archcast.encoders import read;"
        "net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU());"
        "print(read(net, (1, 3, 9, 9)).hash)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    assert run.stdout.strip() == read(module, (1, 3, 9, 9)).hash


def test_what_cannot_be_read_says_what_to_do():
    with pytest.raises(ShapeError, match="input_shape"):
        read(nn.Linear(3, 3))

    class Branches(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(UnreadableModelError, match=r"torch\.export cannot follow Branches"):
        read(Branches(), (1, 3))
    with pytest.raises(UnreadableModelError, match=r"torch\.export"):
        read(nn.Conv2d(3, 8, 3), (1, 4, 8, 8))


def test_onnx_bytes_of_a_module_are_the_module():
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.SiLU(), nn.Flatten())
    module = nn.Sequential(module, nn.Linear(8 * 36, 10)).eval()
    file = io.BytesIO()
    torch.onnx.export(module, (torch.zeros(1, 3, 8, 8),), file, dynamo=False, opset_version=17)
    assert read(file.getvalue()) == read(module, (1, 3, 8, 8))
