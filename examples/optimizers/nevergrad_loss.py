"""nevergrad on NAS-Bench-201, with forecasts in place of trainings."""

import argparse

import nevergrad as ng

from archcast.search.adapters.nevergrad import ArchitectureLoss


def main(budget: int) -> None:
    loss = ArchitectureLoss("nasbench201", "cifar10/test_accuracy")
    parametrization = loss.parametrization
    parametrization.random_state.seed(0)
    optimizer = ng.optimizers.DiscreteOnePlusOne(parametrization, budget=budget)
    spec = str(loss.spec(optimizer.minimize(loss).value))
    print(f"{loss.problem.values([spec])[0, 0]:.2f} %  {spec}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trials", type=int, default=100)
    main(options.parse_args().trials)
