"""One of several processes that work on one Optuna study; run by test_optuna_parallel.py.

Usage: ``_worker.py <storage> <folder> <trials>``. All processes draw the same architectures, so
that most of what they ask for is a duplicate.
"""

import os
import sys
import time
from pathlib import Path

import optuna

from archcast.search import Objective
from archcast.search.adapters import Measure
from archcast.search.adapters.optuna import ArchitectureObjective


class Training:
    """Counts 3x3 convolutions slowly, and writes down that it did."""

    def __init__(self, log):
        self.log = log

    def __call__(self, spec):
        handle = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{spec}\n".encode())
        os.close(handle)
        time.sleep(0.02)
        return float(spec.count("conv_3x3"))


def storage(kind, folder):
    if kind == "rdb":
        return optuna.storages.RDBStorage(f"sqlite:///{folder}/study.db")
    from optuna.storages.journal import JournalFileBackend

    backend = JournalFileBackend(f"{folder}/study.log")
    return optuna.storages.JournalStorage(backend)


def work(kind, folder, trials):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    measure = Measure(Objective("convs"), Training(f"{folder}/trainings"))
    objective = ArchitectureObjective("nasbench201", measure, journal=f"{folder}/measured.sqlite")
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.load_study(storage=storage(kind, folder), study_name="shared", sampler=sampler)
    study.optimize(objective, n_trials=trials)


if __name__ == "__main__":
    work(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
