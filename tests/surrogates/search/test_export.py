"""Winners as files: torch code and ONNX are the same network as the space's own module."""

import json
import subprocess
import sys

import numpy as np
import pytest

from archcast.encoders import read
from archcast.encoders.errors import (
    InvalidSettingError,
    InvalidSpecError,
    StorageError,
    UnreadableModelError,
)
from archcast.encoders.spaces import SPACES, get_space
from archcast.search import ChoiceSpace
from archcast.search.exports import export, torch_source

#: All that say how their networks are built.
NAMES = sorted(set(SPACES) - {"timm", "torchvision", "lemur"})
#: Every operator is in one of these; reading the others takes seconds each.
READ = (
    "nasbench201", "nats_size", "darts", "nasbench_nlp", "nasbench_graph", "transnas_micro",
    "ofa_mobilenetv3", "flexibert", "hat_iwslt14deen",
)  # fmt: skip


def network_of(source: str):
    names: dict = {"__name__": "exported"}
    exec(compile(source, "exported.py", "exec"), names)  # our own code
    return names


def carried(name: str) -> str:
    """What the code calls a weight of the space's module."""
    first, number, *rest = name.split(".", 2)
    if first == "shared":
        return f"shared_{number}"
    count, _, kind = number.partition("_")
    return ".".join((f"{kind}_{count}", *rest))


@pytest.mark.parametrize("name", NAMES)
def test_torch_code_holds_the_same_weights(name):
    torch = pytest.importorskip("torch")
    space = get_space(name)
    spec = space.sample(1, seed=11)[0]
    names = network_of(torch_source(spec, space))
    with torch.device("meta"):
        network, module = names["Network"](), space.module(spec)
    shapes = {carried(k): v.shape for k, v in module.state_dict().items()}
    assert {k: v.shape for k, v in network.state_dict().items()} == shapes


@pytest.mark.slow
@pytest.mark.parametrize("name", READ)
def test_torch_code_reads_as_the_graph(name):
    torch = pytest.importorskip("torch")
    from archcast.encoders import read

    space = get_space(name)
    spec = space.sample(1, seed=11)[0]
    names = network_of(torch_source(spec, space))
    with torch.device("meta"):
        network, example = names["Network"]().eval(), names["example"]()
    assert read(network, example=example) == space.graph(spec)


