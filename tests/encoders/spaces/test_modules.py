"""The trainable networks, and that reading them gives the graphs the spaces build directly."""

import sys

import pytest

from archcast.encoders.errors import MissingExtraError
from archcast.encoders.spaces import SPACES, get_space
from archcast.encoders.spaces._base import Space

#: All but the names of model zoos, whose graphs take a second or more each, and of foreign code.
NAMES = sorted(set(SPACES) - {"timm", "torchvision", "lemur"})


def read_module(name: str, spec: str):
    torch = pytest.importorskip("torch")
    from archcast.encoders import read

    with torch.device("meta"):
        module = get_space(name).module(spec).eval()
    return read(module, example=module.example())


@pytest.mark.parametrize("name", NAMES)
def test_module_reads_as_the_direct_graph(name):
    space = get_space(name)
    for spec in space.sample(3, seed=11):
        graph, direct = read_module(name, spec), space.graph(spec)
        assert graph == direct
        assert graph.params == direct.params
        assert graph.macs == direct.macs


@pytest.mark.parametrize("name", [n for n in NAMES if type(SPACES[n]).graphs is not Space.graphs])
def test_batched_graphs_equal_those_built_one_by_one(name):
    space = get_space(name)
    specs = space.sample(40, seed=12)
    slow = Space.graphs(space, specs)
    fast = space.graphs(specs)
    assert fast == slow
    assert [g.params for g in fast] == [g.params for g in slow]


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201", "nats_size"])
def test_module_trains(name):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    space = get_space(name)
    module = space.module(space.sample(1, seed=13)[0], num_classes=3, image_size=8)
    logits = module(torch.randn(2, 3, 8, 8))
    assert logits.shape == (2, 3)
    logits.sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def test_module_with_dead_edges_reads_as_the_direct_graph():
    dead = [s for s in get_space("nasbench201").sample(10, seed=11) if "none" in s][:3]
    for spec in dead:
        assert read_module("nasbench201", spec) == get_space("nasbench201").graph(spec)


def test_missing_torch_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"archcast\[torch\]"):
        get_space("nasbench201").module((1, 1, 1, 1, 1, 1))
