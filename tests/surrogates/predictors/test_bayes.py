"""Ensembles, Gaussian processes, BANANAS and BOSHNAS, against computations of their own."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from archcast.encoders import ComputeGraph
from archcast.encoders.errors import InvalidSettingError
from archcast.encoders.ops import OP_ID
from archcast.encoders.spaces import get_space
from archcast.predictors import Predictor, get_predictor
from archcast.predictors.bayes import _dense, _exact, _paths, _relevance, _subtrees


def graph(ops: list[str], edges: list[tuple[int, int]], width: int = 8) -> ComputeGraph:
    count = len(ops)
    columns = {
        "op": [OP_ID[op] for op in ops],
        "channels_in": [width] * count,
        "channels_out": [width] * count,
    }
    return ComputeGraph.from_columns(columns, edges)


@cache
def cells() -> tuple[list[ComputeGraph], np.ndarray]:
    """60 cells of NAS-Bench-201's space, and a number that follows from their paths."""
    graphs = get_space("nasbench201").graphs(get_space("nasbench201").sample(60, seed=0))
    return graphs, np.array([float(g.count("conv") - g.count("avg_pool")) for g in graphs])


def table(rows: int = 80) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    return x, np.sin(2 * x[:, 0]) + 0.1 * rng.normal(size=rows)


# ------------------------------------------------------------------------- ensembles
def test_an_ensemble_is_the_even_mixture_of_its_members():
    x, y = table()
    fitted = get_predictor("ensemble", base="gp", members=3, bootstrap=True).fit(x, y)
    pairs = [member.predict(x, return_std=True) for member in fitted.members_]
    means, stds = (np.array(part) for part in zip(*pairs, strict=True))
    rng = np.random.default_rng(0)
    drawn = means + stds * rng.standard_normal((4000, *means.shape))  # (draws, members, rows)
    value, std = fitted.predict(x, return_std=True)
    spread = float(fitted.spread_)
    np.testing.assert_allclose((value - fitted.centre_) / spread, means.mean(0), atol=1e-9)
    np.testing.assert_allclose(std / spread, drawn.std((0, 1)), rtol=0.05)


def test_members_differ_by_seed_and_by_rows():
    x, y = table()
    same = get_predictor("ensemble", base="gp", members=2).fit(x, y)
    other = get_predictor("ensemble", base="gp", members=2, bootstrap=True).fit(x, y)
    a, b = (member.predict(x) for member in same.members_)
    np.testing.assert_array_equal(a, b)  # nothing in it is left to chance
    a, b = (member.predict(x) for member in other.members_)
    assert np.abs(a - b).max() > 1e-3
    seeds = [m.seed for m in other.members_]
    assert seeds == [0, 1]


def test_an_ensemble_of_none():
    with pytest.raises(InvalidSettingError):
        get_predictor("ensemble", base="gp", members=0).fit(*table())


def test_independent_draws_have_the_moments_that_are_forecast():
    x, y = table()
    fitted = get_predictor("ensemble", base="gp", members=2, bootstrap=True).fit(x, y)
    drawn = fitted.sample(x[:5], 4000, seed=1)
    value, std = fitted.predict(x[:5], return_std=True)
    np.testing.assert_allclose(drawn.mean(0), value, atol=4 * std.max() / 60)
    np.testing.assert_allclose(drawn.std(0), std, rtol=0.06)
    np.testing.assert_array_equal(drawn, fitted.sample(x[:5], 4000, seed=1))


# ---------------------------------------------------------------- Gaussian processes
def test_the_posterior_is_the_textbook_one():
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF

    rng = np.random.default_rng(1)
    x, y, new = rng.normal(size=(30, 2)), rng.normal(size=30), rng.normal(size=(7, 2))
    kernel = RBF(1.3)
    other = GaussianProcessRegressor(kernel, alpha=0.2, optimizer=None).fit(x, y)
    mean, std = other.predict(new, return_std=True)
    ours = _exact.Posterior(kernel(x), y, 0.2, 1.0).moments(kernel(new, x), np.ones(7))
    np.testing.assert_allclose(ours[0], mean, atol=1e-9)
    np.testing.assert_allclose(ours[1], np.sqrt(std**2 + 0.2), atol=1e-9)


