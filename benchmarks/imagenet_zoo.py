"""ImageNet top-1 of network families that were never seen, from the graph alone.

Whole families of the timm zoo are held out: every row of the held-out families, whatever its
recipe and image size, is missing from the training set. Reported are the rows trained and
evaluated at 224x224 without extra data. Everything that is chosen (kernel, weight of the members,
interval calibration) is chosen inside the training families of each fold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from _report import kendall, parser, publish, spearman, table
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from archcast._training_sets import TrainingSet, imagenet
from archcast.datasets import splits, timm_zoo
from archcast.encoders.tabular import feature_names
from archcast.predictors import TabularPredictor

FloatArray = NDArray[np.float64]
SIZES = ("log_weights", "log_macs", "log_written")
#: Model -> whether it has intervals, too.
Fitted = tuple[FloatArray, FloatArray, FloatArray]
Model = Callable[[TrainingSet, TrainingSet, NDArray[np.bool_]], Fitted]


@dataclass
class Score:
    """Figures of one model under one assignment of families to folds."""

    spearman: float
    kendall: float
    error: float
    coverage: float
    width: float


def ours(with_recipe: bool) -> Model:
    def run(train: TrainingSet, test: TrainingSet, reported: NDArray[np.bool_]) -> Fitted:
        predictor = TabularPredictor("logit", support=len(train))
        predictor.fit(
            train.x, train.y, groups=train.groups, recipe=train.recipe, target=train.target
        )
        recipe = test.recipe if with_recipe else None
        low, high = predictor.interval(test.x, 0.9, recipe=recipe)
        return predictor.predict(test.x, recipe=recipe), low, high

    return run


def forest(columns: tuple[str, ...]) -> Model:
    """Extremely randomised trees on a few columns of the reported kind of rows."""
    picked = [feature_names().index(name) for name in columns]

    def run(train: TrainingSet, test: TrainingSet, reported: NDArray[np.bool_]) -> Fitted:
        model = ExtraTreesRegressor(300, min_samples_leaf=2, random_state=0, n_jobs=1)
        model.fit(train.x[reported][:, picked], train.y[reported])
        return model.predict(test.x[:, picked]), *_no_interval(len(test))

    return run


def mean(train: TrainingSet, test: TrainingSet, reported: NDArray[np.bool_]) -> Fitted:
    return np.full(len(test), train.y[reported].mean()), *_no_interval(len(test))


def _no_interval(n: int) -> tuple[FloatArray, FloatArray]:
    return np.full(n, np.nan), np.full(n, np.nan)


def evaluate(
    model: Model, data: TrainingSet, reported: NDArray[np.bool_], folds: int, seed: int
) -> Score:
    """Forecast every family from the others, and score all forecasts together."""
    value, low, high = (np.full(len(data), np.nan) for _ in range(3))
    for split in splits.by_group(data.groups.tolist(), folds, seed):
        test = split.test[reported[split.test]]
        if len(test):
            fitted = model(data.take(split.train), data.take(test), reported[split.train])
            value[test], low[test], high[test] = fitted
    truth, value, low, high = (a[reported] for a in (data.y, value, low, high))
    return Score(
        spearman(truth, value) if np.ptp(value) > 1 else float("nan"),
        kendall(truth, value) if np.ptp(value) > 1 else float("nan"),
        float(np.abs(truth - value).mean()),
        float(((truth >= low) & (truth <= high)).mean()),
        float((high - low).mean()),
    )


def row(name: str, scores: list[Score]) -> list[str]:
    def cell(field: str, digits: int, factor: float = 1.0) -> str:
        values = np.array([getattr(s, field) for s in scores]) * factor
        return f"{values.mean():.{digits}f} ± {values.std():.{digits}f}"

    plain = [cell("spearman", 3), cell("kendall", 3), cell("error", 2)]
    if not np.isfinite(scores[0].width):
        return [name, *(c.replace("nan ± nan", "-") for c in plain), "-", "-"]
    return [name, *plain, cell("coverage", 1, 100), cell("width", 2)]


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--folds", type=int, default=10)
    options.add_argument("--seeds", type=int, default=3)
    chosen = options.parse_args()
    data, reported = imagenet_reported()
    models: dict[str, Model] = {
        "archcast, graph alone": ours(False),
        "archcast, recipe given": ours(True),
        "ExtraTrees on log params, MACs, activations": forest(SIZES),
        "ExtraTrees on log params": forest(SIZES[:1]),
        "mean of the training rows": mean,
    }
    rows = [
        row(name, [evaluate(model, data, reported, chosen.folds, s) for s in range(chosen.seeds)])
        for name, model in models.items()
    ]
    text = table(("model", "SPR", "KT", "MAE", "coverage of 90 %", "mean width"), rows)
    counts = (
        f"{reported.sum()} rows of {len(set(np.array(data.names)[reported]))} architectures in "
        f"{len(set(data.groups[reported].tolist()))} families reported; {len(data)} rows in "
        f"{len(set(data.groups.tolist()))} families in all. {chosen.folds} folds of whole families "
        f"(by name, joined where two names share a network), pooled; mean ± std over seeds "
        f"0-{chosen.seeds - 1} of the assignment to folds. MAE and width in points of accuracy."
    )
    publish(
        "ImageNet top-1 of unseen families",
        [counts, text],
        chosen.out,
        ("lightgbm", "scikit-learn", "numpy", "timm", "torch"),
    )


def imagenet_reported() -> tuple[TrainingSet, NDArray[np.bool_]]:
    """The zoo and the mask of the reported rows."""
    data = imagenet()
    return data, np.isin(np.arange(len(data)), timm_zoo.plain_224())


if __name__ == "__main__":
    main()
