"""Does a forecast get better if the recipe is told? Architecture, recipe, and both.

Scores of runs whose recipe differs from row to row: language models of SCAN-Bench (test loss;
tokens, learning rate, weight decay, betas, batch size, cooldown), networks of LEMUR trained for 5
epochs on CIFAR-10 (test accuracy; learning rate, batch size, momentum), and cells of NAS-Bench-101
trained for 4, 12, 36 and 108 epochs. 300 runs are learned from, 1,500 at most are ranked; all runs
of one network (LEMUR: of one family) are on one side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from _report import kendall, parser, publish, spearman, table
from numpy.typing import NDArray

from archcast import datasets
from archcast.datasets.pool import open_pool
from archcast.predictors import Joined, get_predictor

#: Predictors, with what is not their default, to be quicker.
KINDS = {"mlp": {"epochs": 60}, "lightgbm": {}}
TRAIN, TEST = 300, 1500


@dataclass(frozen=True)
class Runs:
    """Trainings of networks under recipes.

    Attributes:
        name: of the table.
        x: (n, F) features.
        recipe: (n, R) numbers, NaN where unknown.
        y: (n,) scores.
        groups: (n,) numbers; rows of one are on one side.
    """

    name: str
    x: NDArray[np.float32]
    recipe: NDArray[np.float64]
    y: NDArray[np.float64]
    groups: NDArray[np.int64]


def load(name: str, tasks: dict[str, dict[str, str]], families: bool, epochs: int = 0) -> Runs:
    """Runs with a graph; task -> its recipe's fields, and whether they are taken as logarithms."""
    data, pool = datasets.load(name), open_pool()
    rows = pool.table("architectures", name, ["row", "hash"]).to_pydict()
    hashes = dict(zip(rows["row"], rows["hash"], strict=True))
    distinct, features = pool.features(name)
    parts = []
    for task, fields in tasks.items():
        recipe, y = data.recipe(task), data.labels(task)
        numbers = [
            np.broadcast_to(np.asarray(recipe[field], np.float64), y.shape) for field in fields
        ]
        logged = [
            np.log(np.where(v > 0, v, np.nan)) if how == "log" else v
            for v, how in zip(numbers, fields.values(), strict=True)
        ]
        known = np.isfinite(y) & np.array([hashes.get(r) is not None for r in range(len(y))])
        if epochs:
            known &= np.asarray(recipe["epochs"]) == epochs
        kept = np.flatnonzero(known)
        kept = np.random.default_rng(0).permutation(kept)[:6000]
        of = np.array([hashes[row] for row in kept])
        group = np.array(data.families, object)[kept].astype(str) if families else of
        parts.append((of, np.stack(logged, 1)[kept], y[kept], group))
    of, recipe, y, group = (np.concatenate(part) for part in zip(*parts, strict=True))
    x = features[np.searchsorted(distinct, of)]
    number = np.unique(group, return_inverse=True)[1].astype(np.int64)
    return Runs(", ".join((name, *tasks)), x, recipe, y, number)


def runs() -> Iterator[Runs]:
    scan = ("tokens", "lr", "weight_decay", "beta1", "beta2", "batch_size", "cooldown")
    how = {field: "" if field in ("beta1", "beta2", "cooldown") else "log" for field in scan}
    yield load("scan_bench", {"slimpajama/test_loss": how}, families=False)
    lemur = {"lr": "log", "batch_size": "log", "momentum": ""}
    yield load("lemur", {"cifar10/test_accuracy": lemur}, families=True, epochs=5)
    budgets = ("", "_36_epochs", "_12_epochs", "_4_epochs")
    tasks = {f"cifar10/val_accuracy{budget}": {"epochs": "log"} for budget in budgets}
    yield load("nasbench101", tasks, families=False)


def split(data: Runs, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to learn from, and rows of other groups to rank."""
    rng = np.random.default_rng(seed)
    place = rng.permutation(data.groups.max() + 1)
    rows = np.lexsort([rng.random(len(data.y)), place[data.groups]])
    train = rows[:TRAIN]
    rest = rng.permutation(rows[~np.isin(data.groups[rows], data.groups[train])])
    return train, rest[:TEST]


def measure(data: Runs, seeds: int) -> list[list[str]]:
    inputs = {
        "architecture": data.x,
        "recipe": Joined(np.zeros((len(data.y), 1), np.float32), data.recipe),
        "architecture and recipe": Joined(data.x, data.recipe),
    }
    rows = []
    for kind, settings in KINDS.items():
        for name, X in inputs.items():
            found = []
            for seed in range(seeds):
                train, test = split(data, seed)
                model = get_predictor(kind, **settings)
                model.fit(X[train], data.y[train], groups=data.groups[train])
                value = model.predict(X[test])
                found.append([f(data.y[test], value) for f in (spearman, kendall)])
            mean, std = np.mean(found, axis=0), np.std(found, axis=0)
            rows.append([f"{kind}: {name}", f"{mean[0]:.3f} ± {std[0]:.3f}", f"{mean[1]:.3f}"])
    return rows


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=3)
    chosen = options.parse_args()
    parts = [
        (__doc__ or "").partition("\n\n")[2].strip(),
        f"Spearman's rho, mean ± std over {chosen.seeds} draws, and Kendall's tau, mean.",
    ]
    for data in runs():
        head = ("predictor: what it is told", "SPR", "KT")
        parts += [f"## {data.name}: {len(data.y):,} runs", table(head, measure(data, chosen.seeds))]
    publish("Recipes", parts, chosen.out, ("torch", "lightgbm", "numpy"))


if __name__ == "__main__":
    main()
