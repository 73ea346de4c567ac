"""The cell space of TransNAS-Bench-101: 4,096 cells on seven tasks of Taskonomy."""

from __future__ import annotations

import json
from functools import cache, partial
from typing import Any, Final

import numpy as np

from archcast.datasets._benchmark import Benchmark, FloatArray
from archcast.datasets._fetch import fetch
from archcast.datasets.benchmarks._transnas import LABELS, load_table, scores
from archcast.encoders.spaces.transnas_micro import TransNASMicro

#: Proxies of NAS-Bench-Suite-Zero, for 711 of the cells; parameters and MACs are in millions.
PROXIES: Final = (
    "epe_nas", "fisher", "flops", "grad_norm", "grasp", "jacov", "l2_norm", "nwot", "params",
    "plain", "snip",
)  # fmt: skip


def load() -> Benchmark:
    """The benchmark; graphs end with the classifier of objects.

    Raises:
        DownloadError: the data is not here and cannot be fetched.
    """
    proxies = {
        f"taskonomy-{task}/{proxy}": partial(_proxy, task, proxy)
        for task in LABELS
        for proxy in PROXIES
    }
    return load_table(TransNASMicro(), proxies)


def _proxy(task: str, proxy: str) -> FloatArray:
    space = TransNASMicro()
    row_of = {spec: row for row, spec in enumerate(space.enumerate())}
    table = _proxies()[task]
    values = np.full(len(row_of), np.nan)
    rows = [row_of[space.text(space.parse(arch))] for arch in table]
    values[rows] = scores([row[proxy]["score"] for row in table.values()])
    return values


@cache
def _proxies() -> dict[str, dict[str, Any]]:
    return json.loads(fetch("transnas_micro/proxies.json").read_bytes())
