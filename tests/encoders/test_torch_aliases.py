"""Writing into a tensor reaches all that share its memory, and nothing else."""

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from archcast.encoders._simplify import simplify
from archcast.encoders._torch import capture, lower, record


class Net(nn.Module):
    """Two convolutions for a test's own forward pass."""

    def __init__(self, run) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 4, 1)
        self.gate, self.run = nn.Conv2d(4, 4, 1), run

    def forward(self, x):
        return self.run(self, x)


def graphs(run, image=(1, 8, 6, 6)):
    module, example = Net(run), torch.zeros(image)
    found = [make(module, (example,)) for make in (record.record, capture.capture)]
    fast, slow = (simplify(lower.lower(r), source="torch", name="") for r in found)
    assert fast.hash == slow.hash
    return fast


def gated_half(net, x):
    y = net.first(x)
    half = y[:, :4]
    half.mul_(torch.sigmoid(net.gate(half)))
    return y


def test_a_write_into_a_part_reaches_the_whole():
    graph = graphs(gated_half)
    assert sorted(graph.ops).count("conv") == 2
    assert {"sigmoid", "mul"} <= set(graph.ops)
    assert graph.output_shape == (1, 8, 6, 6)


@pytest.mark.parametrize(
    "view",
    [
        lambda y: y.view(1, 8, 36),
        lambda y: y.transpose(1, 2),
        lambda y: y.flatten(1),
        lambda y: y[:],
        lambda y: y.unsqueeze(0)[0],
        lambda y: y.detach().permute(0, 2, 3, 1),
        lambda y: nn.functional.dropout(y, 0.5, training=False),
    ],
)
def test_a_write_into_a_view_of_the_whole_is_one_into_the_whole(view):
    def run(net, x):
        y = net.first(x)
        view(y).relu_()
        return net.second(y)

    graph = graphs(run)
    assert graph.ops == ["input", "conv", "relu", "conv", "output"]
    assert graph.hash == graphs(lambda net, x: net.second(net.first(x).relu())).hash


@pytest.mark.parametrize(
    "copy", [lambda y: y.clone(), lambda y: y.transpose(1, 2).contiguous(), lambda y: y + 1]
)
def test_a_write_into_a_copy_is_none_into_the_whole(copy):
    def run(net, x):
        y = net.first(x)
        copy(y).relu_()
        return net.second(y)

    assert graphs(run).ops == ["input", "conv", "conv", "output"]


def test_a_write_into_the_whole_reaches_its_parts():
    def run(net, x):
        y = net.first(x)
        half = y[:, 4:]
        y.relu_()
        return net.gate(half)

    assert "relu" in graphs(run).ops


def test_a_result_put_together_piece_by_piece_is_a_concatenation():
    def run(net, x):
        out = torch.zeros(1, 8, 6, 6)
        out[:, :4] = net.second(x)
        out[:, 4:] = net.gate(x[:, :4])
        return net.first(out)

    def joined(net, x):
        return net.first(torch.cat([net.second(x), net.gate(x[:, :4])], 1))

    assert graphs(run).hash == graphs(joined).hash


@pytest.mark.parametrize(
    "halves",
    [
        lambda y: y.chunk(2, 1),
        lambda y: y.split([4, 4], 1),
        lambda y: (y[:, :4], y[:, 4:]),
        lambda y: (y.narrow(1, 0, 4), y.narrow(1, -4, 4)),
        lambda y: y.view(1, 2, 4, 6, 6).unbind(1),
        lambda y: (both := y.view(2, 4, 6, 6), (both[:1], both[-1:]))[1],
    ],
)
def test_a_write_into_one_half_does_not_reach_the_other(halves):
    def run(net, x):
        one, other = halves(net.first(x))
        one.relu_()
        return net.gate(other)

    assert "relu" not in graphs(run).ops


def test_what_is_overwritten_is_forgotten():
    def run(net, x):
        y = net.second(x)
        y.copy_(net.gate(x[:, :4]))
        return y

    assert graphs(run).ops.count("conv") == 1


def test_numbers_written_into_a_tensor_change_no_graph():
    def run(net, x):
        y = net.first(x)
        y[:, 0] = 0
        y[:, :, 0].fill_(1.0)
        return net.second(y)

    assert graphs(run).hash == graphs(lambda net, x: net.second(net.first(x))).hash
