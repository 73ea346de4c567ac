"""Search with a budget: RoBoT, and search by forecast, beside what needs neither.

A method knows every network's scores and may look the objective up for 20 networks
(NAS-Bench-201) or 100 (TransNAS-Bench-101 micro); it returns the network with the best value it
saw. *Walks* go down one fixed ranking. RoBoT is He et al.'s (ICLR 2024) with its own base scores:
as published, on ranks, and trying four times as many weightings, since repeats cost nothing.
*Forecast* is `archcast.zero_cost.ProxySearch`. Whatever is not as published was chosen on other
objectives: NAS-Bench-101, the NATS size space, TransNAS macro, and NAS-Bench-201's NinaPro, Darcy
Flow and adversarial accuracies. (An earlier version of the forecast, in which scores and features
counted the same, had been run on these tables; the likelihood decides now.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _report import parser, publish, table
from numpy.typing import NDArray

from archcast import datasets
from archcast.datasets.pool import open_pool
from archcast.encoders.tabular import feature_names
from archcast.zero_cost.aggregate import rank_aggregate
from archcast.zero_cost.proxy_search import proxy_search
from archcast.zero_cost.robot import robot_search

FloatArray = NDArray[np.float64]
#: RoBoT's base scores, and what else was published for NAS-Bench-201.
BASE = ("grad_norm", "snip", "grasp", "fisher", "synflow", "jacov")
MORE = ("epe_nas", "flops", "l2_norm", "nwot", "params", "zen")
#: Scores below are the source's way to say that a score could not be computed.
FAILED = -1e7
#: Score -> column of the features: what is known of any network for nothing.
FREE = {"params": "log_weights", "macs": "log_macs", "layers": "log_layers"}
SETS = ("cifar10", "cifar100", "imagenet16-120")
#: TransNAS task -> what RoBoT reports after 100 queries.
TASKS = {
    "class_scene/val_accuracy": "2",
    "class_object/val_accuracy": "1",
    "jigsaw/val_accuracy": "17",
    "room_layout/val_negative_mse": "17 ± 34",
    "segmentsemantic/val_pixel_accuracy": "4",
    "normal/val_ssim": "8",
    "autoencoder/val_ssim": "66 ± 70",
}


@dataclass(frozen=True)
class Space:
    """What is known of the candidates without training.

    Attributes:
        rows: (N,) their rows in the benchmark.
        base: RoBoT's scores.
        scores: all scores.
        features: (N, F) features of the graphs.
    """

    rows: NDArray[np.int64]
    base: dict[str, FloatArray]
    scores: dict[str, FloatArray]
    features: NDArray[np.float32]


#: Candidates, (N,) objective, budget, seed -> index of the network returned.
Method = Callable[[Space, FloatArray, int, int], int]


# ------------------------------------------------------------------------------ data
def features(name: str) -> NDArray[np.float32]:
    pool = open_pool()
    rows = pool.table("architectures", name, ["row", "hash"])
    hashes = rows["hash"].to_numpy()[np.argsort(rows["row"].to_numpy())].astype(str)
    distinct, values = pool.features(name)
    return values[np.searchsorted(distinct, hashes)]


def free(values: NDArray[np.float32]) -> dict[str, FloatArray]:
    names = feature_names()
    return {k: values[:, names.index(column)].astype(np.float64) for k, column in FREE.items()}


def from_file(path: Path, specs: Sequence[str]) -> dict[str, FloatArray]:
    """Scores of the library's own: a column ``spec``, and one a score; NaN where missing."""
    import pandas as pd

    frame = pd.read_parquet(path).set_index("spec").reindex(list(specs))
    return {str(name): frame[name].to_numpy(np.float64) for name in frame.columns}


def nasbench201(path: Path | None) -> Space:
    data, values = datasets.load("nasbench201"), features("nasbench201")
    if path is not None:
        scores = from_file(path, data.specs)
    else:
        scores = {name: data.proxy_scores(f"cifar10/{name}") for name in BASE + MORE}
    known = np.any([~np.isnan(column) for column in scores.values()], axis=0)
    scores = {k: np.where(v < FAILED, np.nan, v) for k, v in scores.items()}
    return _space(np.flatnonzero(known), scores, values)


