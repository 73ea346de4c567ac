"""Does it help to learn what is free first? Few labels, with and without.

An ensemble of perceptrons that first learns parameters, multiplications, activations, layers and
depth of 1,500 networks of the space without a label (none of them tested), against the same
ensemble without: once on the same columns (the free ones and what tells them are hidden), once on
all features, where the free statistics are inputs instead of labels. 2,000 other networks are
ranked.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from _few import Labelled, labelled
from _report import kendall, parser, publish, spearman, table
from numpy.typing import NDArray

from archcast.predictors import Predictor, get_predictor
from archcast.predictors._free_statistics import free_statistics

SPACES = {
    "nasbench101": "cifar10/val_accuracy",
    "accel_nasbench": "imagenet1k/top1",
    "ofa_mobilenetv3": "imagenet1k/top1",
}
LABELS = (30, 100)
UNLABELLED, TESTED = 1500, 2000

FloatArray = NDArray[np.float64]
Floats = NDArray[np.float32]
#: Features and labels, features without a label, features to rank -> forecasts.
Method = Callable[[Floats, FloatArray, Floats, Floats], FloatArray]


def cold(kind: str, hide: bool = False, **params: object) -> Method:
    def method(x: Floats, y: FloatArray, _: Floats, new: Floats) -> FloatArray:
        if hide:
            x, new = free_statistics(x)[1], free_statistics(new)[1]
        return _made(kind, **params).fit(x, y).predict(new)

    return method


def pretrained(**params: object) -> Method:
    def method(x: Floats, y: FloatArray, more: Floats, new: Floats) -> FloatArray:
        labels = np.concatenate([y, np.full(len(more), np.nan)])
        predictor = _made("mlp", pretrain_free=True, **params)
        return predictor.fit(np.concatenate([x, more]), labels).predict(new)

    return method


def _made(kind: str, **params: object) -> Predictor:
    return get_predictor(kind, **params)


METHODS: dict[str, Method] = {
    "mlp, free statistics learned first": pretrained(),
    "mlp, free statistics hidden": cold("mlp", hide=True),
    "mlp, free statistics among its inputs": cold("mlp"),
    "extra trees, all features": cold("extra-trees"),
}


def scores(data: Labelled, method: Method, labels: int, seeds: int) -> list[list[float]]:
    found = []
    for seed in range(seeds):
        train, rest = data.draw(labels, len(data.y), seed)
        more, test = rest[:UNLABELLED], rest[UNLABELLED:][:TESTED]
        if len(test) < TESTED:  # a small space: half of the rest is ranked
            more, test = np.array_split(rest, 2)
        value = method(data.x[train], data.y[train], data.x[more], data.x[test])
        found.append([f(data.y[test], value) for f in (spearman, kendall)])
    return found


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--spaces", nargs="+", default=list(SPACES))
    chosen = options.parse_args()
    parts = [
        (__doc__ or "").partition("\n\n")[2].strip(),
        f"Spearman's rho, mean ± std over {chosen.seeds} draws / Kendall's tau, mean.",
    ]
    for space in chosen.spaces:
        data = labelled(space, SPACES[space])
        rows = []
        for name, method in METHODS.items():
            cells = []
            for labels in LABELS:
                found = scores(data, method, labels, chosen.seeds)
                mean, std = np.mean(found, axis=0), np.std(found, axis=0)
                cells.append(f"{mean[0]:.3f} ± {std[0]:.3f} / {mean[1]:.3f}")
            rows.append([name, *cells])
        parts += [f"## {space}, {SPACES[space]}: {len(data.y):,} networks"]
        parts += [table(("method", *(f"{n} labels" for n in LABELS)), rows)]
    packages = ("torch", "lightning-fabric", "scikit-learn", "numpy")
    publish("Free statistics first", parts, chosen.out, packages)


if __name__ == "__main__":
    main()
