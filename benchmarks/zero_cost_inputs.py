"""Which made-up pictures stand in for real ones: agreement with published scores.

On NAS-Bench-201 cells with published scores (computed on CIFAR-10): Spearman's correlation of our
score with the published one of the same architecture, under white noise, under noise whose
amplitudes fall with the frequency as those of photographs do (the default), and under real images
if the corpus has them. No accuracy is looked at.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _report import parser, publish, spearman, table

from archcast import datasets
from archcast.zero_cost import score

PROXIES = ("nwot", "jacov", "epe_nas", "fisher", "grad_norm", "snip")
#: A mini-batch of CIFAR-10 in the corpus.
IMAGES = Path("inputs", "cifar10_subset.npz")


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--nets", type=int, default=60)
    options.add_argument("--samples", type=int, default=32)
    options.add_argument("--seed", type=int, default=5)
    options.add_argument("--init", default="pytorch", help="what publications initialise with")
    options.add_argument("--work", type=Path, help="file that keeps finished scores")
    chosen = options.parse_args()
    benchmark = datasets.load("nasbench201")
    known = np.flatnonzero(np.isfinite(benchmark.proxy_scores("cifar10/nwot")))
    rows = np.random.default_rng(chosen.seed).permutation(known)[: chosen.nets]
    graphs = benchmark.graphs(rows)
    body = []
    for name, data in inputs(chosen.samples, chosen.seed).items():
        scores = score(
            graphs,
            PROXIES,
            samples=chosen.samples,
            init=chosen.init,
            data=data,
            cache=chosen.work if chosen.work else False,
            progress=True,
        )
        row = [name]
        for proxy in PROXIES:
            published = benchmark.proxy_scores(f"cifar10/{proxy}")[rows]
            both = np.isfinite(scores[proxy]) & np.isfinite(published)
            row.append(f"{spearman(scores[proxy][both], published[both]):.3f}")
        body.append(row)
    head = ("inputs: Spearman with published scores", *PROXIES)
    note = f"{chosen.nets} cells, {chosen.samples} samples, {chosen.init} weights."
    publish("Inputs of training-free scores", [note, table(head, body)], chosen.out, ("torch",))


def inputs(samples: int, seed: int) -> dict[str, tuple[Any, Any] | None]:
    """Name -> mini-batch; None is the default."""
    white = np.random.default_rng(seed).standard_normal((samples, 3, 32, 32)).astype(np.float32)
    found: dict[str, tuple[Any, Any] | None] = {
        "white noise": (white, None),
        "spectrum of photographs": None,
    }
    mirror = os.environ.get("ARCHCAST_MIRROR")
    path = Path(mirror, IMAGES) if mirror else IMAGES
    if path.exists():
        with np.load(path, allow_pickle=False) as archive:
            images = archive["x_train"][:samples].transpose(0, 3, 1, 2).astype(np.float32)
            labels = archive["y_train"][:samples].astype(np.int64)
        axes = (0, 2, 3)
        images = (images - images.mean(axes, keepdims=True)) / images.std(axes, keepdims=True)
        found["CIFAR-10 images"] = (images, labels)
    return found


if __name__ == "__main__":
    main()
