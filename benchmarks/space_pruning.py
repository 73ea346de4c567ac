"""What pruning a search space by a predictor's contributions leaves of it.

GBDT-NAS learns from random architectures of a space, drops the choices that lower its forecasts
most, and the whole table of the space tells what is left: the share of architectures, their mean,
the best of them, and how good the best of 50 random ones is. Beside it, as many choices dropped at
random.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from _report import parser, publish, table
from numpy.typing import NDArray

from archcast import datasets
from archcast.encoders.spaces import Space, get_space
from archcast.predictors.trees.pruning import Choices, PrunedSpace, prune

SPACES = {
    "nasbench201": "cifar10/val_accuracy",
    "nats_size": "cifar10/test_accuracy",
    "transnas_micro": "taskonomy-class_scene/val_accuracy",
}
DRAWN = 50


def at_random(space: Space[Any], count: int, specs: list[str], seed: int) -> PrunedSpace:
    """As many choices dropped, whichever; one of every place stays."""
    choices = Choices.of(space, specs)
    rng = np.random.default_rng(seed)
    left, removed = np.bincount(choices.places()), []
    for column in rng.permutation(len(choices.columns)).tolist():
        place = choices.places()[column]
        if len(removed) < count and left[place] > 1:
            removed.append(choices.columns[column])
            left[place] -= 1
    return PrunedSpace(space, choices, removed)


def judged(kept: NDArray[np.bool_], labels: NDArray[Any], seed: int) -> list[float]:
    """Share left, mean, best, and the expected best of some random ones."""
    rng = np.random.default_rng(seed)
    rest = labels[kept & np.isfinite(labels)]
    best = [rng.choice(rest, DRAWN).max() for _ in range(200)]
    return [100 * float(kept.mean()), float(rest.mean()), float(rest.max()), float(np.mean(best))]


def rows(name: str, task: str, count: int, drops: list[float], seeds: int) -> list[list[str]]:
    data, space = datasets.load(name), get_space(name)
    labels, specs = data.labels(task), list(data.specs)
    measured = np.flatnonzero(np.isfinite(labels))
    every = np.ones(len(specs), bool)
    found = [[name, "nothing", *_cells([judged(every, labels, seed) for seed in range(seeds)])]]
    for drop in drops:
        ours, random = [], []
        for seed in range(seeds):
            known = np.random.default_rng(seed).choice(measured, count, replace=False)
            texts = [specs[i] for i in known]
            smaller = prune(space, texts, labels[known], drop=drop, seed=seed)
            other = at_random(space, len(smaller.removed), texts, seed)
            for pruned, into in ((smaller, ours), (other, random)):
                kept = np.array([spec in pruned for spec in specs])
                into.append(judged(kept, labels, seed))
        found.append([name, f"{drop:.0%} of the choices", *_cells(ours)])
        found.append([name, "as many at random", *_cells(random)])
    return found


def _cells(runs: list[list[float]]) -> list[str]:
    return [f"{np.mean(v):.2f} ± {np.std(v):.2f}" for v in zip(*runs, strict=True)]


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--labels", type=int, default=200)
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--drops", type=float, nargs="+", default=[0.2, 0.4])
    options.add_argument("--spaces", nargs="+", default=list(SPACES))
    chosen = options.parse_args()
    lines = [
        line
        for name in chosen.spaces
        for line in rows(name, SPACES[name], chosen.labels, chosen.drops, chosen.seeds)
    ]
    head = ("space", "dropped", "left, %", "mean label", "best label", f"best of {DRAWN} at random")
    tasks = ", ".join(f"{name}: {SPACES[name]}" for name in chosen.spaces)
    note = f"{chosen.labels} labels; {tasks}; mean ± std over {chosen.seeds} draws."
    publish("Search spaces pruned", [note, table(head, lines)], chosen.out, ("lightgbm", "numpy"))


if __name__ == "__main__":
    main()
