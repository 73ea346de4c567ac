"""How the searches of ``search.py`` search: strategies, forecasts alone, the swap decorator."""

from __future__ import annotations

import inspect
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _search_priors import left_out_prior
from _search_problems import Problem
from _search_runs import Run
from numpy.typing import NDArray

from archcast.encoders.tabular import feature_names
from archcast.predictors import Predictor
from archcast.search import (
    Simulation,
    Trace,
    get_strategy,
    replay,
    strategy_class,
    surrogate,
)

FloatArray = NDArray[np.float64]
#: What RoBoT has beside published scores; below the bound is how sources say that one failed.
SIZES = ("log_weights", "log_macs", "log_layers")
FAILED = -1e7
#: Forecasts that evolution is given where it trains nothing.
FORECASTS = 2000
#: The loop of one's own: calls, members, drawn for a tournament.
CALLS, MEMBERS, TOURNAMENT = 500, 50, 10


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
        return left_out_prior(self.problem, self.work)


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
        if "scores" in taken:
            given["scores"] = partial(published_scores, asked)
            given["candidates"] = len(asked.simulation.values)
        if "fidelities" in taken:
            given["fidelities"] = asked.simulation.fidelities
        chosen = get_strategy(name, asked.simulation.domain, seed=asked.seed, **given)
        return replay(chosen, asked.simulation, asked.trainings)

    return method


def map_elites(asked: Question) -> Trace:
    """An archive of the best of each parameter count and multiply-accumulates, ten bins of each."""
    simulation = asked.problem.mapped()
    chosen = get_strategy("map-elites", simulation.domain, seed=asked.seed)
    return replay(chosen, simulation, asked.trainings)


def published_scores(asked: Question, specs: Sequence[str]) -> dict[str, FloatArray]:
    """Scores without training that the benchmark's sources have, and three sizes."""
    domain = asked.simulation.domain
    data, places = domain.table.benchmark, domain.places(specs)
    features, columns = domain.features(specs), feature_names()
    found = {n: features[:, columns.index(n)].astype(np.float64) for n in SIZES}
    data_sets = (asked.problem.task.partition("/")[0], "cifar10")
    for name in data.proxies:
        data_set, _, proxy = name.partition("/")
        if data_set == next((d for d in data_sets if f"{d}/{proxy}" in data.proxies), None):
            values = data.proxy_scores(name)[domain.table.rows[places]]
            found[proxy] = np.where(values < FAILED, np.nan, values)
    return found


def walk(asked: Question) -> Trace:
    """Train what the prior ranks first, second, third, whatever comes of it."""
    everything = asked.simulation.domain.table.specs
    score = asked.prior.predict(asked.simulation.domain.features(everything))
    first = np.argsort(-score, kind="stable")[: asked.trainings]
    return _trained(asked.simulation, [everything[at] for at in first])


def evolution_on_forecasts(asked: Question) -> Trace:
    """Regularized evolution on the prior's scores; the best it saw are trained, best first."""
    domain = asked.simulation.domain
    scores = asked.prior.predict(domain.features(domain.table.specs))
    chosen = get_strategy("evolution", domain, seed=asked.seed)
    seen: dict[str, float] = {}
    while len(seen) < FORECASTS and (asks := chosen.ask(1)):
        spec = asks[0].spec
        seen[spec] = float(scores[domain.table.place[spec]])
        chosen.tell(spec, seen[spec])
    best = sorted(seen, key=lambda spec: -seen[spec])
    return _trained(asked.simulation, best[: asked.trainings])


def own_loop(train: Callable[[str], float], asked: Question) -> None:
    """Regularized evolution as a person writes it down: 500 calls of a function that trains."""
    domain, rng = asked.simulation.domain, np.random.default_rng(asked.seed)
    merit = asked.simulation.objective.merit
    population: deque[tuple[float, str]] = deque(maxlen=MEMBERS)
    for _ in range(CALLS):
        if len(population) < MEMBERS:
            (spec,) = domain.sample(1, rng)
        else:
            drawn = rng.choice(MEMBERS, TOURNAMENT, replace=False)
            _, parent = max(population[at] for at in drawn.tolist())
            spec = domain.mutate(parent, rng) or parent
        population.append((float(merit(train(spec))), spec))


def loop_that_trains(asked: Question) -> Trace:
    """The loop as it stands; what comes again is not trained again."""
    known: dict[str, float] = {}

    def train(spec: str) -> float:
        if spec not in known:
            known[spec] = asked.simulation.evaluate(spec).value
        return known[spec]

    own_loop(train, asked)
    return _trained(asked.simulation, list(known))


def swapped_loop(asked: Question, *, beyond: bool = False) -> Trace:
    """The same loop with its function swapped, and the best confirmed in the end."""
    simulation, trained = asked.simulation, []

    @surrogate(
        task=asked.problem.task,
        budget=asked.trainings,
        space=simulation.domain,
        prior=asked.prior,
        direction=simulation.objective.direction,
        beyond=beyond,
        seed=asked.seed,
    )
    def train(spec: str) -> float:
        trained.append(spec)
        return simulation.look_up(spec).value

    own_loop(train, asked)
    train.confirm()
    train.close()
    return _trained(simulation, trained)


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
    "map-elites": map_elites,
    "successive-halving": strategy("successive-halving"),
    "successive-halving, curves": strategy("successive-halving", curve_forecast=True),
    "robot": strategy("robot"),
    "forecast": strategy("forecast"),
    "gbdt-nas": strategy("gbdt-nas"),
    "weak": strategy("weak"),
    "linas": strategy("linas"),
    "bananas": strategy("bananas"),
    "boshnas": strategy("boshnas"),
    "prior alone": walk,
    "evolution on the prior": evolution_on_forecasts,
    "own loop": loop_that_trains,
    "own loop, swapped": swapped_loop,
    "own loop, swapped, beyond": partial(swapped_loop, beyond=True),
}
