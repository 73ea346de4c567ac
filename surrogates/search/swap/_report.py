"""How right forecasts were, what was trained, and what was not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from archcast.evaluation.metrics import kendall
from archcast.search.journal import Answer, Trial

__all__ = ["Report", "make_report", "note_of", "noted"]


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

    def __str__(self) -> str:
        lines = [
            f"{self.task}: {self.calls} calls about {self.candidates} candidates",
            f"trained {self.trained} of {self.budget}"
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
        return "\n".join(lines)


def note_of(forecast: tuple[float, float, float] | None, why: str) -> str:
    """What the journal keeps beside a measurement: why it was made, and what was forecast."""
    found: dict[str, Any] = {"why": why}
    if forecast is not None:
        found["forecast"] = list(forecast)
    return json.dumps(found)


def noted(trial: Trial) -> tuple[float, float, float] | None:
    """The forecast that was made before a trial; None if there was none."""
    try:
        value, low, high = json.loads(trial.note)["forecast"]
    except (ValueError, KeyError, TypeError):
        return None
    return float(value), float(low), float(high)


def make_report(
    task: str,
    budget: str,
    direction: str,
    trials: Sequence[Trial],
    answers: Sequence[Answer],
    measured: Mapping[str, float],
) -> Report:
    """Put the numbers of a journal together.

    Args:
        task: what was measured.
        budget: what there was to spend, in words.
        direction: ``max`` or ``min``.
        trials: of the journal.
        answers: of the journal.
        measured: key -> value, in the unit of the values.
    """
    ended = [t for t in trials if t.state != "running"]
    pairs = [
        (found, measured[t.spec])
        for t in ended
        if t.spec in measured and (found := noted(t)) is not None
    ]
    told = np.array([p[0] for p in pairs]).reshape(-1, 3)
    truth = np.array([p[1] for p in pairs])
    inside = (told[:, 1] <= truth) & (truth <= told[:, 2])
    seconds = np.array([t.seconds for t in ended if math.isfinite(t.seconds)])
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
    )


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