def test_the_evidence_is_the_likelihood_of_the_targets():
    from scipy.stats import multivariate_normal

    rng = np.random.default_rng(2)
    root = rng.normal(size=(12, 12))
    kernel, y = root @ root.T / 12, rng.normal(size=12)
    value, noise, variance = _exact.evidence(kernel, y)

    def likelihood(noise: float, variance: float) -> float:
        total = variance * (kernel + noise * np.eye(12))
        return multivariate_normal(np.zeros(12), total, allow_singular=True).logpdf(y)

    # The closed-form variance is the maximum, but for its one label's worth of prior.
    grid = np.geomspace(variance / 3, 3 * variance, 301)
    best = grid[np.argmax([likelihood(noise, v) for v in grid])]
    assert variance == pytest.approx((12 * best + 1) / 13, rel=0.02)
    others = [likelihood(n, v) for n in _exact.NOISES for v in grid]
    assert likelihood(noise, best) > max(others) - 0.2
    assert np.isfinite(value)


@pytest.mark.parametrize("kernel", ["rbf", "matern"])
def test_gradients_of_the_evidence(kernel):
    from scipy.optimize import check_grad

    rng = np.random.default_rng(3)
    z, y = rng.normal(size=(15, 5)), rng.normal(size=15)
    square = _relevance.squares(z, np.array([0, 0, 1, 1, 1]))
    centre = np.array([-1.0, -0.5, -2.0])

    def loss(theta: Any) -> Any:
        return _relevance._loss(theta, square, y, kernel, centre)

    assert check_grad(lambda t: loss(t)[0], lambda t: loss(t)[1], centre + 0.4) < 1e-4


def test_families_that_say_nothing_get_long_length_scales():
    rng = np.random.default_rng(4)
    z = rng.normal(size=(150, 6))
    square = _relevance.squares(z, np.array([0, 0, 0, 1, 1, 1]))
    found = _relevance.tune(square, np.sin(z[:, 0]) + z[:, 1], "rbf")
    assert found.rates[0] > 10 * found.rates[1]


@pytest.mark.parametrize("kind", ["gp", "gp-wl"])
def test_drawn_functions_have_the_posterior_moments(kind):
    graphs, y = cells()
    X = table(60)[0] if kind == "gp" else graphs
    fitted = get_predictor(kind).fit(X[:40], y[:40])
    drawn = fitted.sample(X[40:], 3000)
    value, std = fitted.predict(X[40:], return_std=True)
    np.testing.assert_allclose(drawn.mean(0), value, atol=5 * std.max() / np.sqrt(3000))
    assert (drawn.std(0) < 1.05 * std).all()  # without the labels' noise


def test_a_process_on_embeddings():
    x, y = table()
    embedded = get_predictor("gp", base=_Doubled()).fit(x, y)
    plain = get_predictor("gp").fit(x, y)
    np.testing.assert_allclose(embedded.predict(x), plain.predict(x), atol=2e-2)
    with pytest.raises(InvalidSettingError, match="no embeddings"):
        get_predictor("gp", base="bananas").fit(*cells())


class _Doubled(Predictor):
    kind = "doubled"

    def __init__(self, transform: Any = "identity", seed: int = 0) -> None:
        self.transform, self.seed = transform, seed

    def embed(self, X: Any) -> np.ndarray:
        return 2 * X

    def _fit(self, X: Any, y: Any, groups: Any) -> None: ...
    def _predict(self, X: Any) -> Any: ...
    def _state(self) -> Any: ...
    def _restore(self, state: Any) -> None: ...


# --------------------------------------------------------------------- graph kernel
def colours_by_hand(g: ComputeGraph, rounds: int) -> list[list[Any]]:
    """Nested tuples in place of hashes: every node's pattern after each round."""
    kinds: list[Any] = [(op, c) for op, c in zip(g.ops, g.channels_out.tolist(), strict=True)]
    found = [kinds]
    for _ in range(rounds):
        last = found[-1]
        enter = [sorted(str(last[s]) for s, t in g.edges.tolist() if t == i) for i in range(len(g))]
        leave = [sorted(str(last[t]) for s, t in g.edges.tolist() if s == i) for i in range(len(g))]
        found.append([(a, tuple(b), tuple(c)) for a, b, c in zip(last, enter, leave, strict=True)])
    return found


