"""Ranks on NAS-Bench-101 from few labels.

Kendall's tau over the 30,001 cells of the corpus, the labelled ones included, on their validation
accuracy after 108 epochs of a single training, whose noise bounds what any method reaches. The
published figures are over all 423,624 cells; they are quoted, not rerun.
"""

from __future__ import annotations

from pathlib import Path

from _cells import intervals, measure, ranks
from _report import parser, publish

from archcast.datasets.protocols import LABELS

COUNTS = LABELS["nasbench101/all"]


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--work", type=Path, help="keep finished draws here, to go on with")
    chosen = options.parse_args()
    found = measure("nasbench101/all", COUNTS, chosen.seeds, chosen.work)
    note = (
        f"Mean ± std of Kendall's tau over {chosen.seeds} draws of the labels "
        f"({2 * chosen.seeds} for at most 200 labels)."
    )
    parts = [
        note,
        "## All 30,001 cells",
        ranks(found, COUNTS),
        "## Without cells whose network is labelled",
        ranks(found, COUNTS, "unseen"),
        "Errors in points of accuracy; intervals are calibrated inside the labels:",
        intervals(found, COUNTS),
    ]
    publish(
        "NAS-Bench-101 with few labels", parts, chosen.out, ("lightgbm", "scikit-learn", "numpy")
    )


if __name__ == "__main__":
    main()
