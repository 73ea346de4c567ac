"""Proxies that need no gradients, against plain computations."""

from itertools import pairwise

import numpy as np
import pytest

from archcast import encoders
from archcast.encoders.spaces import get_space
from archcast.zero_cost._program import compile_graph

torch = pytest.importorskip("torch")

from archcast.zero_cost import score  # noqa: E402
from archcast.zero_cost._data import Data  # noqa: E402
from archcast.zero_cost._execute import Mode, execute  # noqa: E402
from archcast.zero_cost._lab import Lab, Observer  # noqa: E402
from archcast.zero_cost._weights import Weights  # noqa: E402
from archcast.zero_cost.catalogue import get_proxy, implementation  # noqa: E402
from archcast.zero_cost.proxies import _spectra, az_nas, dextr, linear_regions, meco, swap, zen  # noqa: E402

nn = torch.nn
CPU = torch.device("cpu")
OURS = (
    "nwot", "activation_distance", "swap", "swap_regularised", "meco", "meco_opt", "zen",
    "linear_regions", "dextr", "az_expressivity", "az_progressivity", "az_trainability",
)  # fmt: skip
CONV_RELU_POOL = nn.Sequential(
    nn.Conv2d(3, 6, 3, padding=1),
    nn.ReLU(),
    nn.Conv2d(6, 8, 3, padding=1),
    nn.GELU(),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(8, 4),
)


def programs(specs, space="nasbench201"):
    return [compile_graph(get_space(space).graph(spec)) for spec in specs]


def program(module, shape):
    return compile_graph(encoders.read(module, input_shape=(1, *shape)))


def lab(nets, samples=4, width=1, seed=0, dtype=torch.float32):
    data = Data(samples, seed, device=CPU, dtype=dtype)
    return Lab(nets, Weights(seed, "kaiming", CPU, dtype), data, width=width)


def scored(names, nets, **setting):
    bench = lab(nets, **setting)
    made = {name: implementation(get_proxy(name)) for name in names}
    for name, compute in made.items():
        if isinstance(compute, type) and issubclass(compute, Observer):
            made[name] = compute(nets)
    bench._observers = [o for o in made.values() if isinstance(o, Observer)]
    bench.watch()
    return {
        name: (found.scores() if isinstance(found, Observer) else found(bench)).numpy()
        for name, found in made.items()
    }


def seen(net, samples=4, **setting):
    steps = []
    bench = lab([net], samples, **setting)
    bench.run(observe=steps.append)
    return steps


@pytest.fixture(scope="module")
def cells():
    return programs(get_space("nasbench201").sample(4, seed=3))


@pytest.fixture(scope="module")
def small():
    return program(CONV_RELU_POOL, (3, 8, 8))


# ---------------------------------------------------------------------- company
def test_company_changes_nothing(cells):
    together = scored(OURS, cells, samples=2, width=4)
    for a, net in enumerate(cells):
        alone = scored(OURS, [net], samples=2)
        for name in OURS:
            # Trainability is a small difference, of gradients rounded in another order.
            rel = 1e-3 if name == "az_trainability" else 1e-5
            expected = pytest.approx(alone[name][0], rel=rel, abs=1e-5, nan_ok=True)
            assert together[name][a] == expected, name


def test_seeds_count(small):
    first, again, other = (scored(OURS, [small], samples=12, seed=seed) for seed in (0, 0, 1))
    for name in OURS:
        assert first[name] == again[name]
        if name not in ("swap", "swap_regularised", "activation_distance"):
            assert first[name] != other[name], name


# ------------------------------------------------------------------------ codes
def test_nwot_is_the_kernel_of_codes(cells):
    codes = [
        (s.inputs[0] > 0).flatten(1).double() for s in seen(cells[0]) if s.instruction.op == "relu"
    ]
    kernel = sum(c @ c.T + (1 - c) @ (1 - c).T for c in codes)
    found = scored(["nwot", "activation_distance"], cells[:1])
    assert found["nwot"][0] == pytest.approx(torch.linalg.slogdet(kernel)[1].item(), rel=1e-9)
    assert found["activation_distance"][0] == kernel.sum().item()


@pytest.mark.parametrize("samples", [1, 5, 24, 25, 63, 64, 70, 200])
def test_words_are_equal_where_all_samples_agree(samples):
    generator = torch.Generator().manual_seed(samples)
    codes = (torch.randn(2, samples, 500, generator=generator) > 1.5).float()
    for rows, words in zip(codes, swap.words(codes), strict=True):
        expected = torch.unique(rows.T, dim=0).shape[0]
        assert swap.different(words).numel() == expected


