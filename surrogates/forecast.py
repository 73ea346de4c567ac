"""``Forecast``: the one answer type of every predictor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from archcast._tasks import Task
from archcast.encoders.graph import ComputeGraph

__all__ = ["Familiarity", "Forecast"]

Word = Literal["familiar", "near", "far", "alien"]


@dataclass(frozen=True, slots=True)
class Familiarity:
    """How close an architecture is to those a predictor was trained on.

    Attributes:
        score: 1 for a training architecture, falling to 0 for what is farther away than any
            family of the training set is from all other families.
        word: the score in one word.
        nearest: name of the nearest training architecture, if there is one to name.
        reason: what makes the architecture so near or so far, for people.
    """

    score: float
    word: Word
    nearest: str | None = None
    reason: str = ""

    def __str__(self) -> str:
        return self.word


@dataclass(frozen=True, slots=True, repr=False)
class Forecast:
    """What an architecture is expected to score, and how much that is to be trusted.

    Attributes:
        value: expected score in the task's unit; every interval holds it.
        std: standard deviation of the forecast distribution, same unit.
        familiarity: how close the architecture is to what the predictor knows.
        rank: share of the training architectures that the forecast beats, 0 to 1.
        task: what the number means.
        graph: the architecture.
        notes: remarks a reader of the number should see.
    """

    value: float
    std: float
    familiarity: Familiarity
    rank: float
    task: Task
    graph: ComputeGraph
    notes: tuple[str, ...] = ()
    _centre: float = field(default=0.0)
    _residuals: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1), compare=False)

    def interval(self, p: float = 0.9) -> tuple[float, float]:
        """The central interval that holds the true score with probability ``p``.

        Calibrated by split conformal prediction on architectures of families (or search spaces)
        that were held out from training, each residual scaled by how uncertain its forecast was.

        Args:
            p: probability, strictly between 0 and 1.

        Returns:
            Lower and upper end in the task's unit.

        Raises:
            ValueError: ``p`` is not between 0 and 1.

        Reference:
            Lei et al., "Distribution-Free Predictive Inference for Regression", JASA 2018.
        """
        if not 0 < p < 1:
            raise ValueError(f"p must lie strictly between 0 and 1, not {p}")
        ends = self._centre + np.quantile(self._residuals, [(1 - p) / 2, (1 + p) / 2])
        low, high = np.sort(self.task.backward(ends)).tolist()
        return min(low, self.value), max(high, self.value)

    def __repr__(self) -> str:
        low, high = self.interval()
        name = f"{self.graph.name}: " if self.graph.name else ""
        return (
            f"Forecast({name}{self.task.name} {self.value:.2f} {self.task.unit}, "
            f"90 % in [{low:.2f}, {high:.2f}], {self.familiarity.word})"
        )
