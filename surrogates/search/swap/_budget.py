"""Budgets of real trainings: a number of them, or seconds."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from archcast.encoders.errors import InvalidSettingError

__all__ = ["Seconds", "capacity", "parse_budget"]

_UNITS: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PART: Final = re.compile(r"\s*(\d+(?:\.\d*)?)\s*(min|s|m|h|d)\s*")


@dataclass(frozen=True, slots=True)
class Seconds:
    """A budget in seconds of real training.

    Attributes:
        value: how many.

    Raises:
        InvalidSettingError: not a finite number, or below zero.
    """

    value: float

    def __post_init__(self) -> None:
        if not (isinstance(self.value, (int, float)) and 0 <= self.value < math.inf):
            raise InvalidSettingError(f"a budget is 0 seconds at least, not {self.value!r}")

    def __str__(self) -> str:
        return f"{self.value:g} s"


def parse_budget(budget: Any) -> int | Seconds:
    """Read a budget: ``20`` trainings, ``Seconds(90)``, or a text such as ``2h`` or ``1h30m``.

    Raises:
        InvalidSettingError: it does not read like that, or is below zero.
    """
    if isinstance(budget, Seconds):
        return budget
    if isinstance(budget, str):
        text = budget.strip()
        if text.isdecimal():
            return int(text)
        parts = _PART.findall(text)
        if parts and not _PART.sub("", text):
            return Seconds(sum(float(number) * _UNITS[unit] for number, unit in parts))
    elif isinstance(budget, int) and not isinstance(budget, bool) and budget >= 0:
        return budget
    raise InvalidSettingError(
        f"budget={budget!r} is neither a number of trainings, 0 or more, nor a time like '2h' or "
        "Seconds(90)"
    )


def capacity(budget: int | Seconds, seconds: Sequence[float]) -> int:
    """Most trainings that a budget allows in all, those done and begun included.

    A budget in seconds allows one training before any was timed, and later as many as would fit
    if they take as long as those before.

    Args:
        budget: trainings, or seconds.
        seconds: of each training that ended; NaN where unknown.
    """
    if not isinstance(budget, Seconds):
        return budget
    known = [s for s in seconds if math.isfinite(s)]
    if not known or sum(known) <= 0:
        return max(1, len(seconds)) if budget.value > 0 else 0
    spent, usual = sum(known), sum(known) / len(known)
    more = max(int((budget.value - spent) / usual + 1e-9), 0)
    return len(seconds) + more