def test_swap_counts_over_all_layers(cells):
    codes = [
        (s.inputs[0] > 0).flatten(1).T for s in seen(cells[0], 16) if s.instruction.op == "relu"
    ]
    expected = torch.unique(torch.cat(codes), dim=0).shape[0]
    found = scored(["swap", "swap_regularised"], cells[:1], samples=16)
    assert found["swap"][0] == expected
    off = cells[0].graph.op_weights.sum() / 1e6 - 1.5
    assert found["swap_regularised"][0] == pytest.approx(np.log(expected) - off**2 / 1.5)


def test_linear_regions_of_one_layer_are_signs():
    net = program(nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.ReLU()), (4, 6, 6))
    small = linear_regions.shrunk(net)
    assert [step.channels for step in small.instructions] == [1] * len(small)
    data = Data(linear_regions.POINTS, 0, device=CPU)
    points = data(small, small.inputs[0])
    assert points.shape[1:] == (1, 3, 3)
    # A batch norm follows: pixels above or below their mean.
    (pixels,) = (s.inputs[0] for s in _relu_steps(small, data))
    expected = torch.unique(pixels.flatten(1) > 0, dim=0).shape[0]
    assert 400 < expected <= 512
    assert linear_regions.linear_regions(lab([net]))[0] == expected


def _relu_steps(net, data):
    steps = []
    execute([net], data, Weights(0, "kaiming", CPU, torch.float32), Mode(), steps.append)
    return [step for step in steps if step.instruction.op == "relu"]


def test_shrinking_keeps_what_is_depthwise_and_flattened():
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(),
        nn.Conv2d(8, 16, 1), nn.Flatten(), nn.Linear(16 * 36, 5),
    )  # fmt: skip
    small = linear_regions.shrunk(program(module, (3, 8, 8)))
    kinds = {s.weight.kind: s for s in small.instructions if s.weight}
    assert [s.weight.shape for s in small.instructions if s.weight][:3] == [
        (1, 1, 3, 3), (1, 1, 3, 3), (2, 1, 1, 1),
    ]  # fmt: skip
    assert kinds["linear"].channels_in == 2 * 4
    assert np.isfinite(scored(["linear_regions"], [program(module, (3, 8, 8))])["linear_regions"])


# ---------------------------------------------------------------------- spectra
@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (16, 16), (64, 64)])
def test_gram_matrices_give_singular_values(shape):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, *shape, generator=generator)
    x[1, 0] = x[1, 1]  # singular if there are more columns than rows
    x[2] *= torch.logspace(0, -6, shape[0])[:, None]  # badly conditioned
    x[3] = 0
    values = torch.linalg.svdvals(x.double())
    exact = (values[:, -1] / values[:, 0]).nan_to_num()
    found = _spectra.inverse_condition(_spectra.gram(x))
    assert torch.allclose(found, exact, rtol=0, atol=1e-6)
    assert found[3] == 0


def test_what_is_not_finite_spoils_nobody_else():
    x = torch.eye(3, dtype=torch.float64).repeat(3, 1, 1)
    x[1, 0, 1], x[2, 2, 2] = float("nan"), float("inf")
    for function in (_spectra.least_eigenvalue, _spectra.inverse_condition):
        found = function(x)
        assert found[0] == 1
        assert found[1:].isnan().all()
    assert az_nas.entropy(torch.full((1, 4, 2, 1, 1), float("inf"))).isnan().all()


def test_meco_is_the_least_eigenvalue_of_correlations(small):
    expected = 0.0
    for step in seen(small, 1):
        if step.instruction.weight and step.instruction.positions > 1:
            features = step.raw[0].flatten(1).double()
            expected += torch.linalg.eigvalsh(torch.corrcoef(features))[0].item()
    assert scored(["meco"], [small])["meco"][0] == pytest.approx(expected, rel=1e-6)


def test_channels_that_stand_still_or_are_too_many_add_nothing():
    x = torch.randn(1, 4, 20)
    x[0, 2] = 3.3
    assert _spectra.least_eigenvalue(_spectra.correlation(x))[0] == 0
    net = program(nn.Sequential(nn.Conv2d(3, 80, 3, padding=1), nn.ReLU()), (3, 8, 8))
    found = scored(["meco", "meco_opt"], [net])
    assert found["meco"][0] == 0
    assert found["meco_opt"][0] > 0
    (step,) = (s for s in seen(net, 1) if s.instruction.weight)
    some = step.raw[0][meco._some(80, 8)].flatten(1).double()
    expected = 10 * torch.linalg.eigvalsh(torch.corrcoef(some))[0].item()
    assert found["meco_opt"][0] == pytest.approx(expected, rel=1e-5)


