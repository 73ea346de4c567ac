"""Jets against derivatives by other means; Dextr as published."""

import importlib
import math
import sys
from pathlib import Path

import pytest

from archcast import encoders
from archcast.encoders.errors import ShapeError
from archcast.encoders.spaces import get_space
from archcast.zero_cost._program import compile_graph

torch = pytest.importorskip("torch")

from archcast.zero_cost._data import Data  # noqa: E402
from archcast.zero_cost._execute import Mode, execute  # noqa: E402
from archcast.zero_cost._lab import Lab  # noqa: E402
from archcast.zero_cost._weights import Weights  # noqa: E402
from archcast.zero_cost.proxies import dextr  # noqa: E402
from archcast.zero_cost.proxies._jets import advanced, second_derivative  # noqa: E402
from archcast.zero_cost.proxies.dextr_published import dextr_published  # noqa: E402

nn = torch.nn
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
newer = importlib.import_module("_plain_newer")
CPU = torch.device("cpu")


class Odd(nn.Module):
    """Operators that are not linear, most of them in one network."""

    def __init__(self, gating):
        super().__init__()
        self.gating, self.stem = gating, nn.Conv2d(3, 8, 3, padding=1)
        self.gate = nn.Linear(8, 8)
        self.norm, self.group = nn.LayerNorm(8), nn.GroupNorm(2, 8)
        self.mix = nn.MultiheadAttention(8, 2, batch_first=True)
        self.wide = nn.Conv2d(8, 16, 1)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = nn.functional.hardswish(self.stem(x))
        x = x * self.gating(self.gate(x.mean((2, 3))))[:, :, None, None]
        x = nn.functional.max_pool2d(nn.functional.silu(self.group(x)), 2)
        x = nn.functional.glu(self.wide(x), 1)
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        tokens = tokens + self.mix(tokens, tokens, tokens, need_weights=False)[0]
        return self.head(torch.tanh(nn.functional.gelu(tokens)).mean(1))


def setting():
    return Data(1, 0, device=CPU, dtype=torch.float64), Weights(0, "kaiming", CPU, torch.float64)


def along_curve(net, at):
    """Every node's value on the circle, by an ordinary pass."""
    data, weights = setting()
    jets, found = dextr._Circle(data), {}

    def source(program, node):
        first, second, _ = jets(program, node)
        return (first * math.cos(at) + second * math.sin(at))[None]

    def note(step):
        found[step.owners[0][0][1]] = step.value[0]

    execute([net], source, weights, Mode(), note)
    return found


@pytest.mark.parametrize("which", ["cell", "odd", "darts"])
def test_jets_are_what_differences_approach(which):
    if which == "odd":
        net = compile_graph(encoders.read(Odd(nn.Hardsigmoid()).eval(), input_shape=(1, 3, 8, 8)))
        kinds = {step.op for step in net.instructions}
        assert {"attention", "layer_norm", "group_norm", "max_pool", "mul", "gelu"} <= kinds
    else:
        space = get_space("nasbench201" if which == "cell" else which)
        net = compile_graph(space.graph(space.sample(1, seed=5)[0]))
    data, weights = setting()
    jets = {}

    def note(step):
        jets[step.owners[0][0][1]] = step.value

    with torch.no_grad():
        execute([net], dextr._Circle(data), weights, Mode(replace=advanced), note)
        h = 1e-8
        before, here, after = (along_curve(net, at) for at in (-h, 0.0, h))
    checked = 0
    for node, jet in jets.items():
        assert torch.allclose(jet[0], here[node], rtol=1e-9, atol=1e-12)
        slope = (after[node] - before[node]) / (2 * h)
        # Differences leave out the few places where a kink lies between.
        off = (jet[1] - slope).abs() > 1e-4 * slope.abs().max() + 1e-9
        assert off.double().mean() < 0.05, net.instructions[node].op
        checked += 1
    assert checked == len([s for s in net.instructions if s.op != "output"])


