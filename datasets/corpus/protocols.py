"""How published figures were measured: which rows are learned from, which are ranked.

A :class:`Protocol` names the benchmark, the task, how many labels are given and which rows are
tested, and quotes what was published. Draws of labels are seeded; papers do not publish theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

import archcast.datasets as corpus
from archcast.datasets._registry import unknown
from archcast.datasets.splits import IndexArray, Split
from archcast.encoders.errors import UnknownDatasetError
from archcast.encoders.spaces.nasbench201 import NASBench201

#: Latency tasks of NAS-Bench-201 that HELP learns from, and those it adapts to with 10 labels.
HELP_KNOWN: Final = tuple(
    f"{device}/latency_ms"
    for device in (
        "1080ti-batch1", "1080ti-batch32", "1080ti-batch256", "silver-4114", "silver-4210r",
        "samsung-a50", "pixel3-cifar10", "essential-ph", "samsung-s7",
    )
)  # fmt: skip
HELP_UNSEEN: Final = tuple(
    f"{device}/latency_ms"
    for device in (
        "titan-rtx-batch256", "gold-6226", "fpga-cifar10", "pixel2", "raspi4-cifar10",
        "eyeriss-cifar10",
    )
)  # fmt: skip
_LATENCY: Final = "nasbench201/unseen-devices/"
#: Protocol -> the numbers of labels it was published with.
LABELS: Final[dict[str, tuple[int, ...]]] = {
    "nasbench201/all": (78, 156, 469, 781, 1563),
    "nasbench201/class-disjoint": (78, 156, 469, 781, 1563),
    "nasbench201/canonical": (32, 100, 467, 1024),
    "nasbench201/cifar100": (100,),
    "nasbench101/all": (100, 172, 424, 4236),
} | {f"{_LATENCY}{task.partition('/')[0]}": (10, 20) for task in HELP_UNSEEN}


@dataclass(frozen=True)
class Protocol:
    """One way to measure a predictor.

    Attributes:
        name: ``<benchmark>/<which rows>``.
        benchmark: name of the benchmark.
        task: its task.
        metric: ``kendall`` or ``spearman``.
        rows: gives the rows that labels are drawn from.
        test: which rows are ranked: ``all`` of those, labelled ones included; ``disjoint``: those
            that share no network with a labelled one; ``1000 others``; or ``others``, all that are
            not labelled.
        known: tasks whose labels may be used in full besides, of devices measured before.
        published: method -> number of labels -> figure, quoted, not rerun.
    """

    name: str
    benchmark: str
    task: str
    metric: Literal["kendall", "spearman"]
    rows: Callable[[], IndexArray]
    test: Literal["all", "disjoint", "1000 others", "others"]
    published: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    known: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[int, ...]:
        """The numbers of labels it was published with."""
        return LABELS[self.name]

    def splits(self, labels: int, seeds: Sequence[int] = range(5)) -> list[Split]:
        """Draw the labelled rows.

        Args:
            labels: how many.
            seeds: one split for each.

        Returns:
            One split for each seed; ``train`` in drawn order.

        Raises:
            ValueError: more labels than rows.
            DownloadError: the benchmark's data is not here and cannot be fetched.
        """
        pool = self.rows()
        found = []
        for seed in seeds:
            if self.test == "1000 others":
                drawn = draw(pool, labels + 1000, seed)
                found.append(Split(drawn[:labels], drawn[labels:]))
                continue
            train = draw(pool, labels, seed)
            if self.test == "others":
                found.append(Split(train, np.setdiff1d(pool, train)))
                continue
            if self.test == "disjoint":
                classes = network_classes(self.benchmark)
                found.append(Split(train, pool[~np.isin(classes[pool], classes[train])]))
            else:
                found.append(Split(train, pool))
        return found


def draw(rows: NDArray[np.integer], count: int, seed: int) -> IndexArray:
    """Different rows at random; the same for the same seed.

    Raises:
        ValueError: there are not so many.
    """
    return np.random.default_rng(seed).choice(np.asarray(rows, np.int64), count, replace=False)


def protocols() -> tuple[Protocol, ...]:
    """All protocols."""
    return tuple(_PROTOCOLS.values())


def protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        UnknownDatasetError: no such protocol; the message has the closest names.
    """
    if name not in _PROTOCOLS:
        raise UnknownDatasetError(unknown("protocol", name, list(_PROTOCOLS)))
    return _PROTOCOLS[name]


