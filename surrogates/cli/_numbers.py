"""Numbers as people read them. Machines get the full precision instead."""

from __future__ import annotations

import math

_PERCENT = ("%", "percent")


def quantity(value: float, unit: str = "") -> str:
    """A forecast's number with its unit: percents to a tenth, others to four digits."""
    if not math.isfinite(value):
        return "?"
    if unit in _PERCENT:
        return f"{value:.1f} %"
    return f"{value:.4g} {unit}".rstrip()


def span(interval: tuple[float, float], unit: str = "") -> str:
    """An interval, without the unit that stands beside it."""
    form = ".1f" if unit in _PERCENT else ".4g"
    low, high = interval
    return f"{low:{form}} to {high:{form}}"


def share(value: float | None) -> str:
    """A probability or share as whole percents."""
    return "" if value is None or not math.isfinite(value) else f"{100 * value:.0f} %"
