"""How the searches of ``search.py`` search: strategies, forecasts alone, the swap decorator."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _search_priors import left_out_prior
from _search_problems import Problem
from _search_runs import Run

from archcast.predictors import Predictor
from archcast.search import Simulation, Trace, get_strategy, replay, strategy_class

#: Forecasts that evolution is given where it trains nothing.
FORECASTS = 5000


@dataclass(frozen=True)
class Question:
    """What a method is asked.

    Attributes:
        problem: what is searched.
        simulation: its table.
        trainings: how many are given.
        seed: of the random numbers.
        work: folder of fitted priors.
    """

    problem: Problem
    simulation: Simulation
    trainings: int
    seed: int
    work: Path

    @property
    def prior(self) -> Predictor:
        """What was learned from other spaces."""
        return left_out_prior(self.problem.benchmark, self.problem.task, self.work)


Method = Callable[[Question], Trace]


def strategy(name: str, **options: Any) -> Method:
    """A strategy of the registry, with the prior and the fidelities if it takes them."""

    def method(asked: Question) -> Trace:
        taken = inspect.signature(strategy_class(name).__init__).parameters
        given: dict[str, Any] = dict(options)
        if "prior" in taken:
            given.setdefault("prior", asked.prior)
        if "objective" in taken:
            given["objective"] = asked.simulation.objective
        if "fidelities" in taken:
            given["fidelities"] = asked.simulation.fidelities
        chosen = get_strategy(name, asked.simulation.domain, seed=asked.seed, **given)
        return replay(chosen, asked.simulation, asked.trainings)

    return method


def walk(asked: Question) -> Trace:
    """Train what the prior ranks first, second, third, whatever comes of it."""
    everything = asked.simulation.domain.table.specs
    score = asked.prior.predict(asked.simulation.domain.features(everything))
    first = np.argsort(-score, kind="stable")[: asked.trainings]
    return _trained(asked.simulation, [everything[at] for at in first])


def evolution_on_forecasts(asked: Question) -> Trace:
    """Regularized evolution on the prior's scores; the best it saw are trained, best first."""
    domain, prior = asked.simulation.domain, asked.prior
    chosen = get_strategy("evolution", domain, seed=asked.seed)
    seen: dict[str, float] = {}
    for _ in range(FORECASTS):
        (proposal,) = chosen.ask(1)
        score = float(prior.predict(domain.features([proposal.spec]))[0])
        seen[proposal.spec] = score
        chosen.tell(proposal.spec, score)
    best = sorted(seen, key=lambda spec: -seen[spec])
    return _trained(asked.simulation, best[: asked.trainings])


def _trained(simulation: Simulation, specs: list[str]) -> Trace:
    simulation.reset()
    rows: list[tuple[float, float, float, float]] = []
    for spec in specs:
        found = simulation.evaluate(spec)
        rows.append((1.0, found.value, simulation.trainings, simulation.seconds))
    return Trace(tuple(specs), *np.array(rows, np.float64).reshape(len(rows), 4).T)


def run(name: str, asked: Question) -> Run:
    """One search, by the name of its method."""
    started = time.perf_counter()
    found = METHODS[name](asked)
    return Run.of(
        found, asked.simulation,
        problem=asked.problem.name, method=name, seed=asked.seed, trainings=asked.trainings,
        wall=round(time.perf_counter() - started, 3),
    )  # fmt: skip


#: Name in tables -> method.
METHODS: Mapping[str, Method] = {
    "random": strategy("random"),
    "local": strategy("local"),
    "evolution": strategy("evolution"),
    "nsga2": strategy("nsga2"),
    "successive-halving": strategy("successive-halving"),
    "robot": strategy("robot"),
    "forecast": strategy("forecast"),
    "gbdt-nas": strategy("gbdt-nas"),
    "weak": strategy("weak"),
    "linas": strategy("linas"),
    "bananas": strategy("bananas"),
    "boshnas": strategy("boshnas"),
    "prior alone": walk,
    "evolution on the prior": evolution_on_forecasts,
}
