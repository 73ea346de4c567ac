"""The network that a graph becomes: the original one where a graph says enough."""

from typing import Any

import pytest

from archcast.encoders.errors import ShapeError
from archcast.encoders.spaces import get_space
from archcast.zero_cost import materialise

torch = pytest.importorskip("torch")
nn = torch.nn


def by_shape(module: Any) -> Any:
    """Give every weight the numbers that ``init="shape"`` gives one of its shape."""
    from archcast.zero_cost._program import Weight
    from archcast.zero_cost._weights import Weights

    draw = Weights(0, "shape", torch.device("cpu"), torch.float32)
    kinds = {nn.Linear: "linear", nn.Conv2d: "conv"}
    for layer in module.modules():
        kind = kinds.get(type(layer))
        if kind:
            layer.weight.data.copy_(draw(Weight(kind, tuple(layer.weight.shape), 0)))
            if layer.bias is not None:
                layer.bias.data.zero_()
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["nasbench101", "nasbench201", "nats_size", "transnas_macro", "mnasnet", "ofa_mobilenetv3",
     "ofa_resnet50", "proxylessnas", "nasbench_macro"],
)  # fmt: skip
def test_of_convolutional_spaces_the_outputs_are_those_of_the_original(name):
    space = get_space(name)
    for spec in space.sample(2, seed=5):
        original = by_shape(space.module(spec, image_size=64)).eval()
        network = materialise(space.graph(spec, image_size=64), init="shape").eval()
        x = torch.randn(2, *original.input_shapes[0], generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = original(x)
            # Norms that a graph does not show have the statistics of fresh ones: they change
            # numbers by their epsilon only.
            assert torch.allclose(network(x), expected, rtol=0, atol=2e-3 * expected.abs().max())
            for norm in [m for net in (original, network) for m in net.modules()]:
                if isinstance(norm, nn.BatchNorm2d):
                    norm.eps = 0.0
            expected = original(x)
            assert torch.allclose(network(x), expected, rtol=0, atol=1e-4 * expected.abs().max())


def test_a_network_trains():
    network = materialise(
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|"
    )
    x, y = torch.randn(8, 3, 32, 32), torch.arange(8)
    step = torch.optim.SGD(network.parameters(), 0.05)
    losses = []
    for _ in range(6):
        loss = nn.functional.cross_entropy(network(x), y)
        losses.append(loss.item())
        step.zero_grad()
        loss.backward()
        step.step()
    assert losses[-1] < 0.5 * losses[0]


def test_tokens_sequences_and_several_outputs():
    space = get_space("nasbench_nlp")
    network = materialise(space.graph(space.sample(1, seed=2)[0]))
    found = network(*network.example(3))
    assert isinstance(found, tuple)
    assert found[0].shape == (3, 10_000)


def test_a_softmax_at_the_end_stays_in_a_source_only():
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Softmax(1))
    x = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    sums = {
        form: materialise(classifier, form=form, input_shape=(1, 3, 2, 2))(x).sum(1)
        for form in ("graph", "source")
    }
    assert torch.allclose(sums["source"], torch.ones(4))
    assert not torch.allclose(sums["graph"], torch.ones(4))


def test_another_input_is_refused():
    network = materialise("|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|")
    with pytest.raises(ShapeError, match="3072"):
        network(torch.zeros(1, 3, 31, 32))
    with pytest.raises(ShapeError, match="takes 1 inputs, not 2"):
        network(*network.example(), *network.example())


def test_equal_seeds_are_equal_networks():
    spec = "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
    first, again, other = (materialise(spec, seed=seed) for seed in (1, 1, 2))
    pairs = zip(first.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(next(iter(first.weights.values())), next(iter(other.weights.values())))
