"""What a search is after: objectives, and constraints on what is known without training."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast.encoders.errors import InvalidSettingError

__all__ = ["Constraint", "Objective"]

FloatArray = NDArray[np.float64]
_CONSTRAINT: Final = re.compile(r"\s*([\w:./@ -]*[\w)])\s*(<=|>=|<|>)\s*([-+.\w]+)\s*")
_SUFFIXES: Final = {"k": 1e3, "M": 1e6, "G": 1e9}


@dataclass(frozen=True, slots=True)
class Objective:
    """A number that a search makes large or small.

    Attributes:
        name: a task (``cifar10/test_accuracy``) or a cost (``params``, ``latency_ms:pixel3``).
        direction: ``max`` or ``min``.
        unit: unit of its values.
    """

    name: str
    direction: Literal["max", "min"] = "max"
    unit: str = ""

    def merit(self, values: ArrayLike) -> FloatArray:
        """Values turned so that higher is better, same shape; the inverse is itself."""
        merit = np.asarray(values, np.float64)
        return merit if self.direction == "max" else -merit


@dataclass(frozen=True, slots=True)
class Constraint:
    """A bound on a cost that is known, or forecast, without training.

    Attributes:
        cost: name of the cost: see :func:`archcast.search.get_cost`.
        low: least value allowed, in the cost's unit.
        high: greatest value allowed.
    """

    cost: str
    low: float = -math.inf
    high: float = math.inf

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Read ``params<=2M``, ``latency_ms:pixel3 <= 5`` or ``macs>=1e7``.

        Raises:
            InvalidSettingError: it does not read like that.
        """
        found = _CONSTRAINT.fullmatch(text)
        if not found:
            raise InvalidSettingError(f"{text!r} is no constraint; write one like 'params<=2M'")
        cost, sign, number = found.groups()
        scale = _SUFFIXES.get(number[-1], 1.0)
        try:
            bound = float(number[:-1] if scale != 1 else number) * scale
        except ValueError:
            raise InvalidSettingError(f"{text!r}: {number!r} is no number") from None
        return cls(cost.strip(), high=bound) if "<" in sign else cls(cost.strip(), low=bound)

    def __str__(self) -> str:
        parts = [f"{self.cost}>={self.low:g}" if math.isfinite(self.low) else ""]
        parts.append(f"{self.cost}<={self.high:g}" if math.isfinite(self.high) else "")
        return " and ".join(part for part in parts if part)

    def violation(self, values: ArrayLike) -> FloatArray:
        """By how much values miss the bounds, same shape; 0 where they keep them, NaN counts as ∞.

        Args:
            values: values of the cost.
        """
        found = np.asarray(values, np.float64)
        missed = np.maximum(np.maximum(self.low - found, found - self.high), 0.0)
        return np.where(np.isnan(found), np.inf, missed)