def transnas(task: str, path: Path | None) -> Space:
    data, values = datasets.load("transnas_micro"), features("transnas_micro")
    zen = data.proxy_scores(f"taskonomy-{task.partition('/')[0]}/zen")
    scores = free(values) | {"zen": np.where(zen < FAILED, np.nan, zen)}
    if path is not None:
        scores |= from_file(path, data.specs)
    return _space(np.arange(len(values)), scores, values)


def _space(
    rows: NDArray[np.int64], scores: Mapping[str, FloatArray], values: NDArray[np.float32]
) -> Space:
    kept = {name: column[rows] for name, column in scores.items()}
    base = {name: kept[name] for name in BASE if name in kept} or kept
    return Space(rows, base, kept, values[rows])


# --------------------------------------------------------------------------- methods
def walk(ranking: FloatArray, truth: FloatArray, budget: int) -> int:
    first = np.argsort(-np.where(np.isnan(ranking), -np.inf, ranking), kind="stable")[:budget]
    return int(first[np.argmax(truth[first])])


def best_single(space: Space, truth: FloatArray, budget: int, seed: int) -> int:
    """The walk down that score which does best: no method, a bound."""
    found = [walk(score, truth, budget) for score in space.scores.values()]
    return max(found, key=lambda index: truth[index])


def random_search(space: Space, truth: FloatArray, budget: int, seed: int) -> int:
    drawn = np.random.default_rng(seed).choice(len(truth), budget, replace=False)
    return int(drawn[np.argmax(truth[drawn])])


METHODS: dict[str, Method] = {
    "random search": random_search,
    "walk down the best single score (hindsight)": best_single,
    "walk down Σ log rank of the base scores": lambda space, truth, budget, _: walk(
        rank_aggregate(space.base), truth, budget
    ),
    "walk down Σ log rank of all scores": lambda space, truth, budget, _: walk(
        rank_aggregate(space.scores), truth, budget
    ),
    "RoBoT": lambda space, truth, budget, seed: (
        robot_search(space.base, truth.__getitem__, budget, seed=seed).best
    ),
    "RoBoT, ranks": lambda space, truth, budget, seed: (
        robot_search(space.base, truth.__getitem__, budget, seed=seed, scale="rank").best
    ),
    "RoBoT, four times the weightings": lambda space, truth, budget, seed: (
        robot_search(space.base, truth.__getitem__, budget, seed=seed, explore=4 * budget).best
    ),
    "forecast, base scores": lambda space, truth, budget, seed: (
        proxy_search(space.base, truth.__getitem__, budget, seed=seed).best
    ),
    "forecast, all scores": lambda space, truth, budget, seed: (
        proxy_search(space.scores, truth.__getitem__, budget, seed=seed).best
    ),
    "forecast, all scores and features": lambda space, truth, budget, seed: (
        proxy_search(
            space.scores, truth.__getitem__, budget, seed=seed, features=space.features
        ).best
    ),
}


# ---------------------------------------------------------------------------- tables
def spread(values: Sequence[float] | FloatArray, digits: int) -> str:
    return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}"


def rank(truth: FloatArray, index: int) -> int:
    return int((truth > truth[index]).sum()) + 1


