"""Optuna on NAS-Bench-201, with forecasts in place of trainings.

Two objectives, a bound on the weights, and a sampler that proposes by what it expects to learn.
With a training of your own, put ``Measure(Objective("mine/accuracy", "max", "%"), train)`` in the
place of the task; the sampler stays as it is.
"""

import argparse

import optuna

from archcast.search import constrained
from archcast.search.adapters.optuna import ArchitectureObjective, ForecastSampler


def main(trials: int) -> None:
    domain = constrained("nasbench201", ["params<=1M"])
    objective = ArchitectureObjective(domain, ["cifar10/test_accuracy", "params"])
    study = optuna.create_study(
        directions=objective.directions, sampler=ForecastSampler(objective, seed=0)
    )
    study.optimize(objective, n_trials=trials)
    for trial in sorted(study.best_trials, key=lambda t: t.values[1]):
        accuracy, params = trial.values
        print(f"{accuracy:.2f} %  {params / 1e6:.2f} M  {trial.user_attrs['spec']}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trials", type=int, default=40)
    main(options.parse_args().trials)
