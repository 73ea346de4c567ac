"""How well training-free scores rank trained accuracies, beside the published ones.

For a sample of each benchmark: Spearman's correlation of our score with the accuracy, the same of
the published score on the same architectures, and of our score with the published one. Inputs are
drawn (pictures with the spectrum of photographs, labels by chance), unless ``--images`` names an
``.npz`` file with ``x_train`` (N, H, W, 3) and ``y_train``. Aggregates join the ranks of our
scores; which proxies make the last one was settled on NAS-Bench-101 and TransNAS-Bench-101, not on
NAS-Bench-201.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _report import kendall, parser, publish, spearman, table
from numpy.typing import NDArray

from archcast import datasets
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces import get_space
from archcast.zero_cost import AGGREGATES, PROXIES, score

FloatArray = NDArray[np.float64]
#: Proxies of language models and of distillation have tables of their own.
ELSEWHERE = frozenset(
    ("hidden_covariance", "head_confidence", "synaptic_diversity", "synaptic_saliency", "dss",
     "w_pca", "diswot")
)  # fmt: skip


@dataclass(frozen=True)
class Study:
    """A benchmark, what is ranked, and the published proxies' prefix.

    Attributes:
        benchmark: its name.
        tasks: labels that are ranked.
        published: what published proxies' names begin with.
        image_size: height and width of the networks' inputs; the benchmark's own if None.
        first: rows that are drawn from; all if None.
    """

    benchmark: str
    tasks: tuple[str, ...]
    published: str = ""
    image_size: int | None = None
    first: int | None = None


NB201 = tuple(f"{data}/test_accuracy" for data in ("cifar10", "cifar100", "imagenet16-120"))
STUDIES = {
    "nasbench201": Study("nasbench201", NB201, "cifar10/"),
    "nasbench201-first": Study("nasbench201", NB201, "cifar10/", first=1000),
    "nasbench101": Study("nasbench101", ("cifar10/val_accuracy",), "cifar10/"),
    "transnas": Study(
        "transnas_micro",
        (
            "taskonomy-class_object/val_accuracy",
            "taskonomy-class_scene/val_accuracy",
            "taskonomy-jigsaw/val_accuracy",
        ),
        "taskonomy-class_object/",
        image_size=64,
    ),
    "nats_size": Study("nats_size", ("cifar10/test_accuracy",)),
}


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--nets", type=int, default=300, help="architectures of each benchmark")
    options.add_argument("--samples", type=int, default=32)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--init", default="kaiming")
    options.add_argument("--images", type=Path)
    options.add_argument("--studies", nargs="+", default=list(STUDIES), choices=list(STUDIES))
    options.add_argument("--proxies", nargs="+", default=sorted(set(PROXIES) - ELSEWHERE))
    options.add_argument("--work", type=Path, help="folder that keeps finished scores")
    chosen = options.parse_args()
    parts = [
        f"Samples of {chosen.nets} architectures, seed {chosen.seed}; {chosen.samples} samples, "
        f"{'images' if chosen.images else 'drawn inputs'}, {chosen.init} weights."
    ]
    for name in chosen.studies:
        parts += [f"## {name}", *study_tables(STUDIES[name], chosen)]
    publish("Training-free scores against accuracies", parts, chosen.out, ("torch", "numpy"))


def study_tables(study: Study, chosen: argparse.Namespace) -> list[str]:
    """A table of proxies and one of aggregates."""
    benchmark = datasets.load(study.benchmark)
    rows = drawn(benchmark, study, chosen.nets, chosen.seed)
    scores = score(
        graphs(benchmark, study, rows),
        chosen.proxies,
        samples=chosen.samples,
        seed=chosen.seed,
        init=chosen.init,
        data=images(chosen.images),
        cache=chosen.work if chosen.work else False,
        progress=True,
    )
    labels = {task: benchmark.labels(task)[rows] for task in study.tasks}
    head = ["proxy"]
    for task in study.tasks:
        short = task.partition("/")[0].removeprefix("taskonomy-class_").removeprefix("taskonomy-")
        head += [f"{short}: ours", "published"]
    head += ["ours with published", "scored"]
    body = []
    for name in chosen.proxies:
        known = published(benchmark, study, name, rows)
        row = [name]
        for values in labels.values():
            row += [ranked(scores[name], values), ranked(known, values)]
        share = f"{np.isfinite(scores[name]).mean():.0%}"
        body.append([*row, ranked(scores[name], known), share])
    joined = aggregate_rows(dict(scores), list(labels.values()))
    aggregate_head = ("aggregate, KT", *(task.partition("/")[0] for task in study.tasks))
    return [table(head, body), table(aggregate_head, joined)]


def drawn(benchmark: Any, study: Study, count: int, seed: int) -> NDArray[np.int64]:
    """Rows with all labels, at random."""
    complete = np.logical_and.reduce([np.isfinite(benchmark.labels(t)) for t in study.tasks])
    rows = np.flatnonzero(complete[: study.first])
    if study.benchmark == "transnas_micro":  # published proxies are there for some only
        known = np.isfinite(benchmark.proxy_scores(f"{study.published}nwot"))
        rows = rows[known[rows]]
    return np.sort(np.random.default_rng(seed).permutation(rows)[:count])


def graphs(benchmark: Any, study: Study, rows: NDArray[np.int64]) -> list[ComputeGraph]:
    if study.image_size is None:
        return benchmark.graphs(rows)
    space = get_space(benchmark.space)
    return space.graphs([benchmark.specs[row] for row in rows], image_size=study.image_size)


def images(path: Path | None) -> tuple[Any, Any] | None:
    """The mini-batch of an ``.npz`` file with ``x_train`` (N, H, W, 3) bytes and ``y_train``."""
    if path is None:
        return None
    with np.load(path, allow_pickle=False) as archive:
        found = archive["x_train"].transpose(0, 3, 1, 2).astype(np.float32)
        labels = archive["y_train"].astype(np.int64)
    axes = (0, 2, 3)
    return (found - found.mean(axes, keepdims=True)) / found.std(axes, keepdims=True), labels


def published(benchmark: Any, study: Study, name: str, rows: NDArray[np.int64]) -> FloatArray:
    """The published scores, turned so that higher is better; NaN where there are none."""
    if f"{study.published}{name}" not in benchmark.proxies:
        return np.full(len(rows), np.nan)
    found = benchmark.proxy_scores(f"{study.published}{name}")[rows]
    return -found if PROXIES[name].flipped else found


def ranked(first: FloatArray, second: FloatArray) -> str:
    """Spearman's correlation where both are known; nothing for fewer than ten."""
    both = np.isfinite(first) & np.isfinite(second)
    return f"{spearman(first[both], second[both]):.3f}" if both.sum() >= 10 else ""


def aggregate_rows(scores: dict[str, FloatArray], labels: Sequence[FloatArray]) -> list[list[str]]:
    """Kendall's correlation of every aggregate whose proxies were computed."""
    rows = []
    for name, aggregate in AGGREGATES.items():
        if set(aggregate.proxies) <= set(scores):
            joined = aggregate(scores)
            rows.append([name, *(f"{kendall(joined, values):.3f}" for values in labels)])
    best = max(scores, key=lambda name: _safe_kendall(scores[name], labels[0]))
    single = (f"{_safe_kendall(scores[best], values):.3f}" for values in labels)
    rows.append([f"best single proxy ({best})", *single])
    return rows


def _safe_kendall(values: FloatArray, labels: FloatArray) -> float:
    known = np.isfinite(values)
    return kendall(values[known], labels[known]) if known.mean() > 0.9 else -1.0


if __name__ == "__main__":
    main()
