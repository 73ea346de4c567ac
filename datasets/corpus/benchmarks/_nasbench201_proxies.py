"""Training-free scores of NAS-Bench-201's cells that were published with other work."""

from __future__ import annotations

import json
from functools import cache, partial
from typing import Any, Final

from archcast.datasets._benchmark import FloatArray, Reader
from archcast.datasets._fetch import fetch
from archcast.datasets.benchmarks._nasbench201_rows import aligned, from_naslib, naslib_columns

#: Scores of one cell of each 9,445 that differ once dead operators are masked; CIFAR-10 only.
_CIFAR10: Final = (
    *("epe_nas", "fisher", "flops", "grad_norm", "grasp", "jacov", "l2_norm", "nwot"),
    *("params", "plain", "snip", "synflow", "zen"),
)
#: Data set -> its name in NAS-Bench-Suite-Zero, which adds 725 cells on two more data sets.
_SUITE_ZERO: Final = {"cifar100": "cifar100", "imagenet16-120": "ImageNet16-120"}


def readers() -> dict[str, Reader]:
    """``<data set>/<proxy>`` -> what reads its (15,625,) scores, NaN where none is published."""
    found: dict[str, Reader] = {f"cifar10/{name}": partial(_cifar10, name) for name in _CIFAR10}
    for data in _SUITE_ZERO:
        # It has all but zen.
        found |= {f"{data}/{name}": partial(_other, data, name) for name in _CIFAR10[:-1]}
    return found


def _cifar10(name: str) -> FloatArray:
    return naslib_columns("nasbench201/proxies.csv")[name]


def _other(data: str, name: str) -> FloatArray:
    scores = _suite_zero()[_SUITE_ZERO[data]]
    return aligned({from_naslib(cell): row[name]["score"] for cell, row in scores.items()})


@cache
def _suite_zero() -> dict[str, dict[str, Any]]:
    return json.loads(fetch("nasbench201/proxies-suite-zero.json").read_text("utf-8"))
