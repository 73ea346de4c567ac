"""Final values from the first part of training.

From 200 training curves each, all others are ranked, in Spearman's rho and Kendall's tau. What is
known of a tested network is its architecture and the curve up to a share of its steps. The sum of
losses is over validation losses (100 % minus accuracy where the curve is one of accuracies): no
benchmark of the corpus has training losses. Curves: NAS-Bench-NLP, cells trained 50 epochs on
WikiText-2 (validation loss); LEMUR, its runs of exactly 50 epochs (test accuracy; recipes differ,
which the curve shows and the architecture does not; rows of one family are on one side);
NAS-Bench-101, whose steps are trainings of 4, 12, 36 and 108 epochs; EC-NAS, 0, 2 and 4 epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from _report import kendall, parser, publish, spearman, table
from numpy.typing import NDArray

from archcast import datasets
from archcast.datasets.pool import open_pool
from archcast.predictors import Joined
from archcast.predictors.curves import LearningCurvePredictor, last_value, sum_of_losses

FloatArray = NDArray[np.float64]
TRAIN, TEST = 200, 2000


@dataclass(frozen=True)
class Curves:
    """Networks with whole curves.

    Attributes:
        name: of the table.
        x: (n, F) features.
        curves: (n, S) values, the last step included.
        y: (n,) final values.
        loss: whether lower is better.
        families: (n,) numbers; a family is on one side.
        steps: how many steps are known, one setting a number.
    """

    name: str
    x: NDArray[np.float32]
    curves: FloatArray
    y: FloatArray
    loss: bool
    families: NDArray[np.int64]
    steps: tuple[int, ...]


def load(name: str, task: str, steps: tuple[int, ...], length: int, families: bool) -> Curves:
    """Rows with a graph and with exactly so many steps, every family as one."""
    data, pool = datasets.load(name), open_pool()
    rows = pool.table("architectures", name, ["row", "hash"]).to_pydict()
    hashes = dict(zip(rows["row"], rows["hash"], strict=True))
    curves, y = data.curves(task), data.labels(task)
    whole = np.isfinite(curves[:, :length]).all(1) & (np.isfinite(curves).sum(1) == length)
    with_graph = np.array([hashes.get(row) is not None for row in range(len(data))])
    kept = np.flatnonzero(whole & with_graph & np.isfinite(y))
    distinct, features = pool.features(name)
    of = [hashes[row] for row in kept]
    group = np.array(data.families)[kept] if families else np.array(of)
    return Curves(
        f"{name}, {task}",
        features[np.searchsorted(distinct, of)],
        curves[kept, :length],
        y[kept],
        "loss" in task,
        np.unique(group, return_inverse=True)[1].astype(np.int64),
        steps,
    )


def spaces() -> Iterator[Curves]:
    yield load("nasbench_nlp", "wikitext2/val_loss", (2, 5, 10, 20), 50, families=False)
    yield load("lemur", "cifar10/test_accuracy", (2, 5, 10, 20), 50, families=True)
    yield load("nasbench101", "cifar10/val_accuracy", (1, 2, 3), 4, families=False)
    yield load("ec_nas", "cifar10/val_accuracy_4_epochs", (2,), 3, families=False)


#: Data, training rows, tested rows, known steps -> forecasts of the tested rows.
Method = Callable[[Curves, NDArray[np.int64], NDArray[np.int64], int], FloatArray]


def last(data: Curves, _: NDArray[np.int64], test: NDArray[np.int64], steps: int) -> FloatArray:
    return last_value(data.curves[test, :steps])


def losses(data: Curves, _: NDArray[np.int64], test: NDArray[np.int64], steps: int) -> FloatArray:
    curves = data.curves[test, :steps]
    total = sum_of_losses(curves if data.loss else 100 - curves)
    return total if data.loss else -total


def svr(features: bool, curve: bool) -> Method:
    known: dict[tuple[str, bytes], FloatArray] = {}  # without a curve all steps are the same

    def method(
        data: Curves, train: NDArray[np.int64], test: NDArray[np.int64], steps: int
    ) -> FloatArray:
        x = data.x if features else np.zeros((len(data.x), 1), np.float32)
        joined = Joined(x, data.curves[:, : steps if curve else 0])
        if not curve and (data.name, train.tobytes()) in known:
            return known[data.name, train.tobytes()]
        model = LearningCurvePredictor().fit(
            joined[train], data.y[train], groups=data.families[train]
        )
        known[data.name, train.tobytes()] = value = model.predict(joined[test])
        return value

    return method


METHODS: dict[str, Method] = {
    "last value": last,
    "sum of losses": losses,
    "nu-SVR, architecture alone": svr(features=True, curve=False),
    "nu-SVR, curve alone": svr(features=False, curve=True),
    "nu-SVR, both (`learning-curve`)": svr(features=True, curve=True),
}


def split(data: Curves, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to learn from, and others of other families to rank."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(data.families.max() + 1)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    rows = np.lexsort([rng.random(len(data.y)), place[data.families]])
    train = rows[:TRAIN]
    rest = rng.permutation(rows[~np.isin(data.families[rows], data.families[train])])
    return train, rest[:TEST]


def measure(data: Curves, seeds: int) -> tuple[list[str], list[list[str]]]:
    heads = [f"{n} of {data.curves.shape[1]} steps" for n in data.steps]
    rows = []
    for name, method in METHODS.items():
        cells = []
        for steps in data.steps:
            found = []
            for seed in range(seeds):
                train, test = split(data, seed)
                value = method(data, train, test, steps)
                found.append([f(data.y[test], value) for f in (spearman, kendall)])
            mean, std = np.mean(found, axis=0), np.std(found, axis=0)
            cells.append(f"{mean[0]:.3f} ± {std[0]:.3f} / {mean[1]:.3f}")
        rows.append([name, *cells])
    return heads, rows


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=5)
    chosen = options.parse_args()
    parts = [
        (__doc__ or "").partition("\n\n")[2].strip(),
        f"Spearman's rho, mean ± std over {chosen.seeds} draws / Kendall's tau, mean.",
    ]
    for data in spaces():
        heads, rows = measure(data, chosen.seeds)
        tested = len(split(data, 0)[1])
        parts += [f"## {data.name}: {len(data.y):,} curves, {tested:,} ranked"]
        parts += [table(("method", *heads), rows)]
    publish("Learning curves", parts, chosen.out, ("scikit-learn", "numpy"))


if __name__ == "__main__":
    main()
