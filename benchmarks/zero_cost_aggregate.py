"""Which proxies to join, and whether the choice carries over.

Sets of up to four proxies are joined by the sum of the logarithms of their ranks. One set is chosen
on NAS-Bench-101, the NATS size space and TransNAS-Bench-101 (three tasks, their mean), and reported
on NAS-Bench-201, which took no part. Another is chosen on the CIFAR-10 accuracies of one half of
the NAS-Bench-201 sample and reported on the other half: that is no forecast for a new space, but
what published aggregates, made with this space in view, are to be compared with.
"""

from __future__ import annotations

import argparse
import os
from itertools import combinations
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _report import kendall, parser, publish, table
from numpy.typing import NDArray
from zero_cost_correlation import ELSEWHERE, STUDIES, drawn, graphs

from archcast import datasets
from archcast.zero_cost import AGGREGATES, PROXIES, rank_aggregate, score

FloatArray = NDArray[np.float64]
#: Study -> architectures and samples; those of zero_cost_correlation's tables.
CHOSEN_ON = {"nasbench101": (100, 8), "nats_size": (150, 32), "transnas": (150, 32)}
REPORTED_ON = {"nasbench201": (300, 32)}
#: Not candidates: baselines that are cheap in themselves may be; noise may not.
EXCLUDED = ELSEWHERE | {"plain"}
_MOST = 4
#: Published aggregates, and single proxies beside them.
PUBLISHED = {name: recipe.proxies for name, recipe in AGGREGATES.items()} | {
    f"{name} alone": (name,) for name in ("meco", "nwot", "params", "trainable_layers")
}
#: Scores by name, and the measured values of each task.
Study = tuple[dict[str, FloatArray], list[FloatArray]]


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--work", type=Path, help="file that keeps finished scores")
    chosen = options.parse_args()
    names = sorted(set(PROXIES) - EXCLUDED)
    studies = {
        name: (scores(name, names, *size, chosen), labels(name, *size))
        for name, size in (CHOSEN_ON | REPORTED_ON).items()
    }
    ranked = sorted(candidates(names, [studies[name] for name in CHOSEN_ON]), reverse=True)
    best = ranked[0][1]
    shown = {"chosen on the first three (" + ", ".join(best) + ")": best}
    shown |= PUBLISHED
    body = [[label, *row(label, proxies, studies)] for label, proxies in shown.items()]
    head = ["Kendall's correlation"]
    for name in studies:
        head += [f"{name}: {task.partition('/')[0]}" for task in STUDIES[name].tasks]
    near = [[", ".join(proxies), f"{value:.3f}"] for value, proxies in ranked[:5]]
    parts = [
        table(head, body),
        "The best sets by the mean that decides:",
        table(("proxies", "mean"), near),
        *halves(names, studies["nasbench201"]),
    ]
    publish("Joining training-free scores", parts, chosen.out, ("torch", "numpy"))


def halves(names: list[str], study: Study) -> list[str]:
    """Sets chosen on one half of NAS-Bench-201's sample, reported on the other."""
    found, values = study
    order = np.random.default_rng(0).permutation(len(values[0]))
    sides = [np.sort(part) for part in np.array_split(order, 2)]
    rows = []
    for here, there in (sides, sides[::-1]):
        seen = {name: found[name][here] for name in names}
        other = {name: found[name][there] for name in names}
        best = max(candidates(names, [(seen, [values[0][here]])]))[1]
        reported = [v[there] for v in values]
        label = "chosen on the other half (" + ", ".join(best) + ")"
        rows.append([label, *row("", best, {"": (other, reported)})])
        rows += [[name, *row(name, p, {"": (other, reported)})] for name, p in PUBLISHED.items()]
    head = ("NAS-Bench-201, one half, then the other", "cifar10", "cifar100", "imagenet16-120")
    return [table(head, rows)]


def scores(
    name: str, names: list[str], nets: int, samples: int, chosen: argparse.Namespace
) -> dict[str, FloatArray]:
    """Our scores of a study's sample."""
    study = STUDIES[name]
    benchmark = datasets.load(study.benchmark)
    rows = drawn(benchmark, study, nets, 0)
    cache = chosen.work if chosen.work else False
    return dict(
        score(graphs(benchmark, study, rows), names, samples=samples, cache=cache, progress=True)
    )


def labels(name: str, nets: int, samples: int) -> list[FloatArray]:
    """The measured values of the same sample, a task each."""
    del samples
    study = STUDIES[name]
    benchmark = datasets.load(study.benchmark)
    rows = drawn(benchmark, study, nets, 0)
    return [benchmark.labels(task)[rows] for task in study.tasks]


def candidates(names: list[str], studies: list[Study]) -> list[tuple[float, tuple[str, ...]]]:
    """Every set with the mean that decides."""
    sets = [s for size in range(1, _MOST + 1) for s in combinations(names, size)]
    means = np.zeros(len(sets))
    for found, values in studies:
        logs = {p: rank_aggregate({p: found[p]}) for p in names}
        for at, chosen in enumerate(sets):
            joined = np.sum([logs[p] for p in chosen], axis=0)
            if np.ptp(joined) > 0:
                means[at] += np.mean([kendall(joined, v) for v in values]) / len(studies)
    return list(zip(means.tolist(), sets, strict=True))


def row(label: str, proxies: tuple[str, ...], studies: dict[str, Study]) -> list[str]:
    """An aggregate on all studies."""
    cells = []
    for found, values in studies.values():
        recipe = AGGREGATES.get(label)
        joined = recipe(found) if recipe else rank_aggregate({p: found[p] for p in proxies})
        cells += [f"{kendall(joined, v):.3f}" for v in values]
    return cells


if __name__ == "__main__":
    main()
