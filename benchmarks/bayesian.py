"""How honest the uncertainty of predictors is, with and without the conformal layer.

NAS-Bench-201: labels of 781 of the 9,445 canonical cells, CIFAR-10 test accuracy, forecasts of the
others; and of those of them whose network is not among the labelled ones. NAS-Bench-101: as many
single-run validation accuracies, 2,000 other networks. The anchor is a random forest whose
intervals are its out-of-bag errors. Every predictor works on the logit of the accuracy.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from _report import parser, publish, table
from numpy.typing import NDArray
from tqdm import tqdm

from archcast import datasets
from archcast.datasets import protocols
from archcast.encoders import ComputeGraph
from archcast.encoders.tabular import tabular
from archcast.evaluation import metrics
from archcast.predictors import get_predictor

FloatArray = NDArray[np.float64]
LABELS = 781
OTHERS_101 = 2000
#: Row name -> registry name, parameters.
BASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bayesian-linear": ("bayesian-linear", {}),
    "gp": ("gp", {}),
    "gp-wl": ("gp-wl", {}),
    "bananas": ("bananas", {}),
    "boshnas": ("boshnas", {}),
    "ensemble of 3 lightgbm": ("ensemble", {"base": "lightgbm", "members": 3, "bootstrap": True}),
}


@dataclass(frozen=True)
class Space:
    """Rows to draw from, and what is known of them.

    Attributes:
        graphs: distinct networks.
        network: (n,) number of each row's network.
        labels: (n,) accuracies.
    """

    graphs: list[ComputeGraph]
    network: NDArray[np.intp]
    labels: FloatArray

    @classmethod
    def of(cls, benchmark: str, task: str, rows: NDArray[np.integer]) -> Space:
        data = datasets.load(benchmark)
        graphs = data.graphs(rows)
        _, first, network = np.unique(
            [g.hash for g in graphs], return_index=True, return_inverse=True
        )
        return cls([graphs[i] for i in first], network, data.labels(task)[rows])


@dataclass(frozen=True)
class Outcome:
    """Forecasts of a space's networks: mean, std, (39, n) quantiles; seconds of the fit."""

    mean: FloatArray
    std: FloatArray
    quantiles: FloatArray
    seconds: float


Method = Callable[[Space, NDArray[np.intp], int], Outcome]


def ours(kind: str, params: dict[str, Any], conformal: bool) -> Method:
    """A registered predictor, alone or calibrated."""

    def run(space: Space, train: NDArray[np.intp], seed: int) -> Outcome:
        model = get_predictor(kind, **params).set_params(seed=seed)
        if conformal:
            model = get_predictor("conformal", base=model, seed=seed)
        model.set_params(transform="logit")
        inputs: Any = space.graphs
        known: Any = [inputs[i] for i in space.network[train]]
        if model.encoding == "tabular":
            inputs = tabular(space.graphs).values
            known = inputs[space.network[train]]
        begin = time.perf_counter()
        model.fit(known, space.labels[train])
        seconds = time.perf_counter() - begin
        mean, std = model.predict(inputs, return_std=True)
        quantiles = model.quantiles(inputs, metrics.LEVELS)
        return Outcome(mean, std, quantiles, seconds)

    return run


def anchor(space: Space, train: NDArray[np.intp], seed: int) -> Outcome:
    """A random forest on the features, its out-of-bag errors the distribution of each forecast."""
    from sklearn.ensemble import RandomForestRegressor

    x = tabular(space.graphs).values
    forest = RandomForestRegressor(300, oob_score=True, random_state=seed, n_jobs=1)
    begin = time.perf_counter()
    forest.fit(x[space.network[train]], space.labels[train])
    seconds = time.perf_counter() - begin
    error = space.labels[train] - np.asarray(forest.oob_prediction_)
    mean = np.asarray(forest.predict(x))
    quantiles = mean + np.quantile(error, metrics.LEVELS)[:, None]
    return Outcome(mean, np.full(len(mean), error.std()), quantiles, seconds)


