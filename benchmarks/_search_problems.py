"""The twelve searches of ``search.py``: tables, objectives, and what is reported."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from archcast.search import Simulation, simulate


@dataclass(frozen=True)
class Problem:
    """One table to search.

    Attributes:
        name: what tables call it.
        benchmark: name of the benchmark.
        task: what is searched for.
        report: what counts in the end.
    """

    name: str
    benchmark: str
    task: str
    report: str

    def simulation(self) -> Simulation:
        """The table, read once a process; its clock is everybody's."""
        return _simulation(self)

    def mapped(self) -> Simulation:
        """The same with sizes of its networks, for searches that map them."""
        return _mapped(self)


@cache
def _mapped(problem: Problem) -> Simulation:
    costs = ("params", "macs")
    return simulate(problem.benchmark, problem.task, report=problem.report, costs=costs)


@cache
def _simulation(problem: Problem) -> Simulation:
    return simulate(problem.benchmark, problem.task, report=problem.report)


def _problems() -> list[Problem]:
    found = [_plain("nasbench101", "nasbench101", "cifar10/val_accuracy")]
    for data in ("cifar10", "cifar100", "imagenet16-120"):
        tasks = f"{data}/val_accuracy", f"{data}/test_accuracy"
        found.append(Problem(f"nasbench201 {data}", "nasbench201", *tasks))
    for task in (
        "class_object/val_accuracy",
        "class_scene/val_accuracy",
        "jigsaw/val_accuracy",
        "room_layout/val_negative_mse",
        "segmentsemantic/val_pixel_accuracy",
        "normal/val_ssim",
        "autoencoder/val_ssim",
    ):
        name = f"transnas {task.partition('/')[0]}"
        found.append(_plain(name, "transnas_micro", f"taskonomy-{task}"))
    return [*found, _plain("nats_size", "nats_size", "cifar10/test_accuracy")]


def _plain(name: str, benchmark: str, task: str) -> Problem:
    return Problem(name, benchmark, task, task)


#: Name -> problem.
PROBLEMS = {problem.name: problem for problem in _problems()}
