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
    from archcast.search.forecaster import Forecaster, Forecasts
    from archcast.search.objectives import Constraint, Objective
    from archcast.search.strategy import Measured, Proposal, Strategy

__all__ = [
    "Constraint",
    "DeviceCost",
    "Domain",
    "Forecaster",
    "Forecasts",
    "Measured",
    "Objective",
    "Proposal",
    "Result",
    "Strategy",
    "constrained",
    "cost_names",
    "cost_unit",
    "devices",
    "get_cost",
    "get_strategy",
    "list_strategies",
    "register",
    "strategy_class",
]

#: Public name -> module.
_HOME = {
    "Constraint": "objectives",
    "DeviceCost": "costs",
    "Domain": "domain",
    "Forecaster": "forecaster",
    "Forecasts": "forecaster",
    "Measured": "strategy",
    "Objective": "objectives",
    "Proposal": "strategy",
    "Result": "evaluation",
    "Strategy": "strategy",
    "constrained": "costs",
    "cost_names": "costs",
    "cost_unit": "costs",
    "devices": "costs",
    "get_cost": "costs",
    "get_strategy": "_registry",
    "list_strategies": "_registry",
    "register": "_registry",
    "strategy_class": "_registry",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
