"""An Optuna study of one's own parameters: only sampler and pruner come from archcast.

The loop here pretends to train, so that the example takes seconds; ``to_network`` tells the
sampler what a trial's parameters build.
"""

import argparse
import math
from typing import Any

import optuna

from archcast.search import Objective
from archcast.search.adapters.optuna import CurvePruner, ForecastSampler

OPERATORS = ["skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]


def to_network(params: dict[str, Any]) -> str:
    """Whatever ``archcast.encoders.read`` takes: a torch module, an ONNX file, a cell string."""
    a, b, c = params["first"], params["second"], params["third"]
    return f"|{a}~0|+|{b}~0|none~1|+|skip_connect~0|{b}~1|{c}~2|"


def objective(trial: optuna.Trial) -> float:
    chosen = [trial.suggest_categorical(n, OPERATORS) for n in ("first", "second", "third")]
    rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)  # left to TPE
    end = 0.8 + 0.04 * chosen.count("nor_conv_3x3") - 0.01 * abs(math.log10(rate) + 2)
    for epoch in range(10):
        trial.report(end * (1 - math.exp(-(epoch + 1) / 3)), epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return end


def main(trials: int) -> None:
    sampler = ForecastSampler(to_network, Objective("mine/accuracy"), seed=0, candidates=32)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=CurvePruner())
    study.optimize(objective, n_trials=trials)
    pruned = sum(t.state == optuna.trial.TrialState.PRUNED for t in study.trials)
    print(f"best {study.best_value:.3f} with {study.best_params}; {pruned} of {trials} pruned")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trials", type=int, default=30)
    main(options.parse_args().trials)
