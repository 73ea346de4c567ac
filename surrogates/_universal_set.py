"""What the universal predictor learns from: the pooled corpus, one label a network and task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_TASKONOMY: Final = tuple(
    f"taskonomy-{name}"
    for name in (
        "class_object/val_accuracy", "class_scene/val_accuracy", "jigsaw/val_accuracy",
        "room_layout/val_negative_mse", "segmentsemantic/val_pixel_accuracy", "normal/val_ssim",
        "autoencoder/val_ssim",
    )
)  # fmt: skip
#: Benchmark -> tasks that say how good a network is once it is trained. Latencies, short trainings
#: beside long ones, and second metrics of the same training are left out. Transfers
#: (``archcast.datasets.transfers``) measure with one task a space; more of them are learned from.
QUALITY: Final[Mapping[str, tuple[str, ...]]] = {
    "nasbench101": ("cifar10/val_accuracy",),
    "ec_nas": ("cifar10/val_accuracy_4_epochs",),
    "nasbench201": (
        "cifar10/test_accuracy", "cifar100/test_accuracy", "imagenet16-120/test_accuracy",
    ),
    "nats_size": ("cifar10/test_accuracy",),
    "transnas_micro": _TASKONOMY,
    "transnas_macro": _TASKONOMY,
    "accel_nasbench": ("imagenet1k/top1",),
    "ofa_mobilenetv3": ("imagenet1k/top1",),
    "autoformer_tiny": ("imagenet1k/top1",),
    "autoformer_small": ("imagenet1k/top1",),
    "autoformer_base": ("imagenet1k/top1",),
    "nasbench_mr": ("imagenet_50_1000/top1", "cityscapes/miou"),
    "timm_zoo": ("imagenet1k/top1",),
    "torchvision_zoo": ("imagenet1k/top1",),
    "lemur": (
        "cifar10/test_accuracy", "cifar100/test_accuracy", "svhn/test_accuracy",
        "imagenette/val_accuracy",
    ),
    "nasbench_bert": ("glue/average",),
    "nasbench_graph": ("cora/test_accuracy", "coauthor_cs/test_accuracy"),
    "nasbench_nlp": ("penn_treebank/test_loss",),
    "hwgpt_s": ("openwebtext/perplexity",),
    "hwgpt_m": ("openwebtext/perplexity",),
    "hwgpt_l": ("openwebtext/perplexity",),
    "scan_bench": ("slimpajama/val_loss",),
}  # fmt: skip


@dataclass(frozen=True)
class PooledRows:
    """Rows of many populations; see :meth:`archcast.predictors.UniversalPredictor.fit`.

    Attributes:
        x: (n, F) features.
        y: (n,) labels, each in its task's unit; the mean where a network has several.
        hashes: (n,) networks.
        benchmarks: (n,) where each row is from.
        spaces: (n,) search spaces.
        tasks: (n,) tasks.
        smaller_is_better: (n,) whether the label is a loss or perplexity.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float64]
    hashes: NDArray[np.str_]
    benchmarks: NDArray[np.str_]
    spaces: NDArray[np.str_]
    tasks: NDArray[np.str_]
    smaller_is_better: NDArray[np.bool_]

    def take(self, rows: NDArray[Any]) -> PooledRows:
        """Some of the rows, by number or as a mask."""
        return PooledRows(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def populations(self) -> dict[str, NDArray[np.str_]]:
        """Space -> its tasks."""
        return {s: np.unique(self.tasks[self.spaces == s]) for s in dict.fromkeys(self.spaces)}


def pooled_rows(
    folder: Any = None, limit: int | None = 4000, benchmarks: Sequence[str] | None = None
) -> PooledRows:
    """Read them from the pooled table.

    Args:
        folder: the pool's; the one in the cache if None.
        limit: networks of a benchmark at most, drawn at random by a fixed seed; all if None.
        benchmarks: some of :data:`QUALITY`; all if None.

    Raises:
        StorageError: the pool, or a benchmark of it, is not built.
    """
    from archcast.datasets.pool import open_pool
    from archcast.datasets.transfers import lower_is_better

    pool = open_pool(folder)
    parts = []
    for name in QUALITY if benchmarks is None else benchmarks:
        hashes, x = pool.features(name)
        rng = np.random.default_rng(0)
        chosen = np.sort(rng.permutation(len(hashes))[: limit or len(hashes)])
        hashes, x = hashes[chosen], x[chosen]
        for task in QUALITY[name]:
            labels = pool.table("labels", name, ["hash", "space", "value"], tasks=task)
            space = labels["space"][0].as_py()
            mean = _means(labels, hashes)
            known = np.flatnonzero(np.isfinite(mean))
            parts.append(
                PooledRows(
                    x[known],
                    mean[known],
                    hashes[known],
                    np.full(len(known), name),
                    np.full(len(known), space),
                    np.full(len(known), task),
                    np.full(len(known), lower_is_better(task)),
                )
            )
    return PooledRows(
        *(np.concatenate([getattr(p, k) for p in parts]) for k in PooledRows.__dataclass_fields__)
    )


def _means(labels: Any, hashes: NDArray[np.str_]) -> NDArray[np.float64]:
    """(n,) mean label of every network, NaN where it has none."""
    names = np.array([name or "" for name in labels["hash"].to_pylist()], dtype=str)
    values = labels["value"].to_numpy()
    order = np.argsort(hashes)
    place = np.searchsorted(hashes[order], names)
    place = np.minimum(place, len(hashes) - 1)
    mine = (hashes[order][place] == names) & np.isfinite(values)
    rows = order[place[mine]]
    count = np.bincount(rows, minlength=len(hashes))
    total = np.bincount(rows, values[mine], minlength=len(hashes))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
