from functools import partial

import numpy as np
import pytest

from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces import get_space
from archcast.encoders.spaces._net_graph import GraphNet

torch = pytest.importorskip("torch")

from archcast import zero_cost  # noqa: E402
from archcast.zero_cost._data import Data  # noqa: E402
from archcast.zero_cost._lab import Lab  # noqa: E402
from archcast.zero_cost._program import Program, compile_graph  # noqa: E402
from archcast.zero_cost._weights import Weights  # noqa: E402
from archcast.zero_cost.proxies._transformer_parts import parts_of  # noqa: E402
from archcast.zero_cost.proxies.transformer import components, nuclear_norm  # noqa: E402

CPU = torch.device("cpu")
ALL = ["head_confidence", "w_pca", "synaptic_diversity", "synaptic_saliency", "dss"]
score = partial(zero_cost.score, samples=3, cache=False)


def block(*, joined: bool = False, tokens: int = 6, width: int = 8) -> ComputeGraph:
    """One layer of attention and one of feed-forward, the mean over tokens, a classifier."""
    net = GraphNet()
    x = net.input((tokens, width))
    if joined:
        qkv = net.linear(x, 3 * width, bias=False)
        q, k, v = (net.slice(qkv, i * width, (i + 1) * width, axis=1) for i in range(3))
    else:
        q, k, v = (net.linear(x, width, bias=False) for _ in range(3))
    y = net.add(x, net.linear(net.attention(q, k, v, 2), width, bias=False))
    z = net.linear(net.act("relu", net.linear(y, 2 * width, bias=False)), width, bias=False)
    net.output(net.linear(net.mean(net.add(y, z)), 4, bias=False))
    return net.graph("test", "block")


def by_hand(program: Program, x, drawn):
    """The block's result, (B, 4), of (B, tokens, width)."""
    values = {}
    for i, step in enumerate(program.instructions):
        read = [values[j] for j in step.inputs]
        if step.op == "input":
            values[i] = x
        elif step.op == "linear":
            values[i] = read[0] @ drawn[i].T
        elif step.op == "attention":
            q, k, v = (r.unflatten(2, (2, -1)).transpose(1, 2) for r in read)
            mixed = torch.softmax(q @ k.transpose(2, 3) / q.shape[3] ** 0.5, -1) @ v
            values[i] = mixed.transpose(1, 2).flatten(2)
        elif step.op == "relu":
            values[i] = read[0].relu()
        elif step.op == "add":
            values[i] = read[0] + read[1]
        elif step.positions == 1:
            values[i] = read[0].mean(1) if read[0].dim() == 3 else read[0]
    return values[program.outputs[0]]


def lab_of(graph: ComputeGraph) -> Lab:
    weights, data = Weights(0, "kaiming", CPU, torch.float32), Data(3, 0, device=CPU)
    return Lab([compile_graph(graph)], weights, data, differentiate=True)


def drawn(lab: Lab):
    steps = lab.programs[0].instructions
    return {i: lab.weights(s.weight).double() for i, s in enumerate(steps) if s.weight}


# ------------------------------------------------------------------- what is what
def test_operators_are_told_apart() -> None:
    program = compile_graph(block())
    steps, parts = program.instructions, parts_of(program)
    mix = next(i for i, s in enumerate(steps) if s.op == "attention")
    assert dict(parts.entering) == dict.fromkeys(steps[mix].inputs, 1)
    assert [steps[i].inputs for i in parts.leaving] == [(mix,)]
    assert [steps[i].channels for i in parts.hidden] == [16]
    assert [steps[i].channels_in for i in parts.closing] == [16]
    linear = {i for i, s in enumerate(steps) if s.op == "linear"}
    assert len(linear - parts.attention - parts.feed_forward) == 1  # the classifier


def test_one_matrix_for_queries_keys_and_values_counts_for_three() -> None:
    program = compile_graph(block(joined=True))
    assert list(parts_of(program).entering.values()) == [3]


def test_fixed_transforms_take_the_place_of_attention() -> None:
    spec = "hidden=128;layers=2;operation=DFT,SDP;heads=2,2;feed_forward=512,512;stack=3,1"
    program = compile_graph(get_space("flexibert").graphs([spec], image_size=32)[0])
    parts = parts_of(program)
    assert len(parts.entering) == 1 + 3
    assert len(parts.leaving) == 2
    assert len(parts.hidden) == 3 + 1
    assert len(parts.closing) == 2


def test_attention_that_was_not_recognised() -> None:
    parts = parts_of(
        compile_graph(
            get_space("autoformer_tiny").graphs(get_space("autoformer_tiny").sample(1, seed=0))[0]
        )
    )
    assert set(parts.entering.values()) == {3}
    assert len(parts.entering) == len(parts.leaving) == len(parts.hidden) == len(parts.closing)


