"""The trainable networks, and that reading them gives the graphs the spaces build directly."""

import sys

import pytest

from archcast.encoders.errors import MissingExtraError
from archcast.encoders.spaces import get_space

#: Sampled cells, for each space some that only some operators of a network make.
PLAIN = {
    "nasbench101": get_space("nasbench101").sample(4, seed=11),
    "nasbench201": [s for s in get_space("nasbench201").sample(40, seed=11) if "none" not in s][:4],
}
DEAD = [s for s in get_space("nasbench201").sample(10, seed=11) if "none" in s][:3]


def read_module(name: str, spec: str):
    torch = pytest.importorskip("torch")
    from archcast.encoders import read

    space = get_space(name)
    with torch.device("meta"):
        module = space.module(spec).eval()
    return read(module, input_shape=(1, 3, 32, 32))


@pytest.mark.parametrize(("name", "spec"), [(n, s) for n, specs in PLAIN.items() for s in specs])
def test_module_reads_as_the_direct_graph(name, spec):
    graph = read_module(name, spec)
    direct = get_space(name).graph(spec)
    assert graph == direct
    assert graph.params == direct.params
    assert graph.macs == direct.macs


@pytest.mark.parametrize("spec", DEAD)
def test_module_with_dead_edges_reads_as_the_direct_graph(spec):
    assert read_module("nasbench201", spec) == get_space("nasbench201").graph(spec)


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_module_trains(name):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = get_space(name).module(PLAIN[name][0], num_classes=3)
    logits = module(torch.randn(2, 3, 8, 8))
    assert logits.shape == (2, 3)
    logits.sum().backward()
    assert all(p.grad is not None for p in module.parameters())


def test_missing_torch_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"archcast\[torch\]"):
        get_space("nasbench201").module((1, 1, 1, 1, 1, 1))