def test_patterns_are_those_of_a_refinement_by_hand():
    graphs = [
        graph(["input", "conv", "relu", "conv", "add"], [(0, 1), (1, 2), (2, 3), (1, 4), (3, 4)]),
        graph(["input", "conv", "relu", "relu", "add"], [(0, 1), (1, 2), (1, 3), (2, 4), (3, 4)]),
        graph(["input", "conv", "conv"], [(0, 1), (1, 2)], width=64),
    ]
    for rounds in (0, 1, 2):
        bags = _subtrees.subtrees(graphs, rounds)
        vectors = []
        for g in graphs:
            seen: dict[Any, int] = {}
            for at, kinds in enumerate(colours_by_hand(g, rounds)):
                for kind in kinds:
                    seen[at, str(kind)] = seen.get((at, str(kind)), 0) + 1
            vectors.append({key: np.log1p(count) for key, count in seen.items()})
        expected = np.array(
            [[sum(a.get(k, 0) * b[k] for k in b) for b in vectors] for a in vectors]
        )
        norm = np.sqrt(np.diag(expected))
        np.testing.assert_allclose(
            _subtrees.gram(bags, bags), expected / np.outer(norm, norm), atol=1e-12
        )


def test_bags_can_be_cut_and_joined():
    graphs = cells()[0][:6]
    bags = _subtrees.subtrees(graphs, 2)
    rows = np.array([4, 1])
    apart = _subtrees.subtrees([graphs[4], graphs[1]], 1)
    for name in ("keys", "counts", "depth", "offsets"):
        np.testing.assert_array_equal(getattr(bags.take(rows).upto(1), name), getattr(apart, name))
    joined = _subtrees.concatenate([bags.take(rows), bags])
    np.testing.assert_allclose(
        _subtrees.gram(joined, bags)[:2], _subtrees.gram(bags, bags)[rows], atol=1e-12
    )


def test_width_tells_networks_apart_only_if_asked_to():
    narrow, wide = (graph(["input", "conv", "relu"], [(0, 1), (1, 2)], w) for w in (8, 64))
    for sizes, expected in ((False, 1.0), (True, 0.0)):
        a, b = (_subtrees.subtrees([g], 2, sizes) for g in (narrow, wide))
        assert _subtrees.gram(a, b)[0, 0] == pytest.approx(expected)


# -------------------------------------------------------------------------- BANANAS
def test_cells_end_where_everything_passes():
    space = get_space("nasbench201")
    spec = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|none~1|none~2|"
    g = space.graph(spec)
    found = _paths.path_counts([g], 64)[0]
    # Of a cell there is the skip alone: what leads to nodes that nothing follows is gone.
    assert found[0] >= 0
    counts = sorted(found.values())
    assert counts[-1] <= 15 + 3
    assert sum(_paths.cell_ends(g)) >= 3


def test_paths_of_a_diamond():
    ops = ["input", "conv", "relu", "sigmoid", "tanh", "add", "conv", "output"]
    edges = [(0, 1), (1, 2), (1, 3), (3, 4), (2, 5), (4, 5), (1, 5), (5, 6), (6, 7)]
    found = _paths.path_counts([graph(ops, edges)], 64)[0]
    # conv | relu, sigmoid-tanh, nothing | conv: the first and the last are one sequence.
    assert sorted(found.values()) == [1, 1, 1, 2]
    short = _paths.path_counts([graph(ops, edges)], 2)[0]
    assert set(short) < set(found)
    assert len(short) == 3  # the longest of the three is not followed


def test_a_chain_of_any_width_has_the_same_paths():
    a, b = (graph(["input", "conv", "relu", "output"], [(0, 1), (1, 2), (2, 3)], w) for w in (8, 9))
    assert _paths.path_counts([a], 9) == _paths.path_counts([b], 9)


