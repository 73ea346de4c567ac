"""Subnetworks of Once-for-All's MobileNetV3 that five searches evaluated on ImageNet."""

from __future__ import annotations

from ast import literal_eval
from functools import cache, partial
from typing import Final, NamedTuple

import numpy as np

from archcast.datasets._benchmark import Benchmark, FloatArray
from archcast.datasets._csv_tables import read_columns
from archcast.datasets._fetch import fetch
from archcast.encoders.spaces.ofa_mobilenetv3 import OFAMobileNetV3

_FILES: Final = (
    "ofa_mobilenetv3/evoga_acc.csv",
    "ofa_mobilenetv3/evonsga2_acc_macs.csv",
    "ofa_mobilenetv3/evounsga3_acc_macs_params.csv",
    "ofa_mobilenetv3/linasga_acc.csv",
    "ofa_mobilenetv3/linasnsga2_acc_macs.csv",
)
_TASK: Final = "imagenet1k/top1"
_RECIPE: Final = {
    "image_size": 224,
    "pretrain": None,
    "inherited": True,
    "supernet": "ofa_mbv3_d234_e346_k357_w1.0",
}


class _Evaluation(NamedTuple):
    written: str
    params: int
    macs: int
    top1: float


def load() -> Benchmark:
    """The benchmark, in the order in which the files first have a network.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    space, specs = OFAMobileNetV3(), list(_networks())
    return Benchmark(
        "ofa_mobilenetv3",
        specs,
        {_TASK: lambda: np.nanmean(_repeats(), axis=1)},
        lambda rows: space.graphs([specs[row] for row in rows]),
        key=space.parse,
        recipes={_TASK: _RECIPE},
        seeds={_TASK: _repeats},
        proxies={
            "imagenet1k/macs": partial(_count, "macs"),
            "imagenet1k/params": partial(_count, "params"),
        },
    )


def evaluations() -> list[tuple[str, float]]:
    """(2,373,) subnetworks as the files write them and their accuracies, before any is merged."""
    return [(entry.written, entry.top1) for entry in _evaluations()]


@cache
def _evaluations() -> list[_Evaluation]:
    found: list[_Evaluation] = []
    for name in _FILES:
        table = read_columns(fetch(name))
        columns = ("Sub-network", "Model Parameters", "MACs", "Top-1 Acc (%)")
        for written, params, macs, top1 in zip(*(table[c] for c in columns), strict=True):
            found.append(_Evaluation(written, int(params), int(macs), float(top1)))
    return found


@cache
def _networks() -> dict[str, list[_Evaluation]]:
    """Canonical text -> the evaluations of that network."""
    space = OFAMobileNetV3()
    texts = {
        written: space.text(space.parse(literal_eval(written)))
        for written in dict.fromkeys(entry.written for entry in _evaluations())
    }
    found: dict[str, list[_Evaluation]] = {}
    for entry in _evaluations():
        found.setdefault(texts[entry.written], []).append(entry)
    return found


def _repeats() -> FloatArray:
    networks = list(_networks().values())
    table = np.full((len(networks), max(map(len, networks))), np.nan)
    for row, entries in enumerate(networks):
        table[row, : len(entries)] = [entry.top1 for entry in entries]
    return table


def _count(what: str) -> FloatArray:
    return np.array([getattr(entries[0], what) for entries in _networks().values()], np.float64)