# ------------------------------------------------------------------------ numbers
def test_nuclear_norms_are_sums_of_singular_values() -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((2, 7, 30), (2, 30, 7), (1, 40, 40)):
        x = torch.randn(shape, generator=generator)
        x[0] = x[0, :, :1] * x[0, :1]  # rank one: all other singular values are zero
        exact = torch.linalg.svdvals(x.double()).sum(1)
        np.testing.assert_allclose(nuclear_norm(x), exact, rtol=1e-6)


def test_components_are_those_of_a_full_decomposition() -> None:
    generator = torch.Generator().manual_seed(0)
    for size, features in ((50, 12), (12, 50)):
        x = torch.randn((3, size, features), generator=generator) * torch.linspace(1, 9, features)
        x[2] = 4.0  # nothing varies
        centred = (x - x.mean(1, keepdim=True)).double()
        shares = torch.linalg.svdvals(centred).square()
        expected = []
        for share in shares[:2]:
            held = share.cumsum(0) / share.sum()
            expected.append(int((held > 0.99).nonzero()[0]) + 1)
        assert components(x).tolist() == [*expected, 0]


def test_head_confidence_and_wpca_by_hand() -> None:
    graph = block()
    lab = lab_of(graph)
    program, weights = lab.programs[0], drawn(lab)
    x = lab.data(program, program.inputs[0]).flatten(2).transpose(1, 2).double()
    parts = parts_of(program)
    expected = sum((x @ weights[i].T).amax(1).mean() for i in parts.entering)
    found = score([graph], ["head_confidence", "w_pca"])
    assert found["head_confidence"][0] == pytest.approx(float(expected), rel=1e-5)
    seen = {}
    lab.run(observe=lambda step: seen.setdefault(step.owners[0][0][1], step.value))
    rows = seen[next(iter(parts.hidden))].flatten(2).transpose(1, 2).flatten(0, 1)
    shares = torch.linalg.svdvals((rows - rows.mean(0)).double()).square()
    count = int((shares.cumsum(0) / shares.sum() <= 0.99).sum()) + 1
    assert found["w_pca"][0] == int(graph.op_weights.sum()) * count
    assert 1 < count < 16


def test_synaptic_scores_by_hand() -> None:
    graph = block()
    lab = lab_of(graph)
    program, weights = lab.programs[0], drawn(lab)
    parts = parts_of(program)
    x = lab.data(program, program.inputs[0]).flatten(2).transpose(1, 2).double()
    leaves = {i: w.clone().requires_grad_() for i, w in weights.items()}
    logits = by_hand(program, x, leaves)
    loss = torch.nn.functional.cross_entropy(logits, lab.data.labels(4))
    grads = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
    diverse = sum(
        torch.linalg.svdvals(weights[i]).sum() * torch.linalg.svdvals(grads[i]).sum()
        for i in parts.attention
    )
    salient = sum((weights[i] * grads[i]).abs().sum() for i in parts.feed_forward)
    found = score([graph], ["synaptic_diversity", "synaptic_saliency"])
    assert found["synaptic_diversity"][0] == pytest.approx(float(diverse), rel=1e-4)
    assert found["synaptic_saliency"][0] == pytest.approx(float(salient), rel=1e-4)


def test_dss_by_hand() -> None:
    graph = block()
    lab = lab_of(graph)
    program = lab.programs[0]
    leaves = {i: w.abs().requires_grad_() for i, w in drawn(lab).items()}
    total = by_hand(program, torch.ones(1, 6, 8, dtype=torch.float64), leaves).sum()
    grads = dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))
    expected = 0.0
    for i, weight in leaves.items():
        if i in parts_of(program).attention:
            norms = (torch.linalg.svdvals(m.detach()).sum() for m in (weight, grads[i]))
            expected += float(torch.prod(torch.stack(list(norms))))
        else:
            expected += float((weight.detach() * grads[i]).abs().sum())
    assert score([graph], ["dss"])["dss"][0] == pytest.approx(expected, rel=1e-6)


# ------------------------------------------------------------------ company, limits
def test_scores_do_not_depend_on_company() -> None:
    space = get_space("flexibert")
    graphs = [block(), block(joined=True), block(tokens=9)]
    graphs += space.graphs(space.sample(2, seed=3), image_size=8)
    together = score(graphs, ALL)
    for name in ALL:
        alone = [score([graph], [name])[name][0] for graph in graphs]
        np.testing.assert_allclose(together[name], alone, rtol=1e-5, err_msg=name)
        assert np.isfinite(alone).all()


def test_networks_without_attention_have_reasons() -> None:
    space = get_space("nasbench201")
    found = score(space.graphs(space.sample(1, seed=0)), ALL)
    for name in ALL:
        assert np.isnan(found[name]).all()
        assert found.reasons[name][0].startswith("no linear layer")
    assert parts_of(compile_graph(block())).attention
