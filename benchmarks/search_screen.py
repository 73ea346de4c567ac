"""What screening finds where every value is a forecast, beside evolution over 2,000 forecasts.

*Screen* is `archcast search` with forecasts alone: small spaces are looked at as a whole, of large
ones 100,000 candidates through `FastForecaster`, then in full the most promising and the
neighbours of the best. *Evolution* (regularized) and *local* search take 2,000 forecasts in full.
*Best* is the forecast, in full, of the best that each found, its mean and range over the seeds;
*first* seconds are those of a process that begins without anything kept on disk (the table or the
networks are made), *again* those of later ones. Seconds are CPU seconds of one process, with the
predictor in memory. Nothing is trained, and nothing here tells whether a higher forecast is a
better network: where candidates are chosen by their forecasts, those of the best are too high on
average.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _report import parser, publish, table

from archcast.search import Domain, Forecaster, Objective, get_strategy

ASKED = (
    ("nasbench201", "cifar10/test_accuracy"),
    ("nats_size", "cifar10/test_accuracy"),
    ("darts", "cifar10/test_accuracy"),
    ("ofa_mobilenetv3", "imagenet1k/top1"),
)
#: Forecasts in full of the strategies, and how many at once.
FORECASTS, AT_ONCE = 2000, 100


def stepped(name: str, space: str, objective: Objective, seed: int) -> tuple[str, float]:
    """The best by a strategy that is told forecasts, and the seconds it took."""
    domain = Domain(space)
    forecaster = Forecaster(domain, objective)
    strategy = get_strategy(name, domain, seed=seed)
    start = time.process_time()
    while len(strategy.history) < FORECASTS:
        asked = [p.spec for p in strategy.ask(min(AT_ONCE, FORECASTS - len(strategy.history)))]
        for spec, merit in zip(asked, forecaster.moments(asked)[0].tolist(), strict=True):
            strategy.tell(spec, merit)
    best = max(strategy.history, key=lambda measured: measured.merits[0])
    return best.spec, time.process_time() - start


def screened(space: str, objective: Objective, seed: int) -> tuple[str, float]:
    """The best by screening, and the seconds it took."""
    strategy = get_strategy("screen", Domain(space), seed=seed, objective=objective)
    start = time.process_time()
    (best,) = strategy.ask(1)
    return best.spec, time.process_time() - start


def rows(space: str, task: str, seeds: int) -> list[list[str]]:
    """One row a way to search."""
    sys.stderr.write(f"{space}\n")
    objective = Objective(task, unit="%")
    asked = Forecaster(Domain(space), objective)
    found = []
    for name in ("evolution", "local", "screen"):
        runs = [
            screened(space, objective, seed)
            if name == "screen"
            else stepped(name, space, objective, seed)
            for seed in range(seeds)
        ]
        best = asked.forecast([spec for spec, _ in runs]).values
        seconds = [spent for _, spent in runs]
        ends = f"{best.min():.3f} to {best.max():.3f}"
        first = f"{seconds[0]:.1f}" if name == "screen" else f"{np.mean(seconds):.1f}"
        again = np.mean(seconds[1:] if name == "screen" else seconds)
        found.append([space, name, f"{best.mean():.3f}", ends, first, f"{again:.1f}"])
    return found


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=5, help="searches of each kind, two at least")
    options.add_argument("--spaces", nargs="+", help="these spaces only")
    chosen = options.parse_args()
    asked = [a for a in ASKED if chosen.spaces is None or a[0] in chosen.spaces]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ARCHCAST_CACHE"] = folder
        for _, task in asked:  # predictors are read before any clock runs
            spare = Domain("transnas_macro")
            Forecaster(spare, Objective(task)).moments(spare.space.sample(50, 0))
        found = [row for a in asked for row in rows(*a, chosen.seeds)]
    head = ("space", "strategy", "best, %", "range, %", "first, s", "again, s")
    parts = [(__doc__ or "").partition("\n\n")[2].strip(), table(head, found)]
    publish("Screening by forecasts alone", parts, chosen.out, ("numpy",))


if __name__ == "__main__":
    main()