# -------------------------------------------------------------------------- zen
def test_zen_is_how_far_features_move(small):
    bench = lab([small])
    weights = Weights(0, "normal", CPU, torch.float32)
    passes = []
    for source in (bench.data, zen.changed(bench.data)):
        steps = []
        bench.run(weights=weights, source=source, observe=steps.append)
        passes.append(steps)
    ends = [next(s for s in steps if s.owners[0][0][1] == small.features) for steps in passes]
    assert ends[0].instruction.op == "gelu"
    moved = (ends[0].value - ends[1].value).abs().flatten(1).sum(1).mean().log().item()
    spreads = [
        s.raw.transpose(0, 1).flatten(1).var(1, correction=0).mean().log().item() / 2
        for s in passes[0]
        if s.instruction.norm
    ]
    assert len(spreads) == 2
    assert zen.zen(bench)[0].item() == pytest.approx(moved + sum(spreads), rel=1e-5)
    change = zen.changed(bench.data)(small, 0) - bench.data(small, 0)
    assert change.std().item() == pytest.approx(0.01, rel=0.1)
    assert abs((change * bench.data(small, 0)).mean().item()) < 2e-3


# ----------------------------------------------------------------------- az-nas
def test_entropy_of_directions():
    x = torch.zeros(2, 8, 2, 1, 1)
    x[0, :, 0, 0, 0] = torch.arange(8.0)  # one direction
    x[1, :4, 0, 0, 0] = x[1, 4:, 1, 0, 0] = torch.tensor([1.0, -1.0, 1.0, -1.0])  # two alike
    assert az_nas.entropy(x).tolist() == pytest.approx([0, np.log(2)], abs=1e-6)


def test_blocks_are_cells():
    spec = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    (net,) = programs([spec])
    ends = az_nas.blocks(net)
    assert len(ends) == 1 + 15 + 2  # stem, cells, reductions
    found = scored(["az_expressivity", "az_progressivity"], [net])
    entropies = []
    for step in seen(net):
        if step.owners[0][0][1] in ends:
            x = step.value.movedim(1, -1).flatten(0, 2).double()
            parts = torch.linalg.eigvalsh(torch.cov(x.T))
            shares = parts / parts.sum()
            entropies.append(-(shares * shares.log()).sum().item())
    assert found["az_expressivity"][0] == pytest.approx(sum(entropies), rel=1e-5)
    assert found["az_progressivity"][0] == pytest.approx(np.diff(entropies).min(), abs=1e-5)


def test_trainability_is_that_of_each_block_alone(cells):
    net = cells[0]
    bench, ends, kept = lab([net], 2), az_nas.blocks(net), {}

    def cut(step):
        node = step.owners[0][0][1]
        if node not in ends:
            return step.value
        kept[node] = (step.value, step.value.detach().requires_grad_())
        return kept[node][1]

    bench.run(mode=Mode(replace=cut))
    found = []
    for order, (begin, end) in enumerate(pairwise(ends)):
        value, leaf = kept[end][0], kept[begin][1]
        signs = az_nas._signs(bench, _Shaped(value), order)
        (grad,) = torch.autograd.grad(value, leaf, signs)
        if grad.shape[2] > signs.shape[2]:
            grad = torch.nn.functional.pixel_unshuffle(grad, 2)
        x, y = (g.transpose(0, 1).flatten(1) for g in (grad, signs))
        sigma = torch.linalg.svdvals((x @ y.T).double() / x.shape[1])[0].item()
        found.append(2 - sigma - 1 / (sigma + 1e-6))
    assert az_nas.trainability(bench)[0].item() == pytest.approx(np.mean(found), rel=1e-4)


class _Shaped:
    def __init__(self, value):
        self.value, self.values = value, value[None]


# ------------------------------------------------------------------------ dextr
def test_dextr_joins_conditions_and_curvature(small):
    bench = lab([small])
    total = 0.0
    for step in seen(small, 1):
        if step.instruction.weight and step.instruction.positions > 1:
            for value in (step.raw, step.value):
                values = torch.linalg.svdvals(value[0].flatten(1).double())
                total += (values[-1] / values[0]).item()
    a, b = np.log1p(total), np.log1p(dextr.curvature(bench)[0].item())
    assert dextr.dextr(bench)[0].item() == pytest.approx(a * b / (a + b), rel=1e-5)


def test_parts_that_are_missing():
    nan = float("nan")
    a, b = torch.tensor([2.0, 2.0, 0.0, nan]), torch.tensor([2.0, nan, 0.0, 1.0])
    found = dextr.joined(a, b)
    assert found[:3].tolist() == [1, 2, 0]
    assert found[3].isnan()


def test_outputs_that_stand_still_have_no_curvature():
    # The mean over positions of what a norm has centred there.
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    net = program(module, (3, 8, 8))
    assert dextr.curvature(lab([net])).isnan().all()
    assert scored(["dextr"], [net])["dextr"][0] > 0


def test_swap_that_shows_every_pattern_says_nothing(cells):
    graphs = [net.graph for net in cells]
    found = score(graphs, ["swap", "swap_regularised"], samples=3, cache=False)
    for name in found:
        assert np.isnan(found[name]).all()
        assert set(found.reasons[name].values()) == {"all 2^3 patterns occur: give more samples"}
    assert np.isfinite(scored(["swap"], cells, samples=32)["swap"]).all()
