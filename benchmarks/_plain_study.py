"""The settings that plain scores are computed under, and their computing, kept on disk.

Every score of every cell is written as it is finished, so a study that is cut short goes on where
it was. Cells are NAS-Bench-201's, images CIFAR-10's.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from _plain_nasbench201 import network
from _plain_newer import curvature, inverse_conditions, meco, swap, zico
from _plain_proxies import CLASSIC, Proxy
from numpy.typing import NDArray

from archcast import datasets
from archcast.encoders.errors import StorageError

FloatArray = NDArray[np.float64]
ONE_IMAGE: Mapping[str, Proxy] = {
    "meco": meco,
    "conditions": lambda module, inputs, _: inverse_conditions(module, inputs),
    "curvature, 64 pixels": lambda module, *_: curvature(module, (3, 64, 64)),
    "curvature, 32 pixels": lambda module, *_: curvature(module, (3, 32, 32)),
}
#: Cells that settings are compared on; one in so many of the first 1,000.
FIRST, EVERY = 60, 8
_CHEAP = tuple(name for name in CLASSIC if name not in ("grasp", "flops", "params"))


@dataclass(frozen=True)
class Setting:
    """How scores are computed.

    Attributes:
        nets: how many cells, the first of one random order.
        every: one in so many of the benchmark's first 1,000 cells instead.
        batch: images.
        images: of CIFAR-10, else Gaussian noise with random classes.
        init: of the weights.
        draw: which draw of the weights.
        proxies: names of scores.
    """

    nets: int = 0
    every: int = 0
    batch: int = 64
    images: bool = True
    init: str = "default"
    draw: int = 0
    proxies: tuple[str, ...] = _CHEAP


SETTINGS: Mapping[str, Setting] = {
    "batch 64": Setting(200, proxies=(*_CHEAP, "flops", "params")),
    "batch 32": Setting(FIRST, batch=32, proxies=(*_CHEAP, "zico", "swap")),
    "noise, 32": Setting(FIRST, batch=32, images=False),
    "kaiming, 32": Setting(FIRST, batch=32, init="kaiming"),
    "one noise": Setting(every=EVERY, batch=1, images=False, proxies=("meco", "conditions")),
    "one kaiming": Setting(every=EVERY, batch=1, init="kaiming", proxies=("meco", "conditions")),
    "one image": Setting(every=EVERY, batch=1, proxies=tuple(ONE_IMAGE)),
    "other weights, 32": Setting(FIRST, batch=32, draw=1),
    "batch 16": Setting(FIRST, batch=16, proxies=(*_CHEAP, "grasp")),
    "grasp, 64": Setting(20, proxies=("grasp",)),
    "one image, more": Setting(every=2, batch=1, proxies=("meco", "conditions")),
    "noise, grasp": Setting(FIRST, batch=16, images=False, proxies=("grasp",)),
}
PROXIES: Mapping[str, Proxy] = {**CLASSIC, **ONE_IMAGE, "zico": zico, "swap": swap}


# -------------------------------------------------------------------------------- inputs
@cache
def benchmark() -> datasets.Benchmark:
    return datasets.load("nasbench201")


@cache
def published(name: str) -> FloatArray:
    return benchmark().proxy_scores(f"cifar10/{name}")


def cells(setting: Setting) -> list[int]:
    """Rows of the benchmark."""
    if setting.every:
        return list(range(0, 1000, setting.every))
    rows = np.flatnonzero(np.isfinite(published("params")))
    return np.random.default_rng(0).permutation(rows)[: setting.nets].tolist()


def batch(setting: Setting) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (B, 3, 32, 32), normalised, and classes (B,)."""
    if not setting.images:
        drawn = torch.Generator().manual_seed(0)
        images = torch.randn(setting.batch, 3, 32, 32, generator=drawn)
        return images, torch.randint(10, (setting.batch,), generator=drawn)
    path = Path(os.environ.get("ARCHCAST_MIRROR", ""), "inputs", "cifar10_subset.npz")
    if not path.exists():
        raise StorageError(
            "no images of CIFAR-10: ARCHCAST_MIRROR has no inputs/cifar10_subset.npz"
        )
    with np.load(path) as file:
        pixels = torch.tensor(file["x_train"][: setting.batch]).permute(0, 3, 1, 2) / 255
        classes = torch.tensor(file["y_train"][: setting.batch]).long()
    mean, std = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
    return (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None], classes


# -------------------------------------------------------------------------------- scores
Rows = dict[int, dict[str, tuple[float, float]]]


def measure(name: str, work: Path | None) -> Rows:
    """Row -> proxy -> score and seconds; what ``work`` holds is not computed again."""
    setting, found = SETTINGS[name], Rows()
    file = work / f"{name.replace(', ', '-').replace(' ', '-')}.jsonl" if work else None
    if file is not None and file.exists():
        for line in file.read_text("utf-8").splitlines():
            entry = json.loads(line)
            found[entry["row"]] = {proxy: tuple(pair) for proxy, pair in entry["scores"].items()}
    images, classes = batch(setting)
    for row in cells(setting):
        if row in found:
            continue
        found[row] = score(row, setting, images, classes)
        if file is not None:
            with file.open("a", encoding="utf-8") as out:
                out.write(json.dumps({"row": row, "scores": found[row]}) + "\n")
    return {row: found[row] for row in cells(setting)}


def score(
    row: int, setting: Setting, images: torch.Tensor, classes: torch.Tensor
) -> dict[str, tuple[float, float]]:
    """Proxy -> score and seconds of one cell."""
    spec, seed = benchmark().specs[row], 100_000 * setting.draw + row
    found = {}
    for proxy in setting.proxies:
        module = network(spec, seed, setting.init)
        begin = time.perf_counter()
        value = PROXIES[proxy](module, images, classes)
        found[proxy] = (value, time.perf_counter() - begin)
    return found
