"""Pruners of Optuna studies on made-up learning curves.

A curve is `end (1 - exp(-t / speed))` over 20 steps with noise of standard deviation 0.003, `end`
uniform in 0.5 to 0.95, `speed` in 2 to 8 steps: fast beginners are often overtaken. `lost` is the
best final value of all trials less that of the trials that were run to the end; `steps run` is the
share of all steps. Made-up curves tell how pruners behave, not what they save on real trainings.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import optuna
from _report import parser, publish, table
from optuna.pruners import BasePruner

from archcast.search.adapters.optuna import CurvePruner

STEPS = 20
PRUNERS: dict[str, Callable[[], BasePruner]] = {
    "none": optuna.pruners.NopPruner,
    "median (Optuna's default)": optuna.pruners.MedianPruner,
    "successive halving": optuna.pruners.SuccessiveHalvingPruner,
    "Hyperband": optuna.pruners.HyperbandPruner,
    "CurvePruner()": CurvePruner,
    "CurvePruner(startup=12)": lambda: CurvePruner(startup=12),
    "CurvePruner(keep=3)": lambda: CurvePruner(keep=3),
}


def curve(rng: np.random.Generator) -> np.ndarray:
    end, speed = rng.uniform(0.5, 0.95), rng.uniform(2.0, 8.0)
    return end * (1 - np.exp(-np.arange(1, STEPS + 1) / speed)) + rng.normal(0, 0.003, STEPS)


def run(pruner: BasePruner, seed: int, trials: int) -> tuple[float, float]:
    """What was lost, and the share of steps that were run."""
    rng = np.random.default_rng(seed)
    curves = [curve(rng) for _ in range(trials)]
    steps = 0

    def loop(trial: optuna.Trial) -> float:
        nonlocal steps
        for step, value in enumerate(curves[trial.number]):
            steps += 1
            trial.report(value, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(curves[trial.number][-1])

    study = optuna.create_study(direction="maximize", pruner=pruner)
    study.optimize(loop, n_trials=trials)
    return max(c[-1] for c in curves) - study.best_value, steps / (STEPS * trials)


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--seeds", type=int, default=10)
    options.add_argument("--trials", type=int, default=60)
    chosen = options.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = []
    for name, make in PRUNERS.items():
        started = time.perf_counter()
        found = np.array([run(make(), seed, chosen.trials) for seed in range(chosen.seeds)])
        seconds = (time.perf_counter() - started) / (chosen.seeds * chosen.trials)
        lost, share = found.mean(0)
        cells = f"{lost:.4f}", f"{found[:, 0].max():.4f}", f"{share:.2f}", f"{1000 * seconds:.0f}"
        rows.append([name, *cells])
    text = (__doc__ or "").partition("\n\n")[2].strip()
    head = ("pruner", "lost, mean", "lost, worst", "steps run", "ms a trial")
    parts = [text, f"{chosen.seeds} seeds, {chosen.trials} trials each.", table(head, rows)]
    publish("Pruners of learning curves", parts, chosen.out, ("optuna", "numpy", "scikit-learn"))


if __name__ == "__main__":
    main()
