"""The loop that trains every trial, and the same loop swapped, over several seeds.

    python examples/digits/compare.py --out benchmarks/results/digits.md

The universal predictor that answers has never seen digits or pictures of 8×8 pixels, and nothing of
learning rates and dropout: this is the hard case. The fair rival of the swapped loop is Optuna
alone with as many real trainings. A training takes a fraction of a second here, so trainings are
what is compared.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "benchmarks"))
from _report import parser, publish, table  # noqa: E402  (found by the line above)

_SAID = re.compile(r"(\d+) trainings, validation ([\d.]+)%, test ([\d.]+)%")


def run(script: str, trials: int, seed: int) -> tuple[float, float, float]:
    """Trainings, validation and test accuracy in percent of one search."""
    said = subprocess.run(  # a process each: both scripts keep an account of their own
        [sys.executable, HERE / script, "--trials", str(trials), "--seed", str(seed)],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    found = _SAID.search(said)
    if found is None:
        raise ValueError(f"{script} printed no result: {said!r}")
    trainings, validation, test = map(float, found.groups())
    return trainings, validation, test


def row(name: str, found: list[tuple[float, float, float]]) -> list[str]:
    """Means over the seeds, and twice the standard error."""
    values = np.array(found)
    error = 2 * values.std(0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else [np.nan] * 3
    return [
        name,
        f"{values[:, 0].mean():.0f}",
        *(f"{values[:, i].mean():.2f} ± {error[i]:.2f}" for i in (1, 2)),
    ]


def main() -> None:
    """Run all, and print or write the table."""
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=10)
    options.add_argument("--trials", type=int, default=60)
    chosen = options.parse_args()
    seeds = range(chosen.seeds)
    swapped = [run("swapped.py", chosen.trials, seed) for seed in seeds]
    trainings = round(np.mean([found[0] for found in swapped]))
    rows = [
        row(f"TPE, {chosen.trials} trials, all trained",
            [run("plain.py", chosen.trials, seed) for seed in seeds]),
        row(f"TPE, {chosen.trials} trials, swapped", swapped),
        row(f"TPE, {trainings} trials, all trained",
            [run("plain.py", trainings, seed) for seed in seeds]),
    ]  # fmt: skip
    head = ("loop", "trainings", "validation accuracy", "test accuracy")
    text = f"Means over {chosen.seeds} seeds, ± two standard errors, in percent."
    publish(
        "Digits: a loop that trains, and the same with one line swapped",
        [__doc__.split("\n\n")[2] if __doc__ else "", text, table(head, rows)],
        chosen.out,
        ("optuna", "torch", "scikit-learn"),
    )


if __name__ == "__main__":
    main()
