"""Four processes on one Optuna study: no trial is lost, no architecture is measured twice."""

# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false

import importlib.util
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

optuna = pytest.importorskip("optuna")

_WORKER = Path(__file__).with_name("_worker.py")
_PROCESSES, _TRIALS = 4, 8
_COMPLETE, _PRUNED = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED


def _module():
    spec = importlib.util.spec_from_file_location("worker_of_tests", _WORKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _begin(kind, folder):
    """Optuna's databases are begun by one process: several at once trip over each other."""
    storage = _module().storage(kind, folder)
    return optuna.create_study(storage=storage, study_name="shared", directions=["maximize"])


def _check(study, folder):
    trials = study.trials
    assert sorted(t.number for t in trials) == list(range(_PROCESSES * _TRIALS))
    assert {t.state for t in trials} <= {_COMPLETE, _PRUNED}
    measured = [t for t in trials if "source" in t.user_attrs]
    trained = Counter((folder / "trainings").read_text().split("\n"))
    del trained[""]
    assert len(trained) == len(measured) == _TRIALS
    assert set(trained.values()) == {1}
    assert {t.user_attrs["spec"] for t in measured} == set(trained)
    for trial in trials:
        if trial not in measured:
            assert trial.user_attrs["why"] in ("the journal has it", "another measures it")
            assert trial.user_attrs["spec"] in trained
        if trial.state == _COMPLETE:
            assert trial.value == trial.user_attrs["spec"].count("conv_3x3")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rdb", "journal"])
def test_four_processes(kind, tmp_path):
    study = _begin(kind, tmp_path)
    command = [sys.executable, str(_WORKER), kind, str(tmp_path), str(_TRIALS)]
    workers = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(_PROCESSES)
    ]
    errors = [worker.communicate(timeout=240)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * _PROCESSES, errors
    _check(study, tmp_path)


@pytest.mark.slow
def test_four_actors_of_ray(tmp_path):
    ray = pytest.importorskip("ray")
    study = _begin("journal", tmp_path)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:

        class Worker:
            def __init__(self, path):
                spec = importlib.util.spec_from_file_location("worker_of_tests", path)
                self.module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(self.module)

            def work(self, folder):
                self.module.work("journal", Path(folder), _TRIALS)

        kind = ray.remote(num_cpus=0.5)(Worker)
        workers = [kind.remote(str(_WORKER)) for _ in range(_PROCESSES)]
        ray.get([worker.work.remote(str(tmp_path)) for worker in workers], timeout=240)
    finally:
        ray.shutdown()
    _check(study, tmp_path)
