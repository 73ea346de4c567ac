"""How right forecasts were, what was trained, and what was not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from archcast.evaluation.metrics import kendall
from archcast.search.journal import Answer, Trial

__all__ = ["Report", "Told", "make_report", "note_of", "noted"]

#: A forecast below it may be a fraction in journals that did not keep the unit.
_FRACTION: Final = 2.0


class Told(NamedTuple):
    """A forecast as it was made, in the unit that was supposed then.

    Attributes:
        value: what was expected.
        low: lower end of the 90 % interval.
        high: upper end.
        fractions: whether values were taken for accuracies between 0 and 1. Before the first
            value they are taken for percentages, which it may prove wrong.
    """

    value: float
    low: float
    high: float
    fractions: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a surrogate in place of training.

    Errors, ranks and coverage are of forecasts made right before a candidate was trained, in the
    unit of the values. Trained were those where it mattered, not a random sample.

    Attributes:
        task: what was measured.
        calls: questions answered.
        candidates: different ones among them.
        trained: real trainings, failed ones included.
        failed: trainings that failed.
        budget: what there was to spend, in words.
        error: mean absolute error of the forecasts; NaN without any.
        kendall: Kendall's tau of forecasts and measurements; NaN with fewer than three.
        coverage: share of the measurements inside the 90 % interval; NaN without any.
        checked: measurements that had been forecast.
        seconds: spent in real trainings.
        saved: candidates answered by forecasts alone.
        seconds_saved: what they would have taken, if as long as those trained.
        best: key and value of the best measured; None without any.
        left: trainings that the budget still allows; below zero where it was made smaller.
    """

    task: str
    calls: int
    candidates: int
    trained: int
    failed: int
    budget: str
    error: float
    kendall: float
    coverage: float
    checked: int
    seconds: float
    saved: int
    seconds_saved: float
    best: tuple[str, float] | None
    left: int

    def __str__(self) -> str:
        over = ", more than the budget of"
        lines = [
            f"{self.task}: {self.calls} calls about {self.candidates} candidates",
            f"trained {self.trained}{' of' if self.left >= 0 else over} {self.budget}"
            + (f", {self.failed} failed" if self.failed else "")
            + f", {_time(self.seconds)}",
            f"answered by forecasts alone: {self.saved} candidates"
            + ("" if math.isnan(self.seconds_saved) else f", {_time(self.seconds_saved)} saved"),
        ]
        if self.checked:
            lines.append(
                f"forecasts of {self.checked} that were trained after: mean error {self.error:.3g}"
                + ("" if math.isnan(self.kendall) else f", Kendall's tau {self.kendall:.2f}")
                + f", {self.coverage:.0%} inside the 90 % interval"
            )
        else:
            lines.append("no forecast was checked by a training")
        if self.best is not None:
            lines.append(f"best measured: {self.best[1]:.6g}, {self.best[0]}")
        if self.left > 0:
            lines.append(self._what_is_left())
        return "\n".join(lines)

    def _what_is_left(self) -> str:
        one = self.left == 1
        said = "1 training is left" if one else f"{self.left} trainings are left"
        if not self.saved:
            return said
        return f"{said}: confirm() spends {'it' if one else 'them'} on the most promising"


def note_of(forecast: Told | None, why: str) -> str:
    """What the journal keeps beside a measurement: why it was made, and what was forecast."""
    if forecast is None:
        return json.dumps({"why": why})
    kept = {"forecast": list(forecast[:3]), "fractions": forecast.fractions}
    return json.dumps({"why": why} | kept)


def noted(trial: Trial, fractions: bool) -> tuple[float, float, float] | None:
    """The forecast that was made before a trial, in the unit of the values as it is known now.

    Args:
        trial: of the journal.
        fractions: whether values are accuracies between 0 and 1.

    Returns:
        Value and interval; None if there was none, or where the unit of the values has changed
        after the first of them: then nobody knows what either of them meant.
    """
    try:
        note = json.loads(trial.note)
        value, low, high = (float(number) for number in note["forecast"])
    except (ValueError, KeyError, TypeError):
        return None
    then = note.get("fractions", fractions and value < _FRACTION)
    if then and not fractions:
        return None
    scale = 0.01 if fractions and not then else 1.0
    return value * scale, low * scale, high * scale


def make_report(
    task: str,
    budget: str,
    direction: str,
    trials: Sequence[Trial],
    answers: Sequence[Answer],
    measured: Mapping[str, float],
    *,
    fractions: bool,
    left: int,
) -> Report:
    """Put the numbers of a journal together.

    Args:
        task: what was measured.
        budget: what there was to spend, in words.
        direction: ``max`` or ``min``.
        trials: of the journal.
        answers: of the journal.
        measured: key -> value, in the unit of the values.
        fractions: whether values are accuracies between 0 and 1.
        left: trainings that the budget still allows.
    """
    ended = [t for t in trials if t.state != "running"]
    pairs = [
        (found, measured[t.spec])
        for t in ended
        if t.spec in measured and (found := noted(t, fractions)) is not None
    ]
    told = np.array([p[0] for p in pairs]).reshape(-1, 3)
    truth = np.array([p[1] for p in pairs])
    inside = (told[:, 1] <= truth) & (truth <= told[:, 2])
    seconds = np.array([t.seconds for t in ended if math.isfinite(t.seconds)])
    running = len(trials) - len(ended)  # beyond a budget of time they are allowed
    asked = {answer.spec for answer in answers}
    saved = len(asked - {t.spec for t in trials})
    sign = 1.0 if direction == "max" else -1.0
    best = max(measured.items(), key=lambda item: sign * item[1], default=None)
    return Report(
        task,
        len(answers),
        len(asked | {t.spec for t in trials}),
        len(ended),
        sum(t.state == "failed" for t in ended),
        budget,
        float(np.abs(told[:, 0] - truth).mean()) if pairs else math.nan,
        float(kendall(truth, told[:, 0])) if len(pairs) > 2 else math.nan,
        float(inside.mean()) if pairs else math.nan,
        len(pairs),
        float(seconds.sum()),
        saved,
        saved * float(seconds.mean()) if len(seconds) else math.nan,
        best,
        max(left, min(left + running, 0)),
    )


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
