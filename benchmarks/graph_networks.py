"""Graph networks with few labels: five backbones, six losses.

Kendall's tau on NAS-Bench-201 (CIFAR-10 test accuracy): all 15,625 cells are ranked, as in the
literature, and those whose network is not among the labelled ones (class-disjoint). On
NAS-Bench-101 (validation accuracy of one training) 3,000 random cells are ranked, the labelled ones
among them. Losses are compared on NAS-Bench-101 only, where settings were chosen, on other cells.
Published figures are quoted, not rerun; theirs on NAS-Bench-101 are over all 423,624 cells and the
mean of three trainings.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from _report import parser, publish, table
from sklearn.ensemble import RandomForestRegressor

from archcast.datasets.protocols import Protocol, protocol
from archcast.evaluation import Results, evaluate
from archcast.predictors.losses import LOSSES

#: Backbone -> what differs from the defaults; those that do more a layer get fewer of them.
BACKBONES: Mapping[str, dict[str, Any]] = {
    "gin": {},
    "gatv2": {},
    "nnformer": {},
    "flan": {"depth": 2},
    "gps": {"depth": 2},
}
#: Where they were published: as labels -> figure of each space.
PUBLISHED: Mapping[str, Mapping[str, Mapping[int, float]]] = {
    "nasbench201": {"PINAT": {156: 0.631, 781: 0.761}, "NN-Former": {156: 0.804}},
    "nasbench101": {"PINAT": {172: 0.715, 424: 0.772}, "NN-Former": {172: 0.765, 424: 0.809}},
}
RANKED = 3000
DEFAULT_LOSS = "mse+hinge"


def settings(labels: int) -> dict[str, Any]:
    """About as many steps whatever the number of labels."""
    return {"epochs": 60 if labels <= 200 else 30, "device": "cpu", "transform": "logit"}


def nasbench101() -> Protocol:
    """The protocol of the library, but on 3,000 random cells."""
    whole = protocol("nasbench101/all")
    rows = np.random.default_rng(1).choice(whole.rows(), RANKED, replace=False)
    return Protocol(
        "nasbench101/3000", whole.benchmark, whole.task, whole.metric, lambda: rows, "all"
    )


def score(on: Protocol, name: str, labels: int, seeds: int, work: Path | None) -> Results:
    """One predictor under one protocol."""
    if name == "random forest":
        forest: Any = RandomForestRegressor(200, random_state=0, n_jobs=1)
        return evaluate(forest, on, labels=labels, seeds=seeds, name=name, work=work)
    kind, _, loss = name.partition(", ")
    params = settings(labels) | BACKBONES[kind] | ({"loss": loss} if loss else {})
    return evaluate(kind, on, labels=labels, seeds=seeds, params=params, name=name, work=work)


def tau(found: Results, part: str) -> str:
    """Kendall's tau over a part of the rows."""
    row = next(r for r in found.summary() if r.part == part)
    spread = f" ± {row.std['kendall']:.3f}" if len({m.seed for m in found.measurements}) > 1 else ""
    return f"{row.mean['kendall']:.3f}{spread}"


def compare(on: Protocol, counts: list[int], seeds: int, work: Path | None) -> str:
    """One row a predictor, two columns a number of labels, and what it costs."""
    rows: dict[str, list[str]] = {}
    for count in counts:
        for name in ("random forest", *BACKBONES):
            found = score(on, name, count, seeds, work)
            first = found.summary()[0]
            cost = [f"{first.mean['fit_seconds']:.0f}"]
            rows.setdefault(name, []).extend([tau(found, "all"), tau(found, "unseen"), *cost])
    for name, figures in PUBLISHED[on.benchmark].items():
        quoted = [[f"{figures[n]:.3f}" if n in figures else "-", "-", "-"] for n in counts]
        rows[f"{name} (published)"] = [cell for part in quoted for cell in part]
    head = [[f"{n} labels", f"{n}, class-disjoint", "fit s"] for n in counts]
    columns = ["predictor", *(cell for part in head for cell in part)]
    return table(columns, [[name, *row] for name, row in rows.items()])


def _with(loss: str) -> str:
    return "gin" if loss == DEFAULT_LOSS else f"gin, {loss}"


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=1, help="draws of the labels")
    options.add_argument("--nb201", type=int, nargs="*", default=[156, 781], help="labels")
    options.add_argument("--nb101", type=int, nargs="*", default=[172, 424], help="labels")
    options.add_argument("--losses", nargs="*", default=list(LOSSES), help="compared with GIN")
    options.add_argument("--work", type=Path, help="keep finished draws here, to go on with")
    chosen = options.parse_args()
    parts = [f"Draws of the labels: {chosen.seeds}. One network each, no ensemble."]
    if chosen.nb201:
        on = protocol("nasbench201/all")
        parts += [
            "## NAS-Bench-201, all 15,625 cells",
            compare(on, chosen.nb201, chosen.seeds, chosen.work),
        ]
    if chosen.nb101:
        parts += [
            f"## NAS-Bench-101, {RANKED:,} cells",
            compare(nasbench101(), chosen.nb101, chosen.seeds, chosen.work),
        ]
    if chosen.losses:
        rows = [
            [loss, tau(score(nasbench101(), _with(loss), 172, chosen.seeds, chosen.work), "all")]
            for loss in chosen.losses
        ]
        parts += ["## Losses: GIN, NAS-Bench-101, 172 labels", table(("loss", "KT"), rows)]
    publish(
        "Graph networks with few labels", parts, chosen.out,
        ("torch", "torch-geometric", "scikit-learn", "numpy"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
