"""Search: strategies, surrogates in place of training, and the clothes of other optimizers.

Everything is imported when first asked for, so that what one search needs costs another nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archcast.search._registry import (
        get_strategy,
        list_strategies,
        register,
        strategy_class,
    )
    from archcast.search.acquisition import (
        expected_hypervolume_improvement,
        expected_improvement,
        get_acquisition,
        independent_thompson,
        list_acquisitions,
        log_expected_improvement,
        probability_of_improvement,
        upper_confidence_bound,
    )
    from archcast.search.choices import ChoiceSpace
    from archcast.search.costs import (
        DeviceCost,
        constrained,
        cost_names,
        cost_unit,
        devices,
        get_cost,
    )
    from archcast.search.domain import Domain
    from archcast.search.evaluation import Result
    from archcast.search.exports import export, torch_source
    from archcast.search.fast import FastForecaster, Fidelity, Screened
    from archcast.search.forecaster import Forecaster, Forecasts
    from archcast.search.objectives import Constraint, Objective
    from archcast.search.pareto import Front, crowding, fronts, hypervolume, non_dominated
    from archcast.search.plot import plot_curves, plot_front, plot_map
    from archcast.search.replays import Trace, replay
    from archcast.search.result import SearchResult
    from archcast.search.simulation import Simulation, simulate
    from archcast.search.strategy import Measured, Proposal, Strategy
    from archcast.search.study import run
    from archcast.search.swap._account import UnfamiliarWarning
    from archcast.search.swap._belief import MixedUnitsWarning
    from archcast.search.swap._budget import Seconds
    from archcast.search.swap.decorator import Surrogate, Winner, surrogate

__all__ = [
    "ChoiceSpace",
    "Constraint",
    "DeviceCost",
    "Domain",
    "FastForecaster",
    "Fidelity",
    "Forecaster",
    "Forecasts",
    "Front",
    "Measured",
    "MixedUnitsWarning",
    "Objective",
    "Proposal",
    "Result",
    "Screened",
    "SearchResult",
    "Seconds",
    "Simulation",
    "Strategy",
    "Surrogate",
    "Trace",
    "UnfamiliarWarning",
    "Winner",
    "constrained",
    "cost_names",
    "cost_unit",
    "crowding",
    "devices",
    "expected_hypervolume_improvement",
    "expected_improvement",
    "export",
    "fronts",
    "get_acquisition",
    "get_cost",
    "get_strategy",
    "hypervolume",
    "independent_thompson",
    "list_acquisitions",
    "list_strategies",
    "log_expected_improvement",
    "non_dominated",
    "plot_curves",
    "plot_front",
    "plot_map",
    "probability_of_improvement",
    "register",
    "replay",
    "run",
    "simulate",
    "strategy_class",
    "surrogate",
    "torch_source",
    "upper_confidence_bound",
]

#: Public name -> module.
_HOME = {
    "ChoiceSpace": "choices",
    "Constraint": "objectives",
    "DeviceCost": "costs",
    "Domain": "domain",
    "FastForecaster": "fast",
    "Fidelity": "fast",
    "Forecaster": "forecaster",
    "Forecasts": "forecaster",
    "Front": "pareto",
    "Measured": "strategy",
    "MixedUnitsWarning": "swap._belief",
    "Objective": "objectives",
    "Proposal": "strategy",
    "Result": "evaluation",
    "Screened": "fast",
    "SearchResult": "result",
    "Seconds": "swap._budget",
    "Simulation": "simulation",
    "Strategy": "strategy",
    "Surrogate": "swap.decorator",
    "Trace": "replays",
    "UnfamiliarWarning": "swap._account",
    "Winner": "swap.decorator",
    "constrained": "costs",
    "cost_names": "costs",
    "cost_unit": "costs",
    "crowding": "pareto",
    "devices": "costs",
    "expected_hypervolume_improvement": "acquisition",
    "expected_improvement": "acquisition",
    "export": "exports",
    "fronts": "pareto",
    "get_acquisition": "acquisition",
    "get_cost": "costs",
    "get_strategy": "_registry",
    "hypervolume": "pareto",
    "independent_thompson": "acquisition",
    "list_acquisitions": "acquisition",
    "list_strategies": "_registry",
    "log_expected_improvement": "acquisition",
    "non_dominated": "pareto",
    "plot_curves": "plot",
    "plot_front": "plot",
    "plot_map": "plot",
    "probability_of_improvement": "acquisition",
    "register": "_registry",
    "replay": "replays",
    "run": "study",
    "simulate": "simulation",
    "strategy_class": "_registry",
    "surrogate": "swap.decorator",
    "torch_source": "exports",
    "upper_confidence_bound": "acquisition",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