def canonical_rows() -> IndexArray:
    """The first row of each of NAS-Bench-201's 9,445 cells without dead operators.

    Raises:
        DownloadError: the benchmark's data is not here and cannot be fetched.
    """
    space, first = NASBench201(), {}
    for row, spec in enumerate(corpus.load("nasbench201").specs):
        first.setdefault(space.live(spec), row)
    return np.array(sorted(first.values()), np.int64)


@cache
def network_classes(benchmark: str) -> IndexArray:
    """(N,) number of every row's network: equal for rows of equal graphs.

    Raises:
        UnknownDatasetError: no such benchmark.
        DownloadError: its data is not here and cannot be fetched.
        MissingExtraError: its graphs are read from torch modules, and torch or a zoo is missing.
    """
    hashes = [graph.hash for graph in corpus.load(benchmark).graphs()]
    return np.unique(hashes, return_inverse=True)[1].astype(np.int64)


def _every_row(benchmark: str) -> Callable[[], IndexArray]:
    return lambda: np.arange(len(corpus.load(benchmark)))


def _measured_rows(benchmark: str, task: str) -> Callable[[], IndexArray]:
    return lambda: np.flatnonzero(np.isfinite(corpus.load(benchmark).labels(task)))


#: This project's own measurement of the simplest strong baseline.
_FOREST: Final = "random forest on GRAF features, dead operators masked (quoted)"
#: HELP's figure is a mean over its unseen devices. NASFLAT's are those of its six sets of devices,
#: in the order quoted: none of them is one device's.
_LATENCY_FIGURES: Final = {"HELP, mean of the unseen devices": {10: 0.932}} | {
    f"NASFLAT, set {at} of 6 of devices": {20: figure}
    for at, figure in enumerate((0.959, 0.893, 0.967, 0.857, 0.962, 0.959), 1)
}

_PROTOCOLS: Final = {
    p.name: p
    for p in (
        Protocol(
            "nasbench201/all",
            "nasbench201",
            "cifar10/test_accuracy",
            "kendall",
            _every_row("nasbench201"),
            "all",
            {
                "PINAT": {78: 0.549, 156: 0.631, 469: 0.706, 781: 0.761, 1563: 0.784},
                "NN-Former": {156: 0.804, 1563: 0.890},
                _FOREST: {78: 0.720, 156: 0.782, 469: 0.841, 781: 0.857, 1563: 0.872},
            },
        ),
        Protocol(
            "nasbench201/class-disjoint",
            "nasbench201",
            "cifar10/test_accuracy",
            "kendall",
            _every_row("nasbench201"),
            "disjoint",
            {_FOREST: {78: 0.695, 156: 0.753, 469: 0.805, 781: 0.817, 1563: 0.828}},
        ),
        Protocol(
            "nasbench201/canonical",
            "nasbench201",
            "cifar10/test_accuracy",
            "kendall",
            canonical_rows,
            "all",
            {"13 proxies + GRAF, ExtraTrees": {32: 0.673, 100: 0.779, 467: 0.840, 1024: 0.857}},
        ),
        Protocol(
            "nasbench201/cifar100",
            "nasbench201",
            "cifar100/test_accuracy",
            "spearman",
            _every_row("nasbench201"),
            "1000 others",
            {"XGBoost on one-hot + 13 proxies, 100 draws": {100: 0.908}},
        ),
        Protocol(
            "nasbench101/all",
            "nasbench101",
            "cifar10/val_accuracy",
            "kendall",
            _every_row("nasbench101"),
            "all",
            {
                "PINAT": {100: 0.679, 172: 0.715, 424: 0.772, 4236: 0.846},
                "NN-Former (at 85, 169, 424, 4,236)": {
                    100: 0.709, 172: 0.765, 424: 0.809, 4236: 0.877,
                },
            },
        ),
        *(
            Protocol(
                f"{_LATENCY}{task.partition('/')[0]}",
                "nasbench201",
                task,
                "spearman",
                _measured_rows("nasbench201", task),
                "others",
                _LATENCY_FIGURES,
                HELP_KNOWN,
            )
            for task in HELP_UNSEEN
        ),
    )
}  # fmt: skip
