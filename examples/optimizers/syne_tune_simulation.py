"""Syne Tune's simulator on forecasts: regularized evolution, four workers, simulated hours."""

import argparse

from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
from syne_tune.blackbox_repository import UserBlackboxBackend
from syne_tune.optimizer.baselines import REA

from archcast.search import Domain
from archcast.search.adapters.syne_tune import ELAPSED, ArchitectureBlackbox

TASK = "cifar10/test_accuracy"


def main(trials: int) -> None:
    domain = Domain("nasbench201")
    blackbox = ArchitectureBlackbox(domain, TASK, seconds=3600.0)
    scheduler = REA(
        blackbox.configuration_space,
        metric=TASK,
        do_minimize=False,
        population_size=10,
        sample_size=3,
        random_seed=0,
    )
    tuner = Tuner(
        trial_backend=UserBlackboxBackend(blackbox, elapsed_time_attr=ELAPSED),
        scheduler=scheduler,
        stop_criterion=StoppingCriterion(max_num_trials_finished=trials),
        n_workers=4,
        sleep_time=0,
        callbacks=[SimulatorCallback()],
        save_tuner=False,
        tuner_name="archcast-example",
    )
    tuner.run()
    _, config = tuner.best_config()
    spec = blackbox.spec({name: config[name] for name in blackbox.configuration_space})
    print(f"{blackbox(configuration=config, fidelity=1)[TASK]:.2f} %  {spec}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trials", type=int, default=60)
    main(options.parse_args().trials)