@pytest.mark.parametrize(
    ("name", "size"),
    [("nasbench201", 8), ("flexibert", 12), ("autoformer_tiny", 32), ("hat_iwslt14deen", 6),
     ("nasbench_nlp", 5), ("fbnet", 32), ("transnas_macro", 32)],
)  # fmt: skip
def test_torch_code_with_the_same_weights_gives_the_same_numbers(name, size):
    torch = pytest.importorskip("torch")
    space = get_space(name)
    spec = space.sample(1, seed=5)[0]
    names = network_of(torch_source(spec, space, image_size=size))
    torch.manual_seed(1)
    module, network = space.module(spec, image_size=size).eval(), names["Network"]().eval()
    network.load_state_dict({carried(k): v for k, v in module.state_dict().items()})
    inputs = [
        torch.randint(0, 2, x.shape) if x.dtype == torch.int64 else torch.randn(x.shape)
        for x in names["example"](2)
    ]
    with torch.no_grad():
        expected, found = module(*inputs), network(*inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    found = found if isinstance(found, tuple) else (found,)
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.slow
def test_the_file_runs_without_archcast(tmp_path):
    pytest.importorskip("torch")
    space = get_space("nasbench201")
    spec = space.sample(1, seed=3)[0]
    (path,) = export(spec, space, tmp_path, ["torch"], name="best")
    assert "archcast" not in path.read_text().replace("written by archcast", "")
    command = [sys.executable, "-I", str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "outputs: [(1, 10)]" in done.stdout
    assert f"parameters: {sum(p.numel() for p in space.module(spec).parameters())}" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nats_size", "flexibert"])
def test_onnx_is_the_same_network(name, tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    ort = pytest.importorskip("onnxruntime")
    from archcast.encoders import read

    space = get_space(name)
    spec = space.sample(1, seed=3)[0]
    size = {"nats_size": 8, "flexibert": 12}[name]
    (path,) = export(spec, space, tmp_path, ["onnx"], image_size=size)
    assert read(str(path)) == space.graph(spec, image_size=size)
    torch.manual_seed(0)
    module = space.module(spec, image_size=size).eval()
    inputs = [
        torch.randint(0, 2, x.shape) if x.dtype == torch.int64 else torch.randn(x.shape)
        for x in module.example(3)  # another batch than it was exported with
    ]
    session = ort.InferenceSession(str(path))
    given = {i.name: x.numpy() for i, x in zip(session.get_inputs(), inputs, strict=True)}
    with torch.no_grad():
        expected = module(*inputs)
    for a, b in zip(expected if isinstance(expected, tuple) else (expected,),
                    session.run(None, given), strict=True):  # fmt: skip
        np.testing.assert_allclose(a.numpy(), b, atol=1e-4)


def test_the_text_file_says_what_is_known(tmp_path):
    space = get_space("nasbench201")
    spec = space.sample(1, seed=3)[0]
    (path,) = export(f"nasbench201:{spec}", "nasbench201", tmp_path, ["spec"], facts={"costs": {}})
    found = json.loads(path.read_text())
    assert found["spec"] == spec
    assert found["hash"] == space.graph(spec).hash
    assert path.name == f"nasbench201-{found['hash'][:8]}.json"
    assert found["costs"] == {}


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(InvalidSettingError, match="tensorflow"):
        export("x", "nasbench201", tmp_path, ["tensorflow"])
    with pytest.raises(InvalidSpecError):
        export("x", "nasbench201", tmp_path, ["spec"])
    spec = get_space("nasbench201").sample(1)[0]
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        export(spec, "nasbench201", tmp_path / "file", ["spec"])


def test_a_space_without_a_description_has_no_torch_code():
    class Foreign(type(get_space("nasbench201"))):
        name = "foreign"

        def build(self, net, cell, num_classes, image_size):
            from archcast.encoders.errors import NotANetworkError

            raise NotANetworkError("elsewhere")

    with pytest.raises(InvalidSettingError, match=r"can be written: spec$"):
        torch_source(get_space("nasbench201").sample(1)[0], Foreign())


def own_space(to_network, **options):
    return ChoiceSpace("own", {"width": [4, 8]}, to_network, **options)


def nats_graph(choices):
    return get_space("nats_size").graph(":".join([str(choices["width"] * 8)] * 5))


def test_a_space_of_graphs_says_what_can_be_written(tmp_path):
    pytest.importorskip("onnxscript")
    own = own_space(nats_graph)
    assert len(export("width=4", own, tmp_path, ["spec"])) == 1
    for kind in ("torch", "onnx"):
        with pytest.raises(InvalidSettingError, match=r"own.*can be written: spec$"):
            export("width=4", own, tmp_path, [kind])


def plain_modules(torch):
    class Plain(torch.nn.Module):
        def __init__(self, width):
            super().__init__()
            self.conv, self.out = torch.nn.Conv2d(1, width, 3), torch.nn.Linear(width, 10)

        def forward(self, x):
            return self.out(self.conv(x).mean((2, 3)))

    return Plain


def test_a_space_of_modules_says_what_can_be_written():
    plain = plain_modules(pytest.importorskip("torch"))
    own = own_space(lambda c: plain(c["width"]), input_shape=(1, 1, 20, 20))
    with pytest.raises(InvalidSettingError, match=r"can be written: spec and onnx$"):
        torch_source("width=4", own)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1, 20, 20), {"x": (1, 1, 20, 20)}])
def test_modules_of_one_s_own_are_written_with_their_own_input(tmp_path, shape):
    plain = plain_modules(pytest.importorskip("torch"))
    pytest.importorskip("onnxscript")
    own = own_space(lambda c: plain(c["width"]), input_shape=shape)
    (path,) = export("width=4", own, tmp_path, ["onnx"])
    assert read(str(path)) == own.graph("width=4")


@pytest.mark.slow
def test_a_module_that_torch_cannot_follow_is_named(tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")

    class Undecided(plain_modules(torch)):
        def forward(self, x):
            return super().forward(x if len(x) == 1 or x.sum() > 0 else -x)

    own = own_space(lambda c: Undecided(c["width"]), input_shape=(1, 1, 20, 20))
    with pytest.raises(UnreadableModelError, match="own: width=4 cannot be written") as told:
        export("width=4", own, tmp_path, ["onnx"])
    assert "\n" not in str(told.value)
