"""pymoo's NSGA-II: accuracy against weights on NATS-Bench's size space, by forecasts."""

import argparse

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.optimize import minimize

from archcast.search import constrained
from archcast.search.adapters.pymoo import ArchitectureProblem, moves


def main(generations: int) -> None:
    domain = constrained("nats_size", costs=["params"])
    problem = ArchitectureProblem(domain, ["cifar10/test_accuracy", "params"])
    algorithm = NSGA2(pop_size=20, **moves(problem))
    result = minimize(problem, algorithm, ("n_gen", generations), seed=0)
    assert result.X is not None
    assert result.F is not None
    order = np.argsort(result.F[:, 1])
    for spec, (loss, params) in zip(problem.specs(result.X[order]), result.F[order], strict=True):
        print(f"{-loss:.2f} %  {params / 1e6:.2f} M  {spec}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trials", type=int, default=20, help="generations")
    main(options.parse_args().trials)
