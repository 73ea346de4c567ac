"""The state behind a swapped training function: what is known, and who is trained for real."""

from __future__ import annotations

import json
import math
import os
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from inspect import Signature
from typing import Any, Final

import numpy as np

from archcast.encoders.errors import EvaluationError, InvalidSettingError
from archcast.search.journal import Answer, Journal, Trial, now
from archcast.search.swap import _policy
from archcast.search.swap._arguments import called_again, split_call
from archcast.search.swap._belief import Belief
from archcast.search.swap._beyond import Beyond
from archcast.search.swap._budget import Seconds, capacity
from archcast.search.swap._candidates import Candidate, Candidates
from archcast.search.swap._report import Report, Told, make_report, note_of
from archcast.search.swap._settings import Settings, one_number

__all__ = ["Account", "UnfamiliarWarning"]

#: Candidates whose familiarity is looked at, and how many of them may be far away by chance.
_LOOKED_AT: Final = 5
_BY_CHANCE: Final = 2
#: Seconds between looks at other processes' work.
_POLL: Final = 0.2


class UnfamiliarWarning(UserWarning):
    """Networks are unlike everything that the predictor has learned from."""


class Account:
    """One training function's measurements, forecasts and budget, in one process.

    All methods may be called by several threads; training itself runs side by side.

    Args:
        function: trains an architecture and gives a number.
        form: its signature.
        settings: what the person asked for.
    """

    def __init__(self, function: Callable[..., Any], form: Signature, settings: Settings) -> None:
        self.function, self.form, self.settings = function, form, settings
        self.process = os.getpid()
        s = settings
        self.candidates = Candidates(s.domain, s.to_network, s.input_shape)
        self.belief = Belief(s.task, s.direction, self.candidates, s.prior, s.unit)
        facts = {"surrogate": s.task, "direction": self.belief.direction}
        if s.domain is not None:
            facts["space"] = s.domain.space.name
        self._beyond = Beyond(s.domain, self.belief, s.seed) if s.beyond and s.domain else None
        self.journal = Journal(s.journal, facts)
        self.pace = _policy.Pace(s.calls)
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._trials: dict[str, Trial] = {}
        self._learned: dict[str, float] = {}
        self._stale = True
        self._gaps: list[float] = []
        self._skipped = 0
        self._looked_at: dict[str, bool] = {}
        self._last: tuple[Sequence[Any], Mapping[str, Any]] | None = None
        self.unfamiliar = False
        self.candidates.form = self.journal.fact("form of architectures")
        answers = self.journal.answers()
        self._asked = len(answers)
        for key in dict.fromkeys(answer.spec for answer in answers):
            self.candidates.recall(key, None)
        self._sync()

    # --------------------------------------------------------------------- questions
    def candidate(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Candidate:
        """The candidate that a call is about."""
        arch, rest = split_call(self.form, args, kwargs, self.settings.ignored)
        with self._lock:
            if rest and self._beyond is not None:
                raise self._beyond.refusal(next(iter(rest)))
            found = self.candidates.of(arch, rest)
            self.candidates.remember(found.key, args, dict(kwargs))
            self._hear(arch, args, kwargs)
            return found

    def _hear(self, arch: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """How the loop calls, so that it can be called like that for others."""
        self._last = args, kwargs
        form = self.candidates.form_of(arch)
        if form != self.candidates.form:
            self.candidates.form = form
            self.journal.note("form of architectures", form)

    def answer(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> float:
        """What the loop is told."""
        candidate = self.candidate(args, kwargs)
        with self._lock:
            self._look_at(candidate)
            self._asked += 1
        why = self._decide(candidate)
        if why is not None:
            return self.train(candidate.key, why)
        return self.told(candidate.key)

    def told(self, key: str) -> float:
        """Answer without training: what was measured, or else the forecast."""
        with self._lock:
            if key in self._trials and self._trials[key].state != "running":
                return self._repeated(key)
            value, low, high = self.belief.forecast(key)
            self.journal.answer(Answer(key, "forecast", value, low, high, now()))
            return value

    def forecast(self, key: str) -> Answer:
        """The forecast of a candidate, as it stands; not logged."""
        with self._lock:
            self._sync()
            return Answer(key, "forecast", *self.belief.forecast(key), now())

    def _repeated(self, key: str) -> float:
        trial = self._trials[key]
        if trial.state == "done":
            self.journal.answer(Answer(key, "measured", trial.values[0], *_UNKNOWN, now()))
            return trial.values[0]
        if self.settings.on_error == "forecast" and self.belief.speaks:
            value, low, high = self.belief.forecast(key)
            self.journal.answer(Answer(key, "forecast", value, low, high, now()))
            return value
        note = json.loads(trial.note or "{}")
        if "value" in note:
            return float(note["value"])
        raise EvaluationError(
            f"{self._name} failed when it trained {key}: {note.get('error', 'unknown')}"
        )

    # --------------------------------------------------------------------- decisions
    def _decide(self, candidate: Candidate) -> str | None:
        """Why to train it for real, and then it is claimed; None to answer without."""
        with self._lock:
            while True:
                self._sync()
                if candidate.key in self._trials and (
                    self.belief.speaks or self._trials[candidate.key].state != "running"
                ):
                    return None
                why = self._reason(candidate.key)
                if why and self.journal.claim(candidate.key, limit=self.most):
                    self._stale = True
                    return why
                if self.belief.speaks:
                    return None
                if self.left > 0 and why and candidate.key not in self._trials:
                    self._stale = True  # another process was faster with this one
                elif not any(t.state == "running" for t in self._trials.values()):
                    raise self.mute()
                self._changed.wait(_POLL)

    def _reason(self, key: str) -> str | None:
        left, plan = self.left, self.plan
        if left <= 0:
            return None
        if not self.belief.speaks:
            return "start"
        if len(self._trials) < plan.start:
            return "start" if self._teaches(key) else None
        free = left - plan.kept
        mean, std = self.belief.moments([key])
        others = [k for k in self.candidates.names if k != key]
        best = float(self.belief.moments(others)[0].max(initial=-math.inf))
        gain = float(_policy.value_of_training(mean, std, best)[0])
        return "decision" if self.pace.passes(gain, free, self._asked) else None

    def _teaches(self, key: str) -> bool:
        trained = [k for k in self._trials if k in self.candidates and k != key]
        gaps = self.candidates.distances(key, trained)
        usual = float(np.median(self._gaps)) if self._gaps else 0.0
        apart = _policy.is_apart(gaps.tolist(), usual, self._skipped)
        self._gaps += [float(gaps.min())] if len(gaps) else []
        self._skipped = 0 if apart else self._skipped + 1
        return apart

    @property
    def most(self) -> int:
        """Trainings that the budget allows in all, as far as can be told by now."""
        ended = [t.seconds for t in self._trials.values() if t.state != "running"]
        return capacity(self.settings.budget, ended)

    @property
    def left(self) -> int:
        """Trainings that the budget still allows."""
        return self.most - len(self._trials)

    @property
    def plan(self) -> _policy.Plan:
        """How the budget is divided."""
        s = self.settings
        return _policy.make_plan(
            self.most, s.start, s.kept, unfamiliar=self.unfamiliar, beyond=s.beyond
        )

    def _look_at(self, candidate: Candidate) -> None:
        """Warn once, and calibrate longer, where the prior has never seen anything alike."""
        if len(self._looked_at) >= _LOOKED_AT or candidate.key in self._looked_at:
            return
        found = self.belief.familiar(candidate.key)
        far = found is not None and found.word in ("far", "alien")
        self._looked_at[candidate.key] = far
        if found and far and not self.unfamiliar and sum(self._looked_at.values()) > _BY_CHANCE:
            self.unfamiliar = True
            warnings.warn(
                f"{self._name}: {candidate.key} is {found.word} from all that the predictor has "
                f"learned from ({found.reason}); more is trained for real to calibrate",
                UnfamiliarWarning,
                stacklevel=4,
            )

    def mute(self) -> Exception:
        failed = [t for t in self._trials.values() if t.state == "failed"]
        if failed:
            said = json.loads(failed[0].note or "{}").get("error", "unknown")
            return EvaluationError(
                f"all {len(failed)} trainings that the budget allowed failed, so forecasts of "
                f"{self.settings.task} have no unit; the first said: {said}"
            )
        return InvalidSettingError(
            f"the budget of {self.settings.budget} allows no training, and the universal predictor "
            f"only ranks: forecasts of {self.settings.task} have no unit; give a budget of 1 at "
            "least, prior= a predictor of the task, or a journal with measurements"
        )

    # --------------------------------------------------------------------- training
    def train(self, key: str, why: str) -> float:
        """Train a candidate that was claimed, and keep what comes of it.

        Raises:
            EvaluationError: the function gave no number.
            Exception: whatever the function raised, unless failures are answered by forecasts.
        """
        call = self.candidates.arguments(key)
        assert call is not None
        with self._lock:
            belief = self.belief
            before = Told(*belief.forecast(key), belief.fractions) if belief.speaks else None
        began = self.settings.clock()
        try:
            given = self.function(*call[0], **call[1])
        except Exception as error:
            seconds = self.settings.clock() - began
            self._failed(key, seconds, {"error": f"{type(error).__name__}: {error}"}, before, why)
            if self.settings.on_error == "raise" or not self.belief.speaks:
                raise
            return self.told(key)
        except BaseException:  # interrupted: as if it had not begun
            self._end(lambda: self.journal.release(key))
            raise
        return self._kept(key, given, self.settings.clock() - began, before, why)

    def _kept(
        self,
        key: str,
        given: Any,
        seconds: float,
        before: Told | None,
        why: str,
    ) -> float:
        try:
            value = self._number(given)
        except EvaluationError as error:
            self._failed(key, seconds, {"error": str(error)}, before, why)
            raise
        if not math.isfinite(value):
            note = {"error": f"gave {value}", "value": value}
            self._failed(key, seconds, note, before, why)
            return self.told(key)
        note = note_of(before, why)

        def keep() -> None:
            kept = self.candidates.written(key)
            if kept is not None:
                self.journal.note(f"candidate {key}", kept)
            self.journal.finish(key, [value], seconds=seconds, note=note)
            if why != "confirm":  # nobody asked
                self.journal.answer(Answer(key, "measured", value, *_UNKNOWN, now()))

        self._end(keep)
        return value

    def _failed(
        self,
        key: str,
        seconds: float,
        note: dict[str, Any],
        before: Told | None,
        why: str,
    ) -> None:
        text = json.dumps(json.loads(note_of(before, why)) | note)
        self._end(lambda: self.journal.fail(key, seconds=seconds, note=text))

    def _end(self, write: Callable[[], None]) -> None:
        with self._lock:
            write()
            self._stale = True
            self._sync()
            self._changed.notify_all()

    def _number(self, given: Any) -> float:
        value = one_number(self._name, given)
        wrong = self.belief.refuses(value) if math.isfinite(value) else ""
        if wrong:
            raise EvaluationError(f"{self._name} returned {value:g}: {wrong}")
        return value

    @property
    def _name(self) -> str:
        return f"{getattr(self.function, '__name__', type(self.function).__name__)}()"

    def _sync(self) -> None:
        """Take over what was measured, by this and by other processes."""
        if not (self.journal.changed() or self._stale):
            return
        self._trials = {t.spec: t for t in self.journal.trials() if t.fidelity >= 1}
        self._stale = False
        measured: dict[str, float] = {}
        for key, trial in self._trials.items():
            if trial.state != "done":
                continue
            if key not in self.candidates:
                self.candidates.recall(key, self.journal.fact(f"candidate {key}"))
            if key in self.candidates:
                measured[key] = trial.values[0]
        if measured != self._learned:
            self.belief.learn(measured)
            self._learned = measured

    # --------------------------------------------------------------------- the end
    def measure(self, candidate: Candidate) -> float:
        """Train a candidate for real unless it was; from all that is left of the budget.

        Raises:
            InvalidSettingError: the budget is spent.
        """
        with self._lock:
            while True:
                self._sync()
                trial = self._trials.get(candidate.key)
                if trial is not None and trial.state != "running":
                    return self._repeated(candidate.key)
                if trial is None:
                    if self.journal.claim(candidate.key, limit=self.most):
                        self._stale = True
                        break
                    if self.left <= 0:
                        raise InvalidSettingError(
                            f"the budget of {self.settings.budget} is spent; no training is left"
                        )
                self._changed.wait(_POLL)
        return self.train(candidate.key, "asked")

    def best_untrained(self) -> str | None:
        """Key of the candidate whose training is expected to improve most on the best measured.

        It is claimed; None if the budget or the candidates are spent.
        """
        with self._lock:
            while True:
                self._sync()
                chosen = self._most_promising() if self.left > 0 else None
                if chosen is None or self.journal.claim(chosen, limit=self.most):
                    self._stale = True
                    return chosen
                self._stale = True  # another process was faster

    def _most_promising(self) -> str | None:
        from archcast.search.acquisition import log_expected_improvement

        if self._beyond is not None:
            chosen = self._beyond.choose(self._trials)
            if chosen is not None:
                self._call_with(chosen)
            return chosen
        open_ = [
            key
            for key in self.candidates.names
            if key not in self._trials and self.candidates.arguments(key) is not None
        ]
        if not open_:
            return None
        mean, std = self.belief.moments(open_)
        measured = self.belief.moments(list(self._learned))[0]
        best = float(measured.max()) if len(measured) else float(mean.max())
        gain = np.asarray(log_expected_improvement(mean, std, best))
        return open_[int(gain.argmax())]

    def _call_with(self, spec: str) -> None:
        """Have a candidate that nobody asked about called as the others were."""
        self.candidates.recall(spec, None)
        arch = self.candidates.spoken(spec)
        args, kwargs = self._last or ((arch,), {})
        try:
            self.candidates.remember(spec, *called_again(self.form, args, kwargs, arch))
        except TypeError as error:
            raise InvalidSettingError(
                f"{self._name} cannot be called with an architecture alone ({error}); call it once "
                "before confirm()"
            ) from error

    def best(self) -> tuple[str, float, str] | None:
        """Key, value and source of the best measured, or of the best forecast if none was."""
        with self._lock:
            self._sync()
            keys = list(self._learned) or self.candidates.names
            if not keys or not self.belief.speaks:
                return None
            merits = self.belief.moments(keys)[0]
            key = keys[int(merits.argmax())]
            if self._learned:
                return key, self._learned[key], "measured"
            return key, self.belief.forecast(key)[0], "forecast"

    def report(self) -> Report:
        """What came of it so far."""
        with self._lock:
            self._sync()
            budget = self.settings.budget
            words = str(budget) if isinstance(budget, Seconds) else f"{budget} trainings"
            return make_report(
                self.settings.task,
                words,
                self.belief.direction,
                list(self._trials.values()),
                self.journal.answers(),
                {k: t.values[0] for k, t in self._trials.items() if t.state == "done"},
                fractions=self.belief.fractions,
                left=self.left,
            )


_UNKNOWN: Final = (math.nan, math.nan)
