"""What ``archcast search`` is asked to do: the space, the strategy, and what measures."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, Literal

import archcast
from archcast import datasets
from archcast.cli._inputs import UsageError
from archcast.cli._search_own import find_function, find_space
from archcast.datasets.transfers import lower_is_better
from archcast.encoders.errors import UnknownTaskError
from archcast.search import (
    Constraint,
    Domain,
    Forecaster,
    Objective,
    Proposal,
    Result,
    Simulation,
    Strategy,
    constrained,
    cost_unit,
    get_strategy,
    simulate,
    strategy_class,
)
from archcast.search.evaluation import BatchEvaluate, Evaluate
from archcast.search.strategies.screen import ScreenSearch, has_codes

Source = Literal["forecast", "table", "training"]
#: Candidates that are forecast together.
_BATCH: Final = 128
#: Of those screened, how many are kept: so many at least, and for each that is shown, whose network
#: others may equal.
_KEPT, _KEPT_EACH = 200, 10
#: Data set -> classes, for spaces that are at home on CIFAR-10.
_CLASSES: Final = {"cifar10": 10, "cifar100": 100, "imagenet16-120": 120}
_SMALL_IMAGES: Final = {"imagenet16-120": 16}


@dataclass(frozen=True)
class Wish:
    """The options as they were given."""

    space: str | None
    task: str
    strategy: str | None
    constraints: Sequence[str]
    objectives: Sequence[str]
    costs: Sequence[str]
    benchmark: str | None
    train_with: str | None
    direction: str | None
    options: Sequence[str]
    seed: int
    budget: int | None = None
    top: int = 5


@dataclass(frozen=True)
class Job:
    """A search that is ready to run.

    Attributes:
        strategy: proposes.
        evaluate: measures, or forecasts.
        objectives: the task first.
        source: where the task's values come from.
        facts: what a journal must agree with.
        told: where values come from, in words.
        trials: how many are forecast in full and kept, of all that the strategy looks at; None
            where every candidate is a trial.
    """

    strategy: Strategy
    evaluate: Evaluate | BatchEvaluate
    objectives: tuple[Objective, ...]
    source: Source
    facts: dict[str, Any]
    told: str
    trials: int | None = None

    @property
    def domain(self) -> Domain:
        """The architectures that are searched."""
        return self.strategy.domain


def plan(wish: Wish) -> Job:
    """Make ready what was asked for.

    Raises:
        UsageError: options that do not go together, or a function that is not there.
        UnknownTaskError: nobody knows the task.
        InvalidSettingError: no such strategy, cost or setting.
        InvalidSpecError: no such space.
    """
    extra = tuple(
        Objective(name, "min", cost_unit(name)) for name in dict.fromkeys(wish.objectives)
    )
    if wish.benchmark is not None and wish.train_with is not None:
        raise UsageError("--benchmark and --train-with are two ways to measure; give one")
    evaluate: Evaluate | BatchEvaluate
    if wish.benchmark is not None:
        if wish.direction is not None:
            raise UsageError("--direction goes with --train-with: a benchmark knows its tasks")
        domain, task, evaluate = _tabular(wish)
        source, told = "table", f"looked up in {wish.benchmark}"
    elif wish.train_with is not None:
        domain = _domain(wish)
        task = _own_objective(wish)
        evaluate = find_function(wish.train_with, _asks_for_short_ones(wish.strategy))
        source, told = "training", f"trained by {wish.train_with}"
    else:
        if wish.direction is not None:
            raise UsageError("--direction goes with --train-with: forecasts know their tasks")
        if _asks_for_short_ones(wish.strategy):
            raise UsageError(
                f"--strategy {wish.strategy} compares short trainings, and forecasts are of full "
                "ones; give it --benchmark or --train-with"
            )
        domain = _domain(wish)
        evaluate = Forecasts(domain, _known_objective(wish.task))
        task = evaluate.objective
        source, told = "forecast", "forecast; nothing is trained"
    objectives = (task, *extra)
    name = wish.strategy or ("forecast" if source != "forecast" else "")
    name = name or _usual(domain, bool(extra))
    facts = {
        "space": domain.space.name,
        "objectives": [f"{o.name}:{o.direction}" for o in objectives],
        "values": told,
    }
    given: dict[str, Any] = {"objective": objectives if extra else task}
    if isinstance(evaluate, Simulation) and len(evaluate.fidelities) > 1:
        given["fidelities"] = evaluate.fidelities
    if source == "forecast" and name == ScreenSearch.name and wish.budget is not None:
        given["candidates"] = wish.budget
    strategy = _strategy(name, domain, objectives, wish, given)
    trials = None
    if source == "forecast" and isinstance(strategy, ScreenSearch):
        trials = min(max(_KEPT, _KEPT_EACH * wish.top), strategy.candidates)
        facts["candidates"] = strategy.candidates
    return Job(strategy, evaluate, objectives, source, facts, told, trials)


def _usual(domain: Domain, several: bool) -> str:
    """The strategy of forecasts alone."""
    if several:
        return "nsga2"
    return ScreenSearch.name if has_codes(domain) else "evolution"


def _asks_for_short_ones(strategy: str | None) -> bool:
    """Whether a strategy begins with parts of the full training."""
    return strategy is not None and (
        "fidelities" in inspect.signature(strategy_class(strategy)).parameters
    )


class Forecasts:
    """Forecasts in place of measurements, many at once.

    Attributes:
        objective: what the numbers are: the task, or scores that only rank.
        forecaster: makes them.
        batch: how many are made together.
    """

    batch = _BATCH

    def __init__(self, domain: Domain, objective: Objective) -> None:
        self.forecaster = Forecaster(domain, objective)
        self.ranks_only = not self.forecaster.speaks
        self.objective = Objective(objective.name, "max", "score") if self.ranks_only else objective

    def many(self, proposals: Sequence[Proposal]) -> list[Result]:
        """Forecast n architectures, in order."""
        specs = [proposal.spec for proposal in proposals]
        if self.ranks_only:
            values = self.forecaster.moments(specs)[0]
        else:
            values = self.forecaster.forecast(specs).values
        return [Result(float(value)) for value in values]


# --------------------------------------------------------------------------------- spaces
def _domain(wish: Wish) -> Domain:
    if wish.space is None:
        raise UsageError("name a space: --space nasbench201")
    space = find_space(wish.space)
    dataset = wish.task.partition("/")[0]
    fits = (space.num_classes, space.image_size) == (10, 32)
    return constrained(
        space,
        list(wish.constraints),
        costs=list(dict.fromkeys([*wish.objectives, *wish.costs])),
        num_classes=_CLASSES.get(dataset) if fits else None,
        image_size=_SMALL_IMAGES.get(dataset) if fits else None,
    )


def _tabular(wish: Wish) -> tuple[Domain, Objective, Evaluate]:
    assert wish.benchmark is not None
    known = datasets.info(wish.benchmark)
    if wish.space is not None and wish.space not in (own := known.space or known.name, known.name):
        raise UsageError(f"--benchmark {wish.benchmark} is of the space {own}, not {wish.space}")
    bounds = [Constraint.parse(text) for text in wish.constraints]
    simulation = simulate(
        wish.benchmark,
        wish.task,
        costs=list(dict.fromkeys([*wish.objectives, *wish.costs])),
        constraints=bounds,
    )
    return simulation.domain, simulation.objective, simulation


# ---------------------------------------------------------------------------------- tasks
def _known_objective(name: str) -> Objective:
    """A task that can be forecast without a label: in its unit, or in ranks."""
    shipped = {task.name: task for task in archcast.tasks()}
    if name in shipped:
        return Objective(name, shipped[name].direction, shipped[name].unit)
    measured = {task for one in datasets.list_benchmarks() for task in datasets.info(one).tasks}
    if name not in measured:
        near = get_close_matches(name, sorted({*shipped, *measured}), n=2, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "see archcast tasks"
        raise UnknownTaskError(
            f"nobody has measured {name!r}, so it cannot be forecast; {hint} A task of your own "
            "is searched with --train-with"
        )
    return Objective(name, "min" if lower_is_better(name) else "max")


def _own_objective(wish: Wish) -> Objective:
    shipped = {task.name: task for task in archcast.tasks()}
    if wish.task in shipped and wish.direction is None:
        return Objective(wish.task, shipped[wish.task].direction, shipped[wish.task].unit)
    if wish.direction not in (None, "max", "min"):
        raise UsageError(f"--direction {wish.direction}: it is max or min")
    smaller = lower_is_better(wish.task) or "loss" in wish.task or "error" in wish.task
    return Objective(wish.task, wish.direction or ("min" if smaller else "max"))


# ----------------------------------------------------------------------------- strategies
def _strategy(
    name: str,
    domain: Domain,
    objectives: Sequence[Objective],
    wish: Wish,
    given: dict[str, Any],
) -> Strategy:
    takes = inspect.signature(strategy_class(name)).parameters
    # Those that forecast want to know what, in which unit; those that halve, at which lengths.
    options = {key: value for key, value in given.items() if key in takes}
    for text in wish.options:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--option {text}: write it as name=value")
        options[key] = _value(value)
    if len(objectives) > 1:
        options["objectives"] = len(objectives)
    return get_strategy(name, domain, seed=wish.seed, **options)


def _value(text: str) -> Any:
    try:
        return json.loads(text.lower() if text in ("True", "False") else text)
    except ValueError:
        return text
