"""Runs of searches: one JSON line each, and what regret they had after how many trainings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from _search_problems import PROBLEMS
from numpy.typing import NDArray

from archcast.search import Simulation, Trace

FloatArray = NDArray[np.float64]
_SLACK = 1e-9


@dataclass(frozen=True)
class Run:
    """One search.

    Attributes:
        problem: name of the problem.
        method: name of the method.
        seed: of its random numbers.
        trainings: how many it was given.
        picks: (t,) positions in the table of what it trained, in order.
        shares: (t,) share of the full training of each; None if all were full.
        wall: seconds the search itself took.
        note: whatever else the method tells.
    """

    problem: str
    method: str
    seed: int
    trainings: float
    picks: list[int]
    shares: list[float] | None
    wall: float
    note: str = ""

    @classmethod
    def of(cls, found: Trace, simulation: Simulation, **facts: object) -> Run:
        """A run that a replay gave."""
        whole = bool((found.fidelities == 1).all())
        picks = simulation.domain.places(found.specs).tolist()
        shares = None if whole else found.fidelities.tolist()
        return cls(picks=picks, shares=shares, **facts)  # pyright: ignore[reportArgumentType]

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes it this run."""
        return self.problem, self.method, self.seed


class Runs:
    """A file of runs that grows a line at a time; of runs with one key the last counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[tuple[str, str, int], Run] = {}
        if path.exists():
            for line in path.read_text("utf-8").splitlines():
                if line.endswith("}"):  # a killed process may leave half of one
                    run = Run(**json.loads(line))
                    self._found[run.key] = run

    def __iter__(self) -> Iterator[Run]:
        return iter(self._found.values())

    def has(self, problem: str, method: str, seed: int, trainings: float) -> bool:
        """Whether a run as long was made."""
        run = self._found.get((problem, method, seed))
        return run is not None and run.trainings >= trainings

    def add(self, run: Run) -> None:
        """Keep a run."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(run)) + "\n")
        self._found[run.key] = run

    def of(self, problem: str, method: str) -> list[Run]:
        """Runs of a method on a problem, by seed."""
        found = [r for r in self if r.problem == problem and r.method == method]
        return sorted(found, key=lambda run: run.seed)

    def methods(self) -> list[str]:
        """Methods in the order they were first run."""
        return list(dict.fromkeys(run.method for run in self))


@dataclass(frozen=True)
class Progress:
    """The best that a run knew, training by training.

    Attributes:
        trainings: (t,) full trainings spent.
        best: (t,) position of the incumbent: the best of the longest trainings so far.
    """

    trainings: FloatArray
    best: NDArray[np.intp]

    @classmethod
    def of(cls, run: Run) -> Progress:
        """Follow a run."""
        simulation = PROBLEMS[run.problem].simulation()
        picks = np.array(run.picks, np.intp)
        shares = np.ones(len(picks)) if run.shares is None else np.array(run.shares)
        merits = simulation.objective.merit(_values(simulation, picks, shares))
        # Longer trainings before shorter, then better before worse, then earlier before later.
        order = np.lexsort((-np.arange(len(picks)), merits, shares))
        place = np.empty(len(picks), np.intp)
        place[order] = np.arange(len(picks))
        return cls(np.cumsum(shares), picks[order[np.maximum.accumulate(place)]])

    def at(self, trainings: float) -> int | None:
        """Position of the incumbent after so many trainings; None if there was none."""
        done = int((self.trainings <= trainings + _SLACK).sum())
        return int(self.best[done - 1]) if done else None


def _values(simulation: Simulation, picks: NDArray[np.intp], shares: FloatArray) -> FloatArray:
    if (shares == 1).all():
        return simulation.values[picks]
    texts = simulation.domain.table.specs
    pairs = zip(picks.tolist(), shares.tolist(), strict=True)
    return np.array([simulation.look_up(texts[at], share).value for at, share in pairs])


def regrets(runs: Sequence[Run], queries: Sequence[float], *, reported: bool = False) -> FloatArray:
    """(runs, queries) regret of the incumbents; NaN beyond what a run was given.

    Args:
        runs: runs of one problem.
        queries: numbers of full trainings.
        reported: of the reported task rather than of what was searched for.
    """
    found = np.full((len(runs), len(queries)), np.nan)
    for i, run in enumerate(runs):
        simulation, progress = PROBLEMS[run.problem].simulation(), Progress.of(run)
        texts = simulation.domain.table.specs
        for j, count in enumerate(queries):
            at = progress.at(count)
            if at is None or count > run.trainings:
                continue
            if reported:
                found[i, j] = simulation.reported_regret(texts[at])
            else:
                found[i, j] = simulation.regret(float(simulation.values[at]))
    return found


def trainings_to(run: Run, regret: float) -> float:
    """Full trainings until the incumbent misses the optimum by at most so much; ∞ if never."""
    simulation, progress = PROBLEMS[run.problem].simulation(), Progress.of(run)
    merits = simulation.objective.merit(simulation.values)
    missed = float(simulation.objective.merit(simulation.optimum)) - merits[progress.best]
    hit = np.flatnonzero(missed <= regret + _SLACK)
    return float(progress.trainings[hit[0]]) if len(hit) else np.inf
