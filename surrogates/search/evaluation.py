"""What measures an architecture in a search, and what comes of it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from archcast.encoders._words import shown
from archcast.encoders.errors import EvaluationError
from archcast.search.strategy import Proposal

__all__ = ["BatchEvaluate", "Evaluate", "Outcome", "Result", "measure", "measure_batch"]


@dataclass(frozen=True, slots=True)
class Result:
    """A measurement with what it took.

    Attributes:
        values: the objective, or all of them in order, in their own units.
        seconds: what it took, on whatever clock; NaN lets the search take the time.
        note: anything to be kept with it.
    """

    values: float | tuple[float, ...]
    seconds: float = math.nan
    note: str = ""


class Evaluate(Protocol):
    """A function that measures one architecture."""

    def __call__(self, spec: str, fidelity: float, /) -> float | Sequence[float] | Result:
        """Measure an architecture after a share of the full training."""
        ...


@runtime_checkable
class BatchEvaluate(Protocol):
    """What measures many architectures at once faster than one by one: forecasts do.

    Attributes:
        batch: how many it wants.
    """

    batch: int

    def many(self, proposals: Sequence[Proposal], /) -> Sequence[Result]:
        """Measure n architectures, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trial.

    Attributes:
        values: objectives in their own units; empty if it failed.
        seconds: what it took.
        note: why it failed, or whatever there is to say.
    """

    values: tuple[float, ...]
    seconds: float
    note: str

    @property
    def failed(self) -> bool:
        """Whether there are no values."""
        return not self.values


def measure(evaluate: Evaluate, proposal: Proposal) -> Outcome:
    """Measure one architecture; whatever goes wrong becomes a note."""
    started = time.monotonic()
    try:
        found = evaluate(proposal.spec, proposal.fidelity)
    except Exception as error:  # a person's own code may raise anything
        return Outcome((), time.monotonic() - started, _told(error))
    return _outcome(found, time.monotonic() - started)


def measure_batch(evaluate: BatchEvaluate, proposals: Sequence[Proposal]) -> list[Outcome]:
    """Measure several at once; what goes wrong becomes a note to each of them."""
    started = time.monotonic()
    try:
        found = list(evaluate.many(proposals))
        if len(found) != len(proposals):
            raise EvaluationError(f"{len(proposals)} architectures got {len(found)} results")
    except Exception as error:
        seconds = (time.monotonic() - started) / len(proposals)
        return [Outcome((), seconds, _told(error)) for _ in proposals]
    seconds = (time.monotonic() - started) / len(proposals)
    return [_outcome(one, seconds) for one in found]


def _outcome(found: Any, seconds: float) -> Outcome:
    given = found.values if isinstance(found, Result) else found
    note = found.note if isinstance(found, Result) else ""
    if isinstance(found, Result) and not math.isnan(found.seconds):
        seconds = found.seconds
    try:
        values = np.atleast_1d(np.asarray(given, np.float64))
    except (TypeError, ValueError):
        return Outcome((), seconds, f"evaluate gave {shown(given, 60)}, which is no number")
    if values.ndim != 1 or not values.size:
        return Outcome(
            (), seconds, f"evaluate gave {shown(given, 60)}, not one number an objective"
        )
    if not np.isfinite(values).all():
        return Outcome((), seconds, note or f"evaluate gave {shown(given, 60)}")
    return Outcome(tuple(values.tolist()), seconds, note)


def _told(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
