"""Ranks in search spaces that were never seen, without a label and with twenty.

Three questions: NAS-Bench-101 alone to NAS-Bench-201; everything but NAS-Bench-201 and the size
space of NATS-Bench to both; and every space of the corpus from all others.

    python benchmarks/zero_shot.py --out benchmarks/results/zero_shot.md

Needs the pooled table: ``archcast datasets build``. About 15 minutes of one core.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _report import parser, publish, table
from numpy.typing import NDArray

from archcast._universal_set import PooledRows, pooled_rows
from archcast.datasets import transfers
from archcast.datasets.pool import Pool, open_pool
from archcast.encoders.tabular import feature_names
from archcast.evaluation.metrics import coverage, isotonic_mae, kendall, ndcg, spearman
from archcast.predictors import Predictor, get_predictor
from archcast.predictors.universal import UniversalPredictor

Score = NDArray[np.float64]
NB201, NATS = "nasbench201", "nats_size"
C10 = "cifar10/test_accuracy"
SIZES = ("log_weights", "log_macs", "log_layers")
LABELS = 20


def column(x: NDArray[np.float32], name: str) -> Score:
    return x[:, feature_names().index(name)].astype(np.float64)


def every_row(pool: Pool, benchmark: str, task: str) -> tuple[NDArray[np.float32], Score]:
    """Features and label of every architecture, isomorphic ones included."""
    labels = pool.table("labels", benchmark, ["hash", "value"], tasks=task)
    hashes, x = pool.features(benchmark)
    place = {name: i for i, name in enumerate(hashes.tolist())}
    rows = [place[name] for name in labels["hash"].to_pylist()]
    return x[rows], labels["value"].to_numpy()


# ------------------------------------------------------- NAS-Bench-101 to 201
def one_to_one(pool: Pool, seeds: int) -> str:
    x, y = every_row(pool, "nasbench101", "cifar10/val_accuracy")
    new, truth = every_row(pool, NB201, C10)
    once, back = np.unique(new, axis=0, return_inverse=True)
    back = back.reshape(-1)

    def measured(name: str, forecast: Callable[[int], Score], repeats: int) -> list[str]:
        scores = [forecast(seed)[back] for seed in range(repeats)]
        cells = [
            f"{np.mean(v):.3f}" + (f" ± {np.std(v):.3f}" if repeats > 1 else "")
            for v in ([m(truth, s) for s in scores] for m in (spearman, kendall))
        ]
        return [name, *cells]

    sizes = [feature_names().index(name) for name in SIZES]
    rows = [
        measured("archcast universal, one space known",
                 lambda s: UniversalPredictor(seed=s).fit(x, y).predict(once), seeds),
        measured("ExtraTrees, all features",
                 lambda s: forest(s).fit(x, y).predict(once), min(seeds, 2)),
        measured("ExtraTrees on parameters, MACs, layers",
                 lambda s: forest(s).fit(x[:, sizes], y).predict(once[:, sizes]), min(seeds, 2)),
        *([f"{name} alone", *measured(name, lambda _, n=name: column(once, n), 1)[1:]]
          for name in SIZES),
        ["ExtraTrees on 16 columns of the masked cell (quoted)", "0.825", "0.621"],
        ["GENNAPE (published)", "0.815", "-"],
        ["ONNX-Net, 50,000 training networks (published)", "0.747", "-"],
        ["FLAN + arch2vec (published)", "0.741", "-"],
    ]  # fmt: skip
    return table(("trained on NAS-Bench-101 alone", "SPR", "KT"), rows)


def forest(seed: int) -> Predictor:
    return get_predictor("extra-trees", seed=seed, transform="logit")


# --------------------------------------------------------------- two left out
def two_left_out(pool: Pool, data: PooledRows, seeds: int, trees: int) -> str:
    sets = {name: every_row(pool, name, C10) for name in (NB201, NATS)}
    known = data.take(~np.isin(data.spaces, [NB201, NATS]))
    rows = []
    methods: dict[str, list[Callable[[NDArray[np.float32]], Score]]] = {
        f"archcast universal, {trees} trees a space": [
            fitted(known, trees, seed, C10).predict for seed in range(seeds)
        ]
    }
    methods |= {f"{name} alone": [lambda x, n=name: column(x, n)] for name in SIZES}
    for name, forecasts in methods.items():
        found = []
        for forecast in forecasts:
            scores = {space: forecast(x) for space, (x, _) in sets.items()}
            both = [np.concatenate(v) for v in
                    (list(scores.values()), [y for _, y in sets.values()])]  # fmt: skip
            found.append(
                [kendall(sets[s][1], scores[s]) for s in sets] + [kendall(both[1], both[0])]
            )
        rows.append([name, *(f"{v:.3f}" for v in np.mean(found, 0))])
    rows.append(["ONNX-Net (published)", "-", "-", "0.390"])
    return table(("KT, both left out", "NAS-Bench-201", "NATS-Bench size", "pooled"), rows)


def fitted(rows: PooledRows, trees: int, seed: int, task: str | None) -> UniversalPredictor:
    return UniversalPredictor(task, trees=trees, rows=2000, seed=seed).fit(
        rows.x, rows.y, spaces=rows.spaces, tasks=rows.tasks,
        smaller_is_better=rows.smaller_is_better,
    )  # fmt: skip


# ------------------------------------------------------------- leave one out
def leave_one_out(data: PooledRows, trees: int, draws: int, work: Path | None) -> list[list[str]]:
    """One row a space; its figures are means over its tasks."""
    cache = work / "leave_one_out.json" if work else None
    done = json.loads(cache.read_text()) if cache and cache.exists() else {}
    for space, tasks in data.populations().items():
        if space in done:
            continue
        kin = set().union(*map(transfers.kin, np.unique(data.benchmarks[data.spaces == space])))
        siblings = np.unique(data.spaces[np.isin(data.benchmarks, list(kin))])
        universal = fitted(data.take(~np.isin(data.spaces, siblings)), trees, 0, None)
        found = []
        for task in tasks.tolist():
            mine = data.take((data.spaces == space) & (data.tasks == task))
            universal.set_params(task=task)
            found.append(one_space(universal, mine, draws))
        done[space] = np.nanmean(found, 0).tolist()
        if cache:
            cache.write_text(json.dumps(done))
    rows = [[name, *(cell(v, i) for i, v in enumerate(values))] for name, values in done.items()]
    means = np.nanmean(list(done.values()), 0)
    return [*rows, ["mean", *("" if i == 4 else cell(v, i) for i, v in enumerate(means))]]


def cell(value: float, index: int) -> str:
    return f"{value:.1%}" if index >= 6 else f"{value:.3f}" if index != 4 else f"{value:.3g}"


def one_space(universal: UniversalPredictor, rows: PooledRows, draws: int) -> list[float]:
    """Ranks without a label, then error, ranks and intervals with twenty."""
    sign = -1.0 if rows.smaller_is_better[0] else 1.0
    score, truth = universal.predict(rows.x), sign * rows.y
    ranks, held = [], []
    for seed in range(draws):
        order = np.random.default_rng(seed).permutation(len(rows.y))
        few, rest = order[:LABELS], order[LABELS:1500]
        adapted = universal.adapt(rows.x[few], truth[few])
        low, high = adapted.interval(rows.x[rest], 0.9)
        ranks.append(kendall(truth[rest], adapted.predict(rows.x[rest])))
        held.append(coverage(truth[rest], low, high))
    plain = spearman(truth, column(rows.x, SIZES[0]))
    return [
        kendall(truth, score),
        spearman(truth, score),
        ndcg(truth, score),
        plain,
        isotonic_mae(truth, score, LABELS, draws),
        float(np.mean(ranks)),
        float(np.mean(held)),
    ]


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--trees", type=int, default=96, help="trees a space, of the pooled model")
    options.add_argument("--draws", type=int, default=10, help="draws of the twenty labels")
    options.add_argument("--work", type=Path, help="folder where finished spaces are kept")
    chosen = options.parse_args()
    if chosen.work:
        chosen.work.mkdir(parents=True, exist_ok=True)
    pool = open_pool()
    data = pooled_rows(limit=2500)
    head = (
        "space left out", "KT", "SPR", "nDCG@10 %", "SPR of parameters",
        "MAE, isotonic on 20 labels", "KT, 20 labels", "90 % interval holds, 20 labels",
    )  # fmt: skip
    parts = [
        "## From NAS-Bench-101 to all 15,625 cells of NAS-Bench-201",
        one_to_one(pool, chosen.seeds),
        "## Everything but NAS-Bench-201 and the size space of NATS-Bench",
        two_left_out(pool, data, min(chosen.seeds, 2), chosen.trees),
        "## Every space from all others",
        "Siblings are left out together: the three AutoFormer spaces, the three of HW-GPT, timm "
        "and torchvision. Figures of a space are means over its tasks. Losses and perplexities "
        "are negated; the MAE is in the unit of the space's tasks, whatever it is. Weights and "
        "intervals were settled with a table like this one in view.",
        table(head, leave_one_out(data, chosen.trees, chosen.draws, chosen.work)),
    ]
    publish("Search spaces never seen", parts, chosen.out, ("scikit-learn", "numpy"))


if __name__ == "__main__":
    main()
