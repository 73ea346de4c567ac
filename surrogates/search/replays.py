"""``replay``: a strategy on a simulation, with workers on its clock."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import InvalidSettingError
from archcast.search.simulation import Lookup, Simulation
from archcast.search.strategy import Proposal, Strategy

__all__ = ["Trace", "replay"]

FloatArray = NDArray[np.float64]
_SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class Trace:
    """What a simulated search measured, in the order it was told.

    Attributes:
        specs: (t,) architectures.
        fidelities: (t,) share of the full training of each.
        values: (t,) measured values, in the objective's unit.
        trainings: (t,) full trainings spent until then, those under way not counted.
        seconds: (t,) the clock when each was told; NaN where times are unknown.
    """

    specs: tuple[str, ...]
    fidelities: FloatArray
    values: FloatArray
    trainings: FloatArray
    seconds: FloatArray

    def __len__(self) -> int:
        return len(self.specs)

    def incumbents(self, simulation: Simulation) -> NDArray[np.intp]:
        """(t,) which measurement was the best so far, each time.

        Longer trainings count before shorter ones, whatever their values.

        Args:
            simulation: gives the direction of the objective.
        """
        merits = simulation.objective.merit(self.values)
        best, found = -1, []
        for at, merit in enumerate(merits.tolist()):
            if not math.isnan(merit) and (best < 0 or self._beats(at, best, merits)):
                best = at
            found.append(best)
        return np.array(found, np.intp)

    def _beats(self, at: int, best: int, merits: FloatArray) -> bool:
        ours, theirs = self.fidelities[at], self.fidelities[best]
        return bool(ours > theirs or (ours == theirs and merits[at] > merits[best]))


def replay(
    strategy: Strategy, simulation: Simulation, trainings: float, *, workers: int = 1
) -> Trace:
    """Let a strategy search a simulation; it is reset first.

    Workers are asynchronous: whoever is free asks, and is told when its training ends on the
    simulated clock. Where times are unknown, trainings take as long as they are fidelity.

    Args:
        strategy: proposes architectures; one that was told something goes on from there.
        simulation: measures them.
        trainings: how much to spend, in full trainings.
        workers: trainings at a time.

    Raises:
        InvalidSettingError: nothing to spend, or no workers.
    """
    if not trainings > 0 or workers < 1:
        raise InvalidSettingError("a replay needs a budget above 0 and at least one worker")
    simulation.reset()
    known = not math.isnan(simulation.seconds)
    clock = spent = told = 0.0
    running: list[tuple[float, int, Proposal, Lookup]] = []
    rows: list[tuple[str, float, float, float, float]] = []
    begun = 0
    while True:
        while len(running) < workers and spent < trainings - _SLACK:
            asked = strategy.ask(1)
            if not asked:
                break
            result = simulation.evaluate(*asked[0])
            spent += result.fidelity
            duration = result.seconds if known else result.fidelity
            lasts = 0.0 if math.isnan(duration) else duration
            heapq.heappush(running, (clock + lasts, begun, asked[0], result))
            begun += 1
        if not running:
            break
        clock, _, proposal, result = heapq.heappop(running)
        told += result.fidelity
        strategy.tell(proposal.spec, simulation.objective.merit(result.value), proposal.fidelity)
        when = clock if known else math.nan
        rows.append((proposal.spec, result.fidelity, result.value, told, when))
    specs = tuple(row[0] for row in rows)
    columns = np.array([row[1:] for row in rows], np.float64).reshape(len(rows), 4).T
    return Trace(specs, *columns)
