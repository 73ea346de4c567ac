"""Ranks on NAS-Bench-201 from few labels.

Three protocols on CIFAR-10 test accuracy, in Kendall's tau: all 15,625 cells are ranked, the
labelled ones included, as in the literature; the same without any cell whose network is among the
labelled ones (class-disjoint); and the 9,445 canonical cells that are left when operators on no
path count as absent. A fourth on CIFAR-100, in Spearman's rho: 100 labels, 1,000 other cells. The
table names what the published figures used; they are quoted, not rerun.
"""

from __future__ import annotations

from pathlib import Path

from _cells import intervals, measure, ranks
from _report import parser, publish

from archcast.datasets.protocols import LABELS

ALL = LABELS["nasbench201/all"]
CANONICAL = LABELS["nasbench201/canonical"]


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--trials", type=int, default=20, help="draws of the fourth protocol")
    options.add_argument("--work", type=Path, help="keep finished draws here, to go on with")
    chosen = options.parse_args()
    whole = measure("nasbench201/all", ALL, chosen.seeds, chosen.work)
    canonical = measure("nasbench201/canonical", CANONICAL, chosen.seeds, chosen.work)
    others = measure("nasbench201/cifar100", (100,), chosen.trials // 2, chosen.work)
    note = (
        f"Mean ± std of Kendall's tau over {chosen.seeds} draws of the labels "
        f"({2 * chosen.seeds} for at most 200 labels)."
    )
    parts = [
        note,
        "## All 15,625 cells",
        ranks(whole, ALL),
        "## Class-disjoint: without cells whose network is labelled",
        ranks(whole, ALL, "unseen"),
        "Errors in points of accuracy; intervals are calibrated inside the labels:",
        intervals(whole, ALL),
        "## The 9,445 canonical cells",
        ranks(canonical, CANONICAL),
        f"## CIFAR-100: 100 labels, 1,000 other cells, {chosen.trials} draws, Spearman's rho",
        ranks(others, (100,)),
    ]
    publish(
        "NAS-Bench-201 with few labels",
        parts,
        chosen.out,
        ("lightgbm", "scikit-learn", "numpy"),
    )


if __name__ == "__main__":
    main()