def methods() -> dict[str, Method]:
    found: dict[str, Method] = {"random forest, out-of-bag errors (anchor)": anchor}
    found["tabular (calibrates itself)"] = ours("tabular", {}, conformal=False)
    for name, (kind, params) in BASES.items():
        found[name] = ours(kind, params, conformal=False)
        found[f"{name} + conformal"] = ours(kind, params, conformal=True)
    return found


def scores(space: Space, found: Outcome, rows: NDArray[np.intp]) -> list[float]:
    """CRPS, RMSCE, coverage, width, NLL, Spearman's rho, seconds."""
    y, at = space.labels[rows], space.network[rows]
    quantiles = found.quantiles[:, at]
    low, high = (quantiles[np.argmin(np.abs(metrics.LEVELS - end))] for end in (0.05, 0.95))
    return [
        metrics.crps_quantiles(y, quantiles),
        metrics.rmsce(y, quantiles),
        metrics.coverage(y, low, high),
        metrics.width(low, high),
        metrics.gaussian_nll(y, found.mean[at], np.maximum(found.std[at], 1e-6)),
        metrics.spearman(y, found.mean[at]),
        found.seconds,
    ]


HEAD = ("predictor", "CRPS", "RMSCE", "coverage", "width", "NLL", "SPR", "fit seconds")


def measure(space: Space, seeds: int) -> tuple[list[list[str]], list[list[str]]]:
    """Rows of two tables: all other rows, and those whose network is not labelled."""
    whole, fresh = [], []
    pool = np.flatnonzero(np.isfinite(space.labels))
    for name, method in tqdm(methods().items()):
        first, second = [], []
        for seed in range(seeds):
            train = protocols.draw(pool, LABELS, seed)
            test = np.setdiff1d(pool, train)
            found = method(space, train, seed)
            first.append(scores(space, found, test))
            new = test[~np.isin(space.network[test], space.network[train])]
            second.append(scores(space, found, new))
        whole.append([name, *cells(first)])
        fresh.append([name, *cells(second)])
    return whole, fresh


def cells(rows: list[list[float]]) -> list[str]:
    mean = np.mean(rows, 0)
    forms = ("{:.3f}", "{:.3f}", "{:.3f}", "{:.2f}", "{:.3g}", "{:.3f}", "{:.1f}")
    return [form.format(value) for form, value in zip(forms, mean, strict=True)]


NOTE = (
    "CRPS and the width of the 90 % interval are in points of accuracy; RMSCE is that of central "
    "intervals of .05 to .95; NLL that of a normal distribution with the forecast's mean and "
    "standard deviation (1e-6 at least). Quoted for the anchor: CRPS .51, RMSCE .036, coverage "
    ".895, width 2.9."
)


def nasbench201(seeds: int) -> list[str]:
    space = Space.of("nasbench201", "cifar10/test_accuracy", protocols.canonical_rows())
    whole, fresh = measure(space, seeds)
    return [
        "## NAS-Bench-201, CIFAR-10 test: all other canonical cells",
        table(HEAD, whole),
        "## NAS-Bench-201: of those, the ones whose network is not labelled",
        table(HEAD, fresh),
    ]


def nasbench101(seeds: int) -> list[str]:
    size = len(datasets.load("nasbench101"))
    drawn = np.sort(np.random.default_rng(0).permutation(size)[: LABELS + OTHERS_101])
    whole, _ = measure(Space.of("nasbench101", "cifar10/val_accuracy", drawn), seeds)
    return [f"## NAS-Bench-101, validation: {OTHERS_101:,} other networks", table(HEAD, whole)]


SPACES = {"nasbench201": nasbench201, "nasbench101": nasbench101}


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("--spaces", nargs="+", choices=sorted(SPACES), default=list(SPACES))
    chosen = options.parse_args()
    parts = [f"{LABELS} labels, drawn {chosen.seeds} time(s), figures averaged. {NOTE}"]
    for name in chosen.spaces:
        parts += SPACES[name](chosen.seeds)
    packages = ("scikit-learn", "lightgbm", "torch", "scipy", "numpy")
    publish("Calibration of predictors", parts, chosen.out, packages)


if __name__ == "__main__":
    main()
