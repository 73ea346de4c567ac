"""Forecast what a neural architecture will score, without training it.

>>> import archcast
>>> archcast.predict("resnet50.onnx")  # doctest: +SKIP
Forecast(resnet50: imagenet1k/top1 79.31 %, 90 % in [76.80, 81.42], familiar)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archcast._familiarity import familiarity
    from archcast._predict import predict
    from archcast._shipped import universal
    from archcast._tasks import Task, default_task, get_task, tasks
    from archcast.encoders.graph import ComputeGraph
    from archcast.forecast import Familiarity, Forecast

__all__ = [
    "ComputeGraph",
    "Familiarity",
    "Forecast",
    "Task",
    "default_task",
    "familiarity",
    "get_task",
    "predict",
    "tasks",
    "universal",
]

#: Public name -> module; loaded when first asked for, so that importing archcast is instant.
_HOME = {
    "ComputeGraph": "archcast.encoders.graph",
    "Familiarity": "archcast.forecast",
    "Forecast": "archcast.forecast",
    "Task": "archcast._tasks",
    "default_task": "archcast._tasks",
    "familiarity": "archcast._familiarity",
    "get_task": "archcast._tasks",
    "predict": "archcast._predict",
    "tasks": "archcast._tasks",
    "universal": "archcast._shipped",
}


#: Subpackages that are attributes without an import of their own.
_PACKAGES = frozenset(("datasets", "encoders", "evaluation", "predictors", "search", "zero_cost"))


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"archcast.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version("archcast")
    if name not in _HOME:
        raise AttributeError(f"module 'archcast' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
