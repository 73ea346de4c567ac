"""Forecasts across search spaces: what is learned from, and the space that is forecast.

A :class:`Transfer` names populations to learn from in full and one or more to forecast, with no
label of theirs (zero-shot) or a few. Networks of the target are learned from nowhere, under
whatever name they occur in another benchmark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

import archcast.datasets as corpus
from archcast.datasets._registry import unknown
from archcast.datasets.splits import IndexArray
from archcast.encoders.errors import UnknownDatasetError


@dataclass(frozen=True)
class Population:
    """Architectures of a benchmark, measured on one task.

    Attributes:
        benchmark: name of the benchmark.
        task: its task.
        select: gives the rows that count; all that were measured if None.
    """

    benchmark: str
    task: str
    select: Callable[[], IndexArray] | None = None

    @property
    def lower_is_better(self) -> bool:
        """Whether small labels are good."""
        return lower_is_better(self.task)


@dataclass(frozen=True)
class Transfer:
    """Learning from some populations, forecasting others.

    Attributes:
        name: what it is called.
        sources: populations to learn from.
        targets: populations to forecast, ranked together.
        scale: ``natural``: labels are learned and forecast in their unit, which all populations
            share; ``rank``: within each population by normal scores, the larger the better.
        metric: the figure that was published: ``kendall`` or ``spearman``.
        published: method -> figure without a label of the target, quoted, not rerun.
    """

    name: str
    sources: tuple[Population, ...]
    targets: tuple[Population, ...]
    scale: Literal["natural", "rank"]
    metric: Literal["kendall", "spearman"] = "kendall"
    published: Mapping[str, float] = field(default_factory=dict)


_LOWER: Final = ("latency", "perplexity", "loss", "energy", "power", "memory", "seconds", "time_s")


def lower_is_better(task: str) -> bool:
    """Whether small values of a task are good, as its name tells."""
    metric = task.rpartition("/")[2]
    return any(word in metric for word in _LOWER) and "negative" not in metric


def transfers() -> tuple[Transfer, ...]:
    """All transfers: the published ones, then every space of the corpus left out once."""
    return tuple(_TRANSFERS.values())


def transfer(name: str) -> Transfer:
    """The transfer of that name.

    Raises:
        UnknownDatasetError: no such transfer; the message has the closest names.
    """
    if name not in _TRANSFERS:
        raise UnknownDatasetError(unknown("transfer", name, list(_TRANSFERS)))
    return _TRANSFERS[name]


def _best_lemur_rows() -> IndexArray:
    from archcast.datasets.benchmarks import lemur

    return lemur.best_rows("cifar10/best_test_accuracy")


def _plain_timm_rows() -> IndexArray:
    from archcast.datasets.benchmarks import timm_zoo

    return timm_zoo.plain_224()


def _first_weights() -> IndexArray:
    """Rows of torchvision's zoo without extra data, evaluated at 224: one recipe's worth."""
    recipe = corpus.load("torchvision_zoo").recipe("imagenet1k/top1")
    return np.flatnonzero(
        (np.asarray(recipe["extra_data"]) == "") & (np.asarray(recipe["image_size"]) == 224)
    )


#: The one quality of each space that stands for it; spaces measured on devices alone have none.
QUALITY: Final = {
    p.benchmark: p
    for p in (
        Population("accel_nasbench", "imagenet1k/top1"),
        Population("autoformer_base", "imagenet1k/top1"),
        Population("autoformer_small", "imagenet1k/top1"),
        Population("autoformer_tiny", "imagenet1k/top1"),
        Population("hwgpt_l", "openwebtext/perplexity"),
        Population("hwgpt_m", "openwebtext/perplexity"),
        Population("hwgpt_s", "openwebtext/perplexity"),
        Population("lemur", "cifar10/best_test_accuracy", _best_lemur_rows),
        Population("nasbench101", "cifar10/val_accuracy"),
        Population("nasbench201", "cifar10/test_accuracy"),
        Population("nasbench_bert", "glue/average"),
        Population("nasbench_graph", "ogbn_arxiv/test_accuracy"),
        Population("nasbench_mr", "imagenet_50_1000/top1"),
        Population("nasbench_nlp", "penn_treebank/test_loss"),
        Population("nats_size", "cifar10/test_accuracy"),
        Population("ofa_mobilenetv3", "imagenet1k/top1"),
        Population("scan_bench", "slimpajama/test_loss"),
        Population("timm_zoo", "imagenet1k/top1", _plain_timm_rows),
        Population("torchvision_zoo", "imagenet1k/top1", _first_weights),
        Population("transnas_macro", "taskonomy-class_object/val_accuracy"),
        Population("transnas_micro", "taskonomy-class_object/val_accuracy"),
    )
}
#: Benchmarks that are one another in disguise: left out together.
_KIN: Final = (
    {"autoformer_base", "autoformer_small", "autoformer_tiny"},
    {"hwgpt_l", "hwgpt_m", "hwgpt_s"},
    {"timm_zoo", "torchvision_zoo"},
)


def kin(benchmark: str) -> set[str]:
    """The benchmarks that are left out with one, itself among them."""
    return next((group for group in _KIN if benchmark in group), {benchmark})


def _left_out(name: str, targets: tuple[str, ...], published: Mapping[str, float]) -> Transfer:
    without = set(targets).union(*map(kin, targets))
    return Transfer(
        f"leave-out/{name}",
        tuple(p for key, p in QUALITY.items() if key not in without),
        tuple(QUALITY[target] for target in targets),
        "rank",
        "kendall",
        published,
    )


_ONNX_NET: Final = {"ONNX-Net, both spaces pooled": 0.390}
_CELLS: Final = ("nasbench201", "nats_size")
_TRANSFERS: Final = {
    t.name: t
    for t in (
        Transfer(
            "nasbench101-to-nasbench201",
            (QUALITY["nasbench101"],),
            (QUALITY["nasbench201"],),
            "natural",
            "spearman",
            {"GENNAPE": 0.815, "ONNX-Net, 50,000 networks": 0.747, "FLAN + arch2vec": 0.741},
        ),
        _left_out("nasbench201+nats_size", _CELLS, _ONNX_NET),
        *(_left_out(name, (name,), {}) for name in QUALITY),
    )
}
