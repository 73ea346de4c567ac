"""Ray Tune with regularized evolution of archcast, and forecasts in place of trainings."""

import argparse
import tempfile

import ray
from ray import tune

from archcast.search import Domain, get_strategy
from archcast.search.adapters.ray_tune import ArchitectureTrainable, StrategySearcher

TASK = "cifar10/test_accuracy"


def main(trials: int) -> None:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    domain = Domain("nasbench201")
    config = tune.TuneConfig(
        metric=TASK,
        mode="max",
        search_alg=StrategySearcher(get_strategy("evolution", domain, seed=0)),
        num_samples=trials,
        max_concurrent_trials=2,
        reuse_actors=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        run = tune.RunConfig(storage_path=folder, verbose=0)
        train = ArchitectureTrainable(domain, TASK)
        best = tune.Tuner(train, tune_config=config, run_config=run).fit().get_best_result()
        found = best.metrics or {}
        print(f"{found[TASK]:.2f} %  {found['spec']}")
    ray.shutdown()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trials", type=int, default=20)
    main(options.parse_args().trials)
