"""What a person asks of a surrogate, and what their function may give back."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from archcast.encoders.errors import EvaluationError
from archcast.predictors import Predictor
from archcast.search.domain import Domain
from archcast.search.swap._belief import Unit
from archcast.search.swap._budget import Seconds

__all__ = ["Settings", "one_number"]


@dataclass(frozen=True)
class Settings:
    """What a person asked for; see :func:`archcast.search.surrogate`."""

    task: str
    budget: int | Seconds
    domain: Domain | None
    direction: Literal["max", "min"] | None
    to_network: Callable[[Any], Any] | None
    input_shape: Any
    prior: Predictor | None
    unit: Unit | None
    start: int | None
    kept: int | None
    beyond: bool
    calls: int | None
    journal: str | os.PathLike[str] | None
    on_error: Literal["raise", "forecast"]
    ignored: tuple[str, ...]
    clock: Callable[[], float]
    seed: int


def one_number(name: str, given: Any) -> float:
    """What a training function gave, as a float; arrays and tensors of one element count.

    Raises:
        EvaluationError: it is no number.
    """
    value = given.item() if callable(getattr(given, "item", None)) and _single(given) else given
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise EvaluationError(
            f"{name} returned {given!r:.100}, a {type(given).__name__}; it has to return one number"
        )
    return float(value)


def _single(value: Any) -> bool:
    size = getattr(value, "numel", None)
    count = size() if callable(size) else getattr(value, "size", 1)
    return count == 1
