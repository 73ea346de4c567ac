"""What the shipped predictors are trained on: benchmark rows as features and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast._recipe import COLUMNS, from_tag
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.tabular import tabular

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class TrainingSet:
    """Rows of one task; see :meth:`archcast.predictors.TabularPredictor.fit`.

    Attributes:
        x: (n, F) features.
        y: (n,) labels in the task's unit.
        names: (n,) architectures.
        groups: (n,) families or classes, held out as a whole.
        shift: (n,) populations, held out as a whole, too.
        recipe: (n, R) how each row was trained.
        target: (n,) rows that the task means; others help.
    """

    x: NDArray[np.float32]
    y: FloatArray
    names: tuple[str, ...]
    groups: NDArray[Any]
    shift: NDArray[Any]
    recipe: FloatArray
    target: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: NDArray[Any]) -> TrainingSet:
        """Some of the rows."""
        arrays = {k: v[rows] for k, v in vars(self).items() if isinstance(v, np.ndarray)}
        return replace(self, names=tuple(self.names[i] for i in rows.tolist()), **arrays)


#: Networks of NATS-Bench's size space that are learned from; they are all alike but in width.
_NATS_ROWS: Final = 8000
#: Families whose first torchvision weights are of the plain recipe of their day.
_CLASSIC: Final = frozenset(
    ("alexnet", "densenet", "googlenet", "inception", "mnasnet", "mobilenet", "regnet", "resnet",
     "resnext", "shufflenet", "squeezenet", "vgg")
)  # fmt: skip


def imagenet() -> TrainingSet:
    """All rows of the timm zoo, then those of torchvision's, which adds the classic networks.

    Groups are families by name, joined where two of them share a graph. The target is weights
    without extra data, evaluated at the size they were trained at; the other rows tell what extra
    data and larger test images add.
    """
    from archcast.datasets import load
    from archcast.datasets.benchmarks import timm_zoo, torchvision_zoo

    task = "imagenet1k/top1"
    zoos = load("timm_zoo"), load("torchvision_zoo")
    recipes = [dict(zoo.recipe(task)) for zoo in zoos]
    classic = torchvision_zoo.architectures()
    recipes[1]["tag"] = [_timm_tag(*row) for row in zip(classic, recipes[1]["tag"], strict=True)]
    recipes[1]["train_size"] = recipes[1]["image_size"]
    return zoo_rows(
        [*timm_zoo.architectures(), *classic],
        [graph for zoo in zoos for graph in zoo.graphs()],
        {
            field: np.concatenate([np.asarray(recipe[field]) for recipe in recipes])
            for field in ("tag", "extra_data", "train_size", "image_size")
        },
        np.concatenate([zoo.labels(task) for zoo in zoos]),
    )


def _timm_tag(name: str, weights: str) -> str:
    """The tag timm gives to weights of torchvision's."""
    from archcast.encoders.spaces.zoos import family

    if "SWAG" in weights:
        return "swag_in1k"
    if weights.endswith("V2"):
        return "tv2_in1k"
    return "tv_in1k" if family(name) in _CLASSIC else "in1k"


def zoo_rows(
    architectures: Sequence[str],
    graphs: Sequence[ComputeGraph],
    recipe: Mapping[str, Any],
    labels: FloatArray,
) -> TrainingSet:
    """Rows of model zoos with their graphs, as a training set; recipes as timm's tags say."""
    from archcast.encoders.spaces.zoos import family

    larger = recipe["image_size"] > recipe["train_size"]
    known = np.array([from_tag(tag) for tag in recipe["tag"]])
    known[:, COLUMNS.index("larger_test_size")] = larger
    families = [family(name) for name in architectures]
    return TrainingSet(
        tabular(graphs).values,
        labels,
        tuple(architectures),
        np.array(join_families(families, [g.hash for g in graphs])),
        np.zeros(len(labels)),
        known,
        (recipe["extra_data"] == "") & ~larger,
    )


def join_families(families: Sequence[str], hashes: Sequence[str]) -> list[str]:
    """Families, those that share a network counted as one.

    DeiT and ViT share graphs, for example, and so are one family under the name of one of them.
    """
    leader: dict[str, str] = {}

    def lead(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    owner: dict[str, str] = {}
    for family, digest in zip(families, hashes, strict=True):
        first, second = sorted((lead(owner.setdefault(digest, family)), lead(family)))
        leader[second] = first
    return [lead(family) for family in families]


@cache
def _cells(benchmark: str) -> tuple[NDArray[np.float32], tuple[str, ...], NDArray[np.str_]]:
    """Features, specifications and hashes of a cell space's rows."""
    from archcast.datasets import load

    data = load(benchmark)
    graphs = data.graphs()
    return tabular(graphs).values, tuple(data.specs), np.array([g.hash for g in graphs])


def cells(task: str) -> TrainingSet:
    """NAS-Bench-201's rows of a task; for CIFAR-10 those of two other spaces, too.

    Groups are classes of equal networks, populations are the spaces. NAS-Bench-101 has another
    recipe and validation accuracies, the size space of NATS-Bench trains for 90 epochs; a recipe
    column each accounts for that.
    """
    from archcast.datasets import load

    names = ["nasbench201"]
    labels = [load("nasbench201").labels(task)]
    rows: list[Any] = [slice(None)]
    if task == "cifar10/test_accuracy":
        names += ["nasbench101", "nats_size"]
        labels += [
            load("nasbench101").labels("cifar10/val_accuracy"),
            load("nats_size").labels("cifar10/test_accuracy"),
        ]
        drawn = np.random.default_rng(0).permutation(len(labels[2]))[:_NATS_ROWS]
        rows += [slice(None), np.sort(drawn)]
    parts = [
        (x[r], np.array(specs)[r], hashes[r], y[r])
        for (x, specs, hashes), y, r in zip(map(_cells, names), labels, rows, strict=True)
    ]
    space = np.repeat(np.arange(len(parts)), [len(p[3]) for p in parts])
    return TrainingSet(
        np.concatenate([p[0] for p in parts]),
        np.concatenate([p[3] for p in parts]),
        tuple(name for p in parts for name in p[1].tolist()),
        np.concatenate([p[2] for p in parts]),
        space,
        (space[:, None] == np.arange(1, max(len(parts), 2))).astype(np.float64),
        space == 0,
    )


def source(task: str) -> Callable[[], TrainingSet]:
    """The training set of a task, not yet loaded."""
    return imagenet if task == "imagenet1k/top1" else lambda: cells(task)