@pytest.mark.parametrize("which", ["cell", "odd"])
def test_curvature_is_that_of_two_backward_passes(which):
    if which == "odd":
        module = Odd(nn.Sigmoid()).eval()  # torch cannot differentiate the hard one twice
        net = compile_graph(encoders.read(module, input_shape=(1, 3, 8, 8)))
    else:
        space = get_space("nasbench201")
        net = compile_graph(space.graph(space.sample(1, seed=6)[0]))
    data, weights = setting()
    circle = dextr._Circle(data)
    angle = torch.zeros((), dtype=torch.float64, requires_grad=True)

    def source(program, node):
        first, second, _ = circle(program, node)
        return (first * angle.cos() + second * angle.sin())[None]

    outputs = execute([net], source, weights, Mode())[0][0].flatten()[:10]
    speeds = [torch.autograd.grad(y, angle, create_graph=True)[0] for y in outputs]
    bends = [torch.autograd.grad(v, angle, retain_graph=True)[0] for v in speeds]
    expected = dextr.bend(torch.stack(speeds).detach(), torch.stack(bends))
    found = dextr.curvature(Lab([net], weights, data))
    assert found[0].item() == pytest.approx(expected.item(), rel=1e-6)


def test_token_ids_have_no_curvature():
    space = get_space("flexibert")
    net = compile_graph(space.graph(space.sample(1, seed=1)[0]))
    weights = Weights(0, "kaiming", CPU, torch.float32)
    bench = Lab([net], weights, Data(1, 0, device=CPU))
    conditions = dextr.Conditions([net])
    bench.run(observe=conditions.see)
    assert dextr.curvature(bench).isnan().all()
    assert dextr.dextr(bench)[0] == pytest.approx(math.log1p(conditions.scores()[0]), rel=1e-6)


def test_second_derivative_of_a_cube():
    found = second_derivative(lambda t: (t + 2) ** 3, torch.zeros((), dtype=torch.float64))
    assert [float(x) for x in found] == pytest.approx([8, 12, 12])


def test_frames_are_orthonormal():
    frame = dextr.frame(50, 3)
    assert torch.allclose(frame.T @ frame, torch.eye(2, dtype=torch.float64))
    assert not torch.equal(frame, dextr.frame(50, 4))


def test_one_number_has_no_circle():
    module = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1))
    net = compile_graph(encoders.read(module, input_shape=(1, 1)))
    bench = Lab([net], Weights(0, "kaiming", CPU, torch.float32), Data(1, 0, device=CPU))
    assert dextr.curvature(bench).isnan().all()
    assert dextr.dextr(bench).isnan().all()  # and no features that are a matrix
    assert bench.reasons


# -------------------------------------------------------------- as published
def test_the_published_way_is_the_plain_one(monkeypatch):
    module = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU()),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4),
    )  # fmt: skip
    x = torch.rand(1, 3, 8, 8)
    state = {name: value.clone() for name, value in module.state_dict().items()}
    found = dextr_published(module, x, side=12)
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    # The same circle for the plain way, which draws its own.
    circle = dextr.frame(3 * 12 * 12, 0).float()
    monkeypatch.setattr(torch.linalg, "svd", lambda *_, **__: (circle,))
    a = math.log1p(newer.inverse_conditions(module, x))
    b = math.log1p(newer.curvature(module, (3, 12, 12)))
    assert found == pytest.approx(a * b / (a + b), rel=1e-4)


def test_the_published_way_counts_containers():
    module = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3))
    wrapped = nn.Sequential(nn.Sequential(module[0]), module[1], module[2])
    x = torch.rand(1, 3, 8, 8)
    assert dextr_published(wrapped, x, side=None) > dextr_published(module, x, side=None)


def test_a_network_of_one_size_has_no_curvature_at_another():
    module = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    # Columns of one number have one singular value: both layers and the container count 1.
    assert dextr_published(module, torch.rand(1, 3, 4, 4)) == pytest.approx(math.log(4))
    with pytest.raises(ShapeError, match="images"):
        dextr_published(module, torch.rand(1, 48))
