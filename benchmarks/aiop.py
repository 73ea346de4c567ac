"""AIO-P on TransNAS-Bench-101's micro space: seven tasks, 20 labels of each.

The base is trained on random networks of NAS-Bench-101 (CIFAR-10 validation accuracy) and frozen;
adapters for the seven tasks are trained on random networks of TransNAS-Bench-101's macro space, of
which the micro space has none. Then 20 networks of the micro space are labelled, and Spearman's rho
is taken over all its other rows. One part is left out at a time; the baselines see the 20 labels
alone, or none. Published figures are on other data and are not quoted.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import numpy as np
from _report import parser, publish, spearman, table
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from archcast.datasets.pool import Pool, open_pool
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.tabular import tabular
from archcast.predictors import get_predictor
from archcast.predictors.graphs.aiop import AiopPredictor

FloatArray = NDArray[np.float64]

TASKS: Final = {
    "object": "taskonomy-class_object/val_accuracy",
    "scene": "taskonomy-class_scene/val_accuracy",
    "jigsaw": "taskonomy-jigsaw/val_accuracy",
    "layout": "taskonomy-room_layout/val_negative_mse",
    "segment": "taskonomy-segmentsemantic/val_pixel_accuracy",
    "normal": "taskonomy-normal/val_ssim",
    "autoencoder": "taskonomy-autoencoder/val_ssim",
}
LABELS: Final = 20


def labelled(pool: Pool, benchmark: str, *tasks: str) -> tuple[list[ComputeGraph], FloatArray]:
    """A graph a row, and (n, T) labels."""
    columns = []
    names: list[str] = []
    for task in tasks:
        rows = pool.table("labels", benchmark, ["row", "hash", "value"], tasks=task)
        order = np.argsort(rows["row"].to_numpy())
        names = np.array(rows["hash"].to_pylist())[order].tolist()
        columns.append(rows["value"].to_numpy()[order])
    graphs = pool.graphs(benchmark)
    return [graphs[name] for name in names], np.stack(columns, 1)


class Bench:
    """One draw of what is learned from, the 20 labels, and all that is ranked."""

    def __init__(self, pool: Pool, base: int, source: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        first, y = labelled(pool, "nasbench101", "cifar10/val_accuracy")
        drawn = rng.choice(len(first), base, replace=False)
        graphs, several = labelled(pool, "transnas_macro", *TASKS.values())
        other = rng.choice(len(graphs), source, replace=False)
        self.X = [first[i] for i in drawn] + [graphs[i] for i in other]
        self.y = np.full((base + source, 1 + len(TASKS)), np.nan)
        self.y[:base, 0] = y[drawn, 0]
        self.y[base:, 1:] = several[other]
        rows, self.truth = labelled(pool, "transnas_micro", *TASKS.values())
        distinct = {g.hash: g for g in rows}
        self.graphs = list(distinct.values())
        place = {name: at for at, name in enumerate(distinct)}
        self.of = np.array([place[g.hash] for g in rows])
        self.few = rng.choice(len(rows), LABELS, replace=False)
        self.rest = np.setdiff1d(np.arange(len(rows)), self.few)

    def rho(self, values: FloatArray) -> list[float]:
        """Rho of every task over the rows that are not labelled, from a value a distinct graph."""
        pairs = zip(self.truth[self.rest].T, values[self.of[self.rest]].T, strict=True)
        return [spearman(truth, value) for truth, value in pairs]

    @property
    def labels(self) -> tuple[list[ComputeGraph], FloatArray]:
        """The 20 labelled networks."""
        return [self.graphs[i] for i in self.of[self.few]], self.truth[self.few]


def baselines(bench: Bench) -> dict[str, list[float]]:
    """Name -> rho of every task."""
    x, y = tabular(bench.graphs).values, bench.labels[1]
    few = x[bench.of[bench.few]]
    trees = [
        ExtraTreesRegressor(300, random_state=0, n_jobs=1).fit(few, column).predict(x)
        for column in y.T
    ]
    process = [get_predictor("gp").fit(few, column).predict(x) for column in y.T]
    found = {
        "extra trees, 20 labels alone": bench.rho(np.stack(trees, 1)),
        "Gaussian process, 20 labels alone": bench.rho(np.stack(process, 1)),
    }
    for name, values in (
        ("params alone", [g.params for g in bench.graphs]),
        ("MACs alone", [g.macs for g in bench.graphs]),
        ("number of layers alone", [(g.op_weights > 0).sum() for g in bench.graphs]),
    ):
        found[name] = bench.rho(np.repeat(np.array(values, np.float64)[:, None], len(TASKS), 1))
    return found


def ours(bench: Bench, seed: int, epochs: int) -> dict[str, list[float]]:
    """AIO-P whole, and with one part left out at a time."""
    usual: dict[str, Any] = {"seed": seed, "epochs": epochs}
    found = {}
    model = AiopPredictor(**usual).fit(bench.X, bench.y)
    found["AIO-P"] = bench.rho(model.adapt(*bench.labels).predict(bench.graphs))
    untuned = model.set_params(adapt_epochs=0).adapt(*bench.labels)
    found["AIO-P, heads not tuned"] = bench.rho(untuned.predict(bench.graphs))
    found["AIO-P, each task's own head, no label"] = bench.rho(model.predict(bench.graphs)[:, 1:])
    plain = AiopPredictor(**usual, flops_aware=False).fit(bench.X, bench.y)
    found["AIO-P, plain labels"] = bench.rho(plain.adapt(*bench.labels).predict(bench.graphs))
    found["AIO-P, plain labels, own head, no label"] = bench.rho(plain.predict(bench.graphs)[:, 1:])
    base = np.isfinite(bench.y[:, 0])
    single = AiopPredictor(**usual).fit(
        [bench.X[i] for i in np.flatnonzero(base)], bench.y[base, 0]
    )
    found["AIO-P, NAS-Bench-101 alone"] = bench.rho(
        single.adapt(*bench.labels).predict(bench.graphs)
    )
    return found


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--base", type=int, default=300, help="networks of NAS-Bench-101")
    options.add_argument("--source", type=int, default=150, help="networks of the macro space")
    options.add_argument("--seeds", type=int, default=2)
    options.add_argument("--epochs", type=int, default=8)
    chosen = options.parse_args()
    pool = open_pool()
    figures: dict[str, list[list[float]]] = defaultdict(list)
    for seed in range(chosen.seeds):
        bench = Bench(pool, chosen.base, chosen.source, seed)
        for part in (baselines(bench), ours(bench, seed, chosen.epochs)):
            for name, values in part.items():
                figures[name].append(values)
    rows = []
    for name, values in figures.items():
        mean = np.mean(values, 0)
        spread = f" ± {np.std(np.mean(values, 1)):.3f}" if len(values) > 1 else ""
        rows.append([name, *(f"{v:.3f}" for v in mean), f"{mean.mean():.3f}{spread}"])
    note = (
        f"Mean Spearman's rho over {chosen.seeds} draws of {chosen.base:,} networks of "
        f"NAS-Bench-101, {chosen.source:,} of the macro space and {LABELS} labels; the last column "
        "is the mean over tasks, ± std over draws."
    )
    publish(
        "AIO-P: seven tasks of TransNAS-Bench-101 (micro)",
        [note, table(("predictor", *TASKS, "mean"), rows)],
        chosen.out,
        ("torch", "scikit-learn", "numpy"),
    )


if __name__ == "__main__":
    main()