def test_gradients_of_the_nets():
    nets = _dense.Nets.draw(2, [3, 4, 4, 1], seed=0)
    biases = [b.astype(float) for b in nets.biases]
    double = _dense.Nets([w.astype(float) for w in nets.weights], [b + 0.1 for b in biases])
    x = np.random.default_rng(0).normal(size=(5, 3))
    slopes = double.gradients(double.forward(x), np.ones((2, 5, 1)))
    for param, slope in zip(double.weights + double.biases, slopes, strict=True):
        place = tuple(np.array(param.shape) - 1)
        before = param[place]
        values = []
        for step in (-1e-6, 1e-6):
            param[place] = before + step
            values.append(double.forward(x)[-1].sum())
        param[place] = before
        assert slope[place] == pytest.approx((values[1] - values[0]) / 2e-6, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("maximise", [True, False])
def test_good_architectures_weigh_more(maximise):
    graphs, y = cells()
    # Labels that contradict each other: the same networks, once good and once bad.
    twice, labels = graphs * 2, np.concatenate([y, y.max() + y.min() - y])
    fitted = get_predictor("bananas", maximise=maximise, epochs=60).fit(twice, labels)
    middle = (y.max() + y.min()) / 2
    shift = fitted.predict(graphs).mean() - middle
    assert shift > 0.2 if maximise else shift < -0.2


def test_bananas_learns_cells():
    graphs, y = cells()
    fitted = get_predictor("bananas").fit(graphs[:45], y[:45])
    assert np.corrcoef(fitted.predict(graphs[45:]), y[45:])[0, 1] > 0.6


# -------------------------------------------------------------------------- BOSHNAS
torch = pytest.importorskip("torch")


def test_moments_of_a_rectified_normal():
    from archcast.predictors.bayes._npn import relu_moments

    mean, variance = torch.tensor([-1.0, 0.0, 2.0]), torch.tensor([0.5, 1.0, 2.0])
    first, second = relu_moments(mean, variance)
    rng = np.random.default_rng(0)
    drawn = np.maximum(mean.numpy() + np.sqrt(variance.numpy()) * rng.normal(size=(10**6, 3)), 0)
    np.testing.assert_allclose(first, drawn.mean(0), atol=5e-3)
    np.testing.assert_allclose(second, drawn.var(0), atol=1e-2)


def test_moments_of_a_layer_with_random_weights():
    from archcast.predictors.bayes._npn import GaussianLinear

    layer = GaussianLinear(3, 2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        layer.raw.fill_(-1.0)
        mean, variance = torch.tensor([[1.0, -0.5, 2.0]]), torch.tensor([[0.3, 0.1, 0.0]])
        first, second = (m.numpy()[0] for m in layer(mean, variance))
        rng = np.random.default_rng(0)
        n = 400_000
        spread = np.log1p(np.exp(-1.0))
        weights = layer.mean.numpy() + np.sqrt(spread) * rng.normal(size=(n, 3, 2))
        noise = np.sqrt(np.log1p(np.exp(-3.0))) * rng.normal(size=(n, 2))
        inputs = mean.numpy() + np.sqrt(variance.numpy()) * rng.normal(size=(n, 3))
    drawn = np.einsum("ni,nio->no", inputs, weights) + noise
    np.testing.assert_allclose(first, drawn.mean(0), atol=0.02)
    np.testing.assert_allclose(second, drawn.var(0), rtol=0.02)


@cache
def boshnas() -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3)).astype(np.float32)
    y = 2 * x[:, 0] + np.where(x[:, 1] > 0, 1.0, 0.05) * rng.normal(size=300)
    return get_predictor("boshnas", epochs=150, width=32, device="cpu").fit(10 * x, 100 * y), 10 * x


def test_the_gradient_of_the_bound():
    fitted, x = boshnas()
    for k1, k2 in ((0.0, 0.0), (1.0, -2.0)):
        bound, slope = fitted.ucb_gradient(x[:4], k1, k2)
        parts = fitted.components(x[:4])
        np.testing.assert_allclose(bound, parts[0] + k1 * parts[1] + k2 * parts[2], rtol=1e-4)
        # Inputs are rounded to half precision: a step must be wide to be seen.
        for column in range(3):
            step = np.zeros(3, np.float32)
            step[column] = 0.5
            ends = [fitted.ucb_gradient(x[:4] + s * step, k1, k2)[0] for s in (-1, 1)]
            np.testing.assert_allclose(slope[:, column], ends[1] - ends[0], atol=2.5, rtol=0.25)


def test_noise_is_found_where_it_is():
    fitted, _ = boshnas()
    quiet, loud = fitted.components(np.array([[0, -10, 0], [0, 10, 0]], np.float32))[1]
    assert loud > 2 * quiet


def test_settings_of_the_teacher():
    x, y = table()
    with pytest.raises(InvalidSettingError):
        get_predictor("boshnas", dropout=1.0).fit(x, y)
    with pytest.raises(InvalidSettingError):
        get_predictor("boshnas", passes=1).fit(x, y)
