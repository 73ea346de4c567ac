"""ImageNet top-1 of network families that were never seen, from the graph alone.

Whole families of the timm and torchvision zoos are held out: every row of the held-out families,
whatever its recipe and image size, is missing from the training set. Reported are timm's rows
trained and evaluated at 224x224 without extra data, and torchvision's without extra data.
Everything that is chosen (kernel, weight of the members, interval calibration) is chosen inside the
training families of each fold; what was chosen by hand was chosen on one half of timm's families.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import md5

import numpy as np
from _report import kendall, parser, publish, spearman, table
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from archcast._training_sets import TrainingSet, imagenet, join_families
from archcast.datasets import load, splits
from archcast.datasets.benchmarks import timm_zoo
from archcast.encoders.spaces.zoos import family
from archcast.encoders.tabular import feature_names
from archcast.predictors.tabular_predictor import TabularPredictor

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
    model: Model, data: TrainingSet, masks: list[NDArray[np.bool_]], folds: int, seed: int
) -> list[Score]:
    """Forecast every family from the others; score the rows of each mask, pooled over folds.

    The baselines train on the rows of the first mask, which is the kind that is reported.
    """
    value, low, high = (np.full(len(data), np.nan) for _ in range(3))
    wanted = np.logical_or.reduce(masks)
    for split in splits.by_group(data.groups.tolist(), folds, seed):
        test = split.test[wanted[split.test]]
        if len(test):
            fitted = model(data.take(split.train), data.take(test), masks[0][split.train])
            value[test], low[test], high[test] = fitted
    return [_score(data.y[m], value[m], low[m], high[m]) for m in masks]


def _score(truth: FloatArray, value: FloatArray, low: FloatArray, high: FloatArray) -> Score:
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
    data = imagenet()
    masks = reported_rows(data)
    models: dict[str, Model] = {
        "archcast, graph alone": ours(False),
        "archcast, recipe given": ours(True),
        "ExtraTrees on log params, MACs, activations": forest(SIZES),
        "ExtraTrees on log params": forest(SIZES[:1]),
        "mean of the training rows": mean,
    }
    scores = {
        name: [
            evaluate(model, data, list(masks.values()), chosen.folds, seed)
            for seed in range(chosen.seeds)
        ]
        for name, model in models.items()
    }
    sections = [
        f"{len(data)} rows in {len(set(data.groups.tolist()))} families in all. {chosen.folds} "
        "folds of whole families (by name, joined where two names share a network), pooled; "
        f"mean ± std over seeds 0-{chosen.seeds - 1} of the assignment to folds. MAE and width in "
        "points of accuracy."
    ]
    for place, (title, mask) in enumerate(masks.items()):
        rows = [row(name, [s[place] for s in seeds]) for name, seeds in scores.items()]
        names, groups = np.array(data.names)[mask], data.groups[mask]
        sections.append(
            f"## {title}\n\n{mask.sum()} rows of {len(set(names))} architectures in "
            f"{len(set(groups.tolist()))} families."
        )
        header = ("model", "SPR", "KT", "MAE", "coverage of 90 %", "mean width")
        sections.append(table(header, rows))
    publish(
        "ImageNet top-1 of unseen families",
        sections,
        chosen.out,
        ("lightgbm", "scikit-learn", "numpy", "timm", "torch", "torchvision"),
    )


def reported_rows(data: TrainingSet) -> dict[str, NDArray[np.bool_]]:
    """Title -> mask of rows: timm's, the half of them kept aside, and torchvision's."""
    row_number = np.arange(len(data))
    aside = np.zeros(len(data), bool)
    count = len(timm_zoo.architectures())
    aside[:count] = kept_aside()
    timm = np.isin(row_number, timm_zoo.plain_224())
    return {
        "timm, no extra data, trained and evaluated at 224": timm,
        "Of these, the families that nobody looked at while features and model were chosen": (
            timm & aside
        ),
        "torchvision, no extra data": (row_number >= count) & data.target,
    }


def kept_aside() -> NDArray[np.bool_]:
    """(1,556,) timm's rows in the half of the families that development did not look at."""
    names = [family(name) for name in timm_zoo.architectures()]
    hashes = [graph.hash for graph in load("timm_zoo").graphs()]
    digests = {f: int(md5(f.encode()).hexdigest(), 16) for f in set(names)}
    return np.array([digests[f] % 2 == 1 for f in join_families(names, hashes)])


if __name__ == "__main__":
    main()