def accuracies(space: Space, objectives: Sequence[str], seeds: int) -> list[list[str]]:
    """Rows: the best of the objective, then the methods. Columns: objective's rank, test sets.

    Args:
        space: the candidates.
        objectives: one for all three data sets, or one for each.
        seeds: runs.
    """
    data = datasets.load("nasbench201")
    tests = [data.labels(f"{name}/test_accuracy")[space.rows] for name in SETS]
    truths = [data.labels(name)[space.rows] for name in objectives]
    pairs = [(truths[at % len(truths)], test) for at, test in enumerate(tests)]
    best = [f"{test[truth.argmax()]:.2f}" for truth, test in pairs]
    found = [["*the best of the objective*", "1", *best]]
    for name, method in METHODS.items():
        runs = [[method(space, truth, 20, seed) for seed in range(seeds)] for truth in truths]
        ranks = [np.array([rank(t, i) for i in r]) for t, r in zip(truths, runs, strict=True)]
        middle = " / ".join(f"{np.median(r):.0f}" for r in ranks)
        cells = [spread(test[runs[at % len(runs)]], 2) for at, (_, test) in enumerate(pairs)]
        found.append([name, middle, *cells])
    return found


def ranks(path: Path | None, seeds: int) -> list[list[str]]:
    """Rows: methods. Columns: tasks, the rank of the network returned."""
    data = datasets.load("transnas_micro")
    # Nothing but the free scores is known of all networks: these are the base scores, too. Four
    # hundred weightings would take minutes a run.
    methods = {k: run for k, run in METHODS.items() if "base" not in k and "four" not in k}
    columns: dict[str, list[str]] = {name: [] for name in methods}
    for task in TASKS:
        space, truth = transnas(task, path), data.labels(f"taskonomy-{task}")
        for name, method in methods.items():
            got = [rank(truth, method(space, truth, 100, seed)) for seed in range(seeds)]
            columns[name].append(f"{spread(got, 0)} ({np.median(got):.0f})")
    return [[name, *cells] for name, cells in columns.items()]


def report_nasbench201(path: Path | None, seeds: int) -> list[str]:
    space = nasbench201(path)
    head = ("method", "rank", *(f"{name} test" for name in SETS))
    published = ["RoBoT (published)", "-", "94.36", "73.51", "46.34"]
    optimum = ["*optimum of the space*", "-", "94.37", "73.51", "47.31"]
    parts = [
        f"## NAS-Bench-201, 20 queries\n\nCandidates: the {len(space.rows):,} networks with "
        f"scores ({', '.join(space.scores)}), all computed on CIFAR-10. `rank` is the median over "
        "seeds of the rank the network returned has in the objective; where a data set has its own "
        "objective, for each of them. The first row is what a perfect search would return: no "
        "method can be better than luck above it.",
    ]
    for title, names in OBJECTIVES.items():
        more = [published, optimum] if len(names) == 1 else [optimum]
        parts += [f"### Objective: {title}", table(head, accuracies(space, names, seeds) + more)]
    return parts


def report_transnas(path: Path | None, seeds: int) -> list[str]:
    return [
        "## TransNAS-Bench-101 micro, 100 queries\n\nThe rank, among 4,096, of the validation "
        "metric of the network returned; in brackets the median. RoBoT's own scores are published "
        "for 711 of the networks only, so that here every method has params, macs, layers and zen.",
        table(
            ("method", *(task.partition("/")[0] for task in TASKS)),
            [*ranks(path, seeds), ["RoBoT, its own scores (published)", *TASKS.values()]],
        ),
    ]


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=10)
    options.add_argument("--space", choices=("nasbench201", "transnas_micro"), required=True)
    options.add_argument(
        "--scores", type=Path, help="parquet of own scores: spec, a column a score"
    )
    chosen = options.parse_args()
    report = {"nasbench201": report_nasbench201, "transnas_micro": report_transnas}[chosen.space]
    parts = [
        (__doc__ or "").partition("\n\n")[2].strip(),
        f"Mean ± std over {chosen.seeds} seeds.",
        *report(chosen.scores, chosen.seeds),
    ]
    publish("Search with a budget", parts, chosen.out, ("numpy",))


OBJECTIVES = {
    "CIFAR-10 validation after 12 epochs, as RoBoT has it": ["cifar10/val_accuracy_12_epochs"],
    "each data set's validation after 12 epochs": [f"{s}/val_accuracy_12_epochs" for s in SETS],
    "each data set's validation after 200 epochs": [f"{s}/val_accuracy" for s in SETS],
}

if __name__ == "__main__":
    main()
