"""The fast recorder gives the graphs of torch.export."""

import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from archcast.encoders._simplify import simplify
from archcast.encoders._torch import capture, lower, record
from archcast.encoders.graph import ComputeGraph


def graph(recording: capture.Recording) -> ComputeGraph:
    text = recording.to_json()
    return simplify(lower.lower(capture.Recording.from_json(text)), source="torch", name="")


class Tricky(nn.Module):
    """Constants of its own, an operator in place on a view, several results, tied weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.second.weight = self.first.weight
        self.register_buffer("scale", torch.tensor([2.0]))

    def forward(self, x):
        x = self.norm(self.conv(x)).relu_()
        a, b = x.chunk(2, dim=1)
        x = torch.cat([a * self.scale, b + torch.ones(1)], 1).mean((2, 3))
        return self.second(torch.nn.functional.gelu(self.first(x))), x


def twice(module, *args):
    return graph(record.record(module, args)), graph(capture.capture(module, args))


def test_it_is_available_here():
    assert record.available()


def test_tricky_module_on_real_tensors():
    fast, slow = twice(Tricky(), torch.zeros(1, 3, 8, 8))
    assert fast == slow
    assert fast.params == slow.params


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "vit_b_16"])
def test_torchvision_networks_on_the_meta_device(name):
    from archcast.encoders.spaces._zoo_models import torchvision_model

    with torch.device("meta"):
        module, image = torchvision_model(name, 224), torch.zeros(1, 3, 224, 224)
        fast, slow = twice(module, image)
    assert fast.hash == slow.hash
    assert fast.params == slow.params


def test_recurrent_and_attention_layers():
    layers = nn.Sequential(nn.Embedding(9, 8), nn.TransformerEncoderLayer(8, 2, 16))
    fast, slow = twice(layers, torch.zeros(1, 5, dtype=torch.int64))
    assert fast == slow
    fast, slow = twice(nn.LSTM(4, 8, 2), torch.zeros(3, 1, 4))
    assert fast == slow


def test_state_is_left_as_it_was():
    module = Tricky().train()
    record.record(module, (torch.zeros(1, 3, 8, 8),))
    assert module.training
    assert torch.is_grad_enabled()
    assert torch.relu(torch.tensor(-1.0)) == 0  # nothing is watched any more


@pytest.mark.parametrize("record", [record.record, capture.capture])
def test_parts_that_were_frozen_stay_frozen(record):
    module = Tricky().train()
    module.norm.eval()
    record(module, (torch.zeros(1, 3, 8, 8),))
    assert [module.training, module.norm.training, module.conv.training] == [True, False, True]


def test_complex_numbers_are_not_kept():
    module = nn.Identity()
    module.register_buffer("phase", torch.ones(2, dtype=torch.complex64))
    recording = record.record(module, (torch.zeros(1, 2),))
    assert not recording.values
    assert capture.Recording.from_json(recording.to_json()) == recording


def test_no_tensor_is_an_error():
    class Silent(nn.Module):
        def forward(self, x):
            return "nothing"

    with pytest.raises(ValueError, match="gives str"):
        record.record(Silent(), (torch.zeros(1),))
