"""Predictors: from an architecture to what it will score.

All of them follow scikit-learn's protocol (:class:`Predictor`) and are known by name
(:func:`get_predictor`); each is imported when first asked for, so that those that need torch cost
nothing until then.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from archcast.predictors._joined import Joined
from archcast.predictors._protocol import Predictor, State
from archcast.predictors._registry import (
    get_predictor,
    list_predictors,
    own_classes,
    predictor_class,
    register,
)
from archcast.predictors.storage import load_predictor, save_predictor

__all__ = [
    "Joined",
    "Predictor",
    "State",
    "get_predictor",
    "list_predictors",
    "load_predictor",
    "predictor_class",
    "register",
    "save_predictor",
]


def __getattr__(name: str) -> Any:
    found = own_classes().get(name)
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{found[0]}"), found[1])
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *own_classes()})
