"""When to train for real: pure rules, which know numbers and no networks."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pace", "Plan", "is_apart", "make_plan", "value_of_training"]

FloatArray = NDArray[np.float64]
#: Share of the budget that calibrates, and that is kept back for the end, unless the user says.
#: Settled on tables of TransNAS-Bench-101 and NATS-Bench: trainings gain most at the end, when all
#: candidates of the loop are known.
_START: Final = 0.2
_KEPT: Final = 0.6
_LEAST: Final = 3
#: Calls looked back on to tell what is worth much here, and least number of calls to come.
_RECENT: Final = 60
_AHEAD: Final = 60
#: Candidates of one kind that go by while calibrating, before one is trained all the same.
_PATIENCE: Final = 3
_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class Plan:
    """How a budget of real trainings is divided; the rest is spent where decisions need it.

    Attributes:
        start: trainings to calibrate with.
        kept: trainings kept back to confirm the best at the end.
    """

    start: int
    kept: int


def make_plan(
    budget: int,
    start: int | None = None,
    kept: int | None = None,
    *,
    unfamiliar: bool = False,
    beyond: bool = False,
) -> Plan:
    """Divide a budget.

    Args:
        budget: real trainings in all.
        start: trainings to calibrate with; a fifth, at least 3, if None.
        kept: trainings kept back for the end; three fifths if None.
        beyond: whether those at the end may go to any architecture of the space: as they then
            are the best spent, one calibrates and all others are kept, if None.
        unfamiliar: whether the predictor has never seen anything alike: it calibrates twice as
            long.
    """
    if budget <= 0:
        return Plan(0, 0)
    most = max(budget - 1, 1) if kept is None else budget
    usual = 1 if beyond else max(_LEAST, round(_START * budget))
    first = usual if start is None else start
    first = min(first * (2 if unfamiliar and start is None else 1), most)
    back = (budget if beyond else int(_KEPT * budget)) if kept is None else kept
    return Plan(first, max(min(back, budget - first), 0))


def value_of_training(mean: FloatArray, std: FloatArray, least: float) -> FloatArray:
    """What is gained, on average, by knowing merits for sure before choosing against a bar.

    It is largest where the forecast lies at the bar and is unsure, and zero where the interval
    is narrow or lies clear of the bar on either side.

    Args:
        mean: (n,) expected merits.
        std: (n,) standard deviations.
        least: merit of what it has to beat.

    Returns:
        (n,) gains, in merit.

    Reference:
        Howard, "Information Value Theory", IEEE Transactions on Systems Science and Cybernetics
        1966; for a normal merit the unit normal loss of Raiffa and Schlaifer, "Applied
        Statistical Decision Theory", 1961.
    """
    spread = np.maximum(np.asarray(std, np.float64), 1e-12)
    away = np.abs(np.asarray(mean, np.float64) - least) / spread
    return spread * np.array([_NORMAL.pdf(z) - z * _NORMAL.cdf(-z) for z in away.tolist()])


def is_apart(distances: Sequence[float], usual: float, skipped: int) -> bool:
    """Whether a candidate teaches more than what was trained already.

    Args:
        distances: to each that was trained.
        usual: median distance of earlier candidates to what was trained then.
        skipped: candidates passed over since the last training; patience ends.
    """
    if not len(distances) or skipped >= _PATIENCE:
        return True
    return min(distances) >= max(usual, 1e-9)


class Pace:
    """Spreads trainings over an unknown number of calls.

    A call is worth a training if its value is among the highest of late: the share that passes
    is what is left of the budget over the calls to come. If nobody said how many come, as many
    are expected as there were.

    Args:
        calls: how many calls there will be, if that is known.
    """

    def __init__(self, calls: int | None = None) -> None:
        self.calls = calls
        self._recent: deque[float] = deque(maxlen=_RECENT)

    def share(self, left: int, asked: int) -> float:
        """Share of the calls that may be trained, 0 to 1."""
        ahead = max(asked, _AHEAD) if self.calls is None else self.calls - asked
        return min(left / max(ahead, 1), 1.0) if left > 0 else 0.0

    def passes(self, value: float, left: int, asked: int) -> bool:
        """Whether a candidate is worth one of the trainings left; remembers its value.

        Args:
            value: what training it would gain.
            left: trainings left for this purpose.
            asked: calls so far.
        """
        share = self.share(left, asked)
        recent = list(self._recent)
        self._recent.append(value)
        if share <= 0 or value <= 0:
            return False
        if len(recent) < min(0.5 / share, _RECENT / 2):
            return share >= 1  # too few to tell what is much here
        return share >= 1 or value > float(np.quantile(recent, 1 - share))
