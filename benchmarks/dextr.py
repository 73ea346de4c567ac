"""Dextr and MeCo on NAS-Bench-201's first thousand architectures, as their authors report them.

Every fourth of the rows 0 to 999, one sample: white noise, the library's default (a random picture
with the spectrum of photographs), or an image of CIFAR-10 (from ``$ARCHCAST_MIRROR``; left out if
it is not there), under the library's default initialisation and
under torch's own, which the publications use. The published way (hooks on every module of the
network as its authors lay it out, containers and dead operators included) runs on fewer rows, for
it takes seconds a network; ours is shown on the same rows, too. An architecture without a score
ranks last. What counts in our scores was chosen on TransNAS-Bench-101 and NAS-Bench-101.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from _plain_nasbench201 import network
from _report import kendall, parser, publish, spearman, table
from numpy.typing import NDArray

from archcast import datasets
from archcast.zero_cost import score
from archcast.zero_cost.proxies.dextr_published import dextr_published

FloatArray = NDArray[np.float64]
TASKS = tuple(f"{data}/test_accuracy" for data in ("cifar10", "cifar100", "imagenet16-120"))
PROXIES = ("dextr", "meco", "meco_opt")
PUBLISHED = {"dextr": ".90 .91 .87", "meco": ".894 .883 .845"}


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--every", type=int, default=4)
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--published-every", type=int, default=16, help="0: not at all")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    benchmark = datasets.load("nasbench201")
    image = _image()
    rows = np.arange(0, 1000, chosen.every)
    labels = [benchmark.labels(task)[rows] for task in TASKS]
    graphs = list(benchmark.graphs(rows))
    lines, kept = [], {}
    for sample in ("noise", "default", "image") if image is not None else ("noise", "default"):
        for init in ("kaiming", "pytorch"):
            runs = []
            for seed in chosen.seeds:
                given = {"image": image, "noise": _noise(seed), "default": None}[sample]
                data = None if given is None else (given, None)
                found = score(
                    graphs, PROXIES, samples=1, seed=seed, init=init, data=data, cache=False
                )
                runs.append(found)
            for name in PROXIES:
                several = [_last(found[name]) for found in runs]
                kept[name, sample, init] = several[0]
                lines.append([name, sample, init, PUBLISHED.get(name, "")])
                lines[-1] += [_over(several, y) for y in labels]
    head = ["score", "sample", "weights", "published", "CIFAR-10", "CIFAR-100", "ImageNet16-120"]
    parts = [
        f"{len(rows)} architectures, seeds {chosen.seeds}: Spearman ρ, Kendall τ; means over "
        "seeds, the spread of ρ in brackets.",
        table(head, lines),
    ]
    if chosen.published_every and image is not None:
        parts += _published(benchmark, chosen.published_every, rows, kept, image)
    publish("Dextr and MeCo", parts, chosen.out, ["torch"])


def _published(
    benchmark: datasets.Benchmark,
    every: int,
    rows: NDArray[np.int64],
    kept: dict[tuple[str, str, str], FloatArray],
    image: torch.Tensor,
) -> list[str]:
    """Ours beside the published way, on the same rows."""
    few = np.flatnonzero(rows % every == 0)
    start = time.perf_counter()
    theirs = [dextr_published(network(str(benchmark.specs[row])), image[:1]) for row in rows[few]]
    seconds = (time.perf_counter() - start) / len(few)
    found = {
        "as published, containers and all": np.array(theirs),
        "on the graph": kept["dextr", "image", "pytorch"][few],
    }
    labels = [benchmark.labels(task)[rows[few]] for task in TASKS]
    lines = [
        [name, *(f"{spearman(values, y):.3f}" for y in labels)] for name, values in found.items()
    ]
    agree = spearman(*found.values())
    text = (
        f"Dextr on {len(few)} of these rows, an image, torch's own initialisation, seed 0. The two "
        f"ways agree with ρ = {agree:.3f}; the published way took {seconds:.1f} s a network."
    )
    return [text, table(["way", "CIFAR-10", "CIFAR-100", "ImageNet16-120"], lines)]


def _noise(seed: int) -> torch.Tensor:
    """One sample of standard normal numbers, (1, 3, 32, 32)."""
    return torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def _image() -> torch.Tensor | None:
    """(32, 3, 32, 32) standardised images, if they are at hand."""
    file = Path(os.environ.get("ARCHCAST_MIRROR", "")) / "inputs" / "cifar10_subset.npz"
    if not file.exists():
        return None
    with np.load(file) as arrays:
        images = torch.tensor(arrays["x_train"][:32]).permute(0, 3, 1, 2) / 255
    axes = (0, 2, 3)
    return (images - images.mean(axes, keepdim=True)) / images.std(axes, keepdim=True)


def _last(scores: FloatArray) -> FloatArray:
    """Scores with those that are missing below all others."""
    return np.where(np.isnan(scores), np.nanmin(scores) - 1, scores)


def _over(runs: Sequence[FloatArray], labels: FloatArray) -> str:
    ranks = [spearman(values, labels) for values in runs]
    concord = np.mean([kendall(values, labels) for values in runs])
    return f"{np.mean(ranks):.3f} (±{np.std(ranks):.3f}), {concord:.3f}"


if __name__ == "__main__":
    main()
