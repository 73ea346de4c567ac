"""Ranks on NAS-Bench-201 from few labels.

Three protocols on CIFAR-10 test accuracy, in Kendall's tau: all 15,625 cells are ranked, the
labelled ones included, as in the literature; the same without any cell whose network is among the
labelled ones (class-disjoint); and the 9,445 canonical cells that are left when operators on no
path count as absent. A fourth on CIFAR-100, in Spearman's rho: 100 labels, 1,000 other cells. The
table names what the published figures used; they are quoted, not rerun.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from _report import kendall, parser, publish, spearman, table
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from archcast import datasets
from archcast.datasets import protocols
from archcast.encoders.tabular import feature_names, tabular
from archcast.predictors.tabular_predictor import TabularPredictor

FloatArray = NDArray[np.float64]
Model = Callable[[NDArray[np.float32], FloatArray, NDArray[np.float32]], FloatArray]
ALL = protocols.LABELS["nasbench201/all"]
CANONICAL = protocols.LABELS["nasbench201/canonical"]


def ours(x: NDArray[np.float32], y: FloatArray, new: NDArray[np.float32]) -> FloatArray:
    return TabularPredictor("logit").fit(x, y).predict(new)


def forest(x: NDArray[np.float32], y: FloatArray, new: NDArray[np.float32]) -> FloatArray:
    return RandomForestRegressor(200, random_state=0, n_jobs=1).fit(x, y).predict(new)


def forest_on_sizes(x: NDArray[np.float32], y: FloatArray, new: NDArray[np.float32]) -> FloatArray:
    picked = [feature_names().index(name) for name in ("log_weights", "log_macs")]
    return forest(x[:, picked], y, new[:, picked])


MODELS: dict[str, Model] = {
    "archcast": ours,
    "random forest, same features": forest,
    "random forest, params and MACs": forest_on_sizes,
}


class Space:
    """NAS-Bench-201's cells: their features by class of equal networks."""

    def __init__(self) -> None:
        data = datasets.load("nasbench201")
        graphs = data.graphs()
        hashes = [g.hash for g in graphs]
        self.cell_class = np.unique(hashes, return_inverse=True)[1]
        first = np.unique(self.cell_class, return_index=True)[1]
        self.features = tabular([graphs[i] for i in first]).values
        self.labels = data.labels("cifar10/test_accuracy")
        self.cifar100 = data.labels("cifar100/test_accuracy")
        self.canonical = protocols.canonical_rows()

    def measure(
        self, model: Model, labelled: NDArray[np.intp], pool: NDArray[np.intp]
    ) -> list[float]:
        """Kendall's tau over the pool, and over what shares no network with the labelled cells."""
        x = self.features[self.cell_class[labelled]]
        value = model(x, self.labels[labelled], self.features)[self.cell_class]
        fresh = pool[~np.isin(self.cell_class[pool], self.cell_class[labelled])]
        return [kendall(self.labels[rows], value[rows]) for rows in (pool, fresh)]


def cells(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def protocol(
    space: Space, pool: NDArray[np.intp], sizes: tuple[int, ...], seeds: int
) -> tuple[list[list[str]], list[list[str]]]:
    """Rows of the two tables of one pool: whole, and class-disjoint."""
    whole, disjoint = [], []
    for name, model in MODELS.items():
        taus = [
            [
                space.measure(model, protocols.draw(pool, size, seed), pool)
                for seed in range(seeds if size > 200 else 2 * seeds)
            ]
            for size in sizes
        ]
        whole.append([name, *(cells([t[0] for t in column]) for column in taus)])
        disjoint.append([name, *(cells([t[1] for t in column]) for column in taus)])
    return whole, disjoint


def thousand_others(space: Space, trials: int) -> list[list[str]]:
    """One row a model: Spearman's rho over 1,000 cells, CIFAR-100, from 100 others."""
    rows = []
    for name, model in MODELS.items():
        scores = []
        for seed in range(trials):
            drawn = np.random.default_rng(seed).permutation(len(space.cifar100))[:1100]
            x = space.features[space.cell_class[drawn]]
            value = model(x[:100], space.cifar100[drawn[:100]], x[100:])
            scores.append(spearman(space.cifar100[drawn[100:]], value))
        rows.append([name, cells(scores)])
    return [*rows, ["XGBoost on one-hot + 13 proxies (published, 100 trials)", "0.908 ± 0.012"]]


def quoted(which: str, sizes: tuple[int, ...]) -> list[list[str]]:
    found = protocols.protocol(which).published
    return [
        [f"{name} (published)", *(f"{v[n]:.3f}" if n in v else "-" for n in sizes)]
        for name, v in found.items()
    ]


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--trials", type=int, default=20, help="draws of the fourth protocol")
    chosen = options.parse_args()
    space = Space()
    whole, disjoint = protocol(space, np.arange(len(space.labels)), ALL, chosen.seeds)
    canonical, _ = protocol(space, space.canonical, CANONICAL, chosen.seeds)
    labels = [f"{n} labels" for n in ALL]
    note = (
        f"Mean ± std of Kendall's tau over {chosen.seeds} draws of the labels "
        f"({2 * chosen.seeds} for at most 200 labels); {len(space.features)} different networks."
    )
    parts = [
        note,
        "## All 15,625 cells",
        table(("predictor", *labels), whole + quoted("nasbench201/all", ALL)),
        "## Class-disjoint: without cells whose network is labelled",
        table(("predictor", *labels), disjoint),
        f"## The {len(space.canonical):,} canonical cells",
        table(
            ("predictor", *(f"{n} labels" for n in CANONICAL)),
            canonical + quoted("nasbench201/canonical", CANONICAL),
        ),
        f"## CIFAR-100: 100 labels, 1,000 other cells, {chosen.trials} draws, Spearman's rho",
        table(("predictor", "100 labels"), thousand_others(space, chosen.trials)),
    ]
    publish(
        "NAS-Bench-201 with few labels",
        parts,
        chosen.out,
        ("lightgbm", "scikit-learn", "numpy"),
    )


if __name__ == "__main__":
    main()
