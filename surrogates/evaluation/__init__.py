"""Measuring predictors: metrics, and any predictor under any protocol.

>>> from archcast.evaluation import evaluate
>>> results = evaluate("tabular", "nasbench201/all", labels=156, seeds=5)  # doctest: +SKIP
>>> print(results.to_markdown())  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from archcast.evaluation import metrics

if TYPE_CHECKING:
    from archcast.evaluation._evaluate import evaluate, list_protocols
    from archcast.evaluation._measure import METRICS, Forecasts, Measurement
    from archcast.evaluation.results import Results, Row

__all__ = [
    "METRICS",
    "Forecasts",
    "Measurement",
    "Results",
    "Row",
    "evaluate",
    "list_protocols",
    "metrics",
]

#: Imported when first used: metrics alone need neither data nor predictors.
_LAZY: Final = {
    "METRICS": "_measure",
    "Forecasts": "_measure",
    "Measurement": "_measure",
    "Results": "results",
    "Row": "results",
    "evaluate": "_evaluate",
    "list_protocols": "_evaluate",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"archcast.evaluation.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
