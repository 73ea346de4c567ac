"""The loop of a search: ask a strategy, measure, tell it, and keep everything in a journal."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from archcast.encoders.errors import EvaluationError, InvalidSettingError
from archcast.search.evaluation import (
    BatchEvaluate,
    Evaluate,
    Outcome,
    measure,
    measure_batch,
)
from archcast.search.journal import Journal, Trial
from archcast.search.objectives import Objective
from archcast.search.result import SearchResult
from archcast.search.strategy import Proposal, Strategy

__all__ = ["run"]

#: Failures in a row after which the cause is not in the architectures.
_FAILURES: Final = 5
#: Seconds between looks at what others are doing.
_POLL: Final = 0.2


def run(
    strategy: Strategy,
    evaluate: Evaluate | BatchEvaluate,
    budget: int | None = None,
    *,
    objectives: Sequence[Objective],
    seconds: float | None = None,
    journal: Journal | str | os.PathLike[str] | None = None,
    workers: int = 1,
    on_trial: Callable[[Trial], None] | None = None,
) -> SearchResult:
    """Search until the budget is spent or nothing new is left.

    Everything is in the journal the moment it is known. The same call with the same journal goes
    on where an earlier one was stopped; several processes with one journal share one search, one
    budget, and what they learn: nothing is measured twice at the same fidelity. Ctrl-C gives
    back what was being measured and raises ``KeyboardInterrupt``; all else is in the journal,
    and in ``strategy.history``.

    A failed evaluation (it raises, or gives no finite number) is kept with its reason, spends
    its share of the budget, and the search goes on.

    Args:
        strategy: proposes; it may have been told measurements before.
        evaluate: called with the architecture and the share of the full training to spend on it.
            Gives a number, one for each objective, or a :class:`~archcast.search.Result`, in the
            objectives' own units. Objectives that are costs of the domain may be left out: they
            are looked up.
        budget: trials in all: those of the journal, of other processes and failed ones included,
            whatever their fidelity. None for no bound.
        objectives: what is searched for, in order.
        seconds: bound on the seconds that trials took, all of them together; None for none. It
            is looked at before a trial begins.
        journal: where everything is kept, a path or a journal; None keeps it in memory.
        workers: evaluations at once, in threads of this process.
        on_trial: called with every trial that is done or failed, in the order they become known:
            first those of an earlier run, then one's own and those of other processes.

    Returns:
        What was found, by everybody who shares the journal.

    Raises:
        InvalidSettingError: a bound or a number of workers that makes no sense, objectives that
            are not those of the strategy, or the journal of another search.
        InfeasibleError: no architecture meets the domain's constraints.
        EvaluationError: five evaluations in a row failed; what was measured before is kept.
        StorageError: the journal cannot be read or written.
    """
    _check(strategy, budget, objectives, seconds, workers)
    facts = {
        "space": strategy.domain.space.name,
        "objectives": [f"{o.name}:{o.direction}" for o in objectives],
    }
    kept = journal if isinstance(journal, Journal) else Journal(journal, facts)
    try:
        study = _Study(strategy, evaluate, budget, objectives, seconds, kept, on_trial)
        study.work(workers)
        return SearchResult.of(strategy.domain, objectives, kept.trials(), strategy.name)
    finally:
        if kept is not journal:
            kept.close()


class _Study:
    """A strategy and a journal that are kept in step."""

    def __init__(
        self,
        strategy: Strategy,
        evaluate: Evaluate | BatchEvaluate,
        budget: int | None,
        objectives: Sequence[Objective],
        seconds: float | None,
        journal: Journal,
        on_trial: Callable[[Trial], None] | None,
    ) -> None:
        self.strategy = strategy
        self.evaluate = evaluate
        self.budget = budget
        self.objectives = tuple(objectives)
        self.seconds = math.inf if seconds is None else seconds
        self.journal = journal
        self.on_trial = on_trial or (lambda _trial: None)
        self.told = {Proposal(m.spec, m.fidelity) for m in strategy.history}
        #: Proposed here, but another process measures it; and what is measured here.
        self.elsewhere: set[Proposal] = set()
        self.running: dict[Proposal, None] = {}
        self.ended: SimpleQueue[tuple[Proposal, Outcome]] = SimpleQueue()
        self.failures = 0

    def work(self, workers: int) -> None:
        """Until nothing is left to do."""
        batch = self.evaluate.batch if isinstance(self.evaluate, BatchEvaluate) else 0
        try:
            self._catch_up(anyway=True)
            while True:
                free = (batch or workers) - len(self.running)
                proposals = self._claim(free) if free else []
                if proposals:
                    self._measure(proposals, workers)
                elif not self.running and not self._others():
                    return
                if self.running or not proposals:
                    self._wait(block=len(self.running) >= workers or not proposals)
                self._catch_up()
        finally:
            for proposal in self.running:
                self.journal.release(*proposal)
                self.strategy.forget(proposal)

    # ---------------------------------------------------------------- what is next
    def _claim(self, n: int) -> list[Proposal]:
        """Up to n proposals that are this process's to measure; none at the end of the budget."""
        claimed: list[Proposal] = []
        while len(claimed) < n and (left := self._left()):
            proposals = self.strategy.ask(min(n - len(claimed), left))
            if not proposals:
                break
            for proposal in proposals:
                if self.journal.claim(*proposal, limit=self.budget):
                    claimed.append(proposal)
                    self.running[proposal] = None
                else:  # another process was faster, or the budget is spent by now
                    self.elsewhere.add(proposal)
            self._catch_up()
        return claimed

    def _left(self) -> int:
        """How many trials may begin now."""
        begun, seconds = self.journal.spent()
        if seconds >= self.seconds:
            return 0
        return 1_000_000 if self.budget is None else max(self.budget - begun, 0)

    def _others(self) -> bool:
        """Whether there may be more to do, once another process is done or has died."""
        if self.journal.release_dead():
            self._catch_up(anyway=True)
            return True
        return bool(self.elsewhere and self._left())

    # ------------------------------------------------------------------- measuring
    def _measure(self, proposals: Sequence[Proposal], workers: int) -> None:
        if isinstance(self.evaluate, BatchEvaluate):
            outcomes = measure_batch(self.evaluate, proposals)
            for proposal, outcome in zip(proposals, outcomes, strict=True):
                self._end(proposal, outcome)
        elif workers == 1:  # in this thread, where Ctrl-C reaches it
            for proposal in proposals:
                self._end(proposal, measure(self.evaluate, proposal))
        else:
            for proposal in proposals:
                # A thread that is no daemon would keep the process alive after Ctrl-C.
                Thread(target=self._aside, args=(proposal,), daemon=True).start()

    def _aside(self, proposal: Proposal) -> None:
        assert not isinstance(self.evaluate, BatchEvaluate)
        try:
            outcome = measure(self.evaluate, proposal)
        except BaseException as error:  # sys.exit() ends a thread unheard
            outcome = Outcome((), math.nan, f"{type(error).__name__}: {error}")
        self.ended.put((proposal, outcome))

    def _wait(self, block: bool) -> None:
        """Take what threads have measured; if that is all there is to do, wait for it."""
        try:
            if self.running:
                self._end(*self.ended.get(timeout=_POLL if block else 0))
                while True:
                    self._end(*self.ended.get_nowait())
            elif block:
                time.sleep(_POLL)
        except Empty:
            return

    def _end(self, proposal: Proposal, outcome: Outcome) -> None:
        """Keep what came of a trial, and tell the strategy."""
        outcome = self._completed(proposal, outcome)
        spec, fidelity = proposal
        seconds, note = outcome.seconds, outcome.note
        if outcome.failed:
            self.journal.fail(spec, fidelity, seconds=seconds, note=note)
        else:
            self.journal.finish(spec, outcome.values, fidelity, seconds=seconds, note=note)
        del self.running[proposal]
        end = (outcome.values, outcome.seconds, outcome.note)
        self._take(Trial(spec, fidelity, "failed" if outcome.failed else "done", *end))
        self.failures = self.failures + 1 if outcome.failed else 0
        if self.failures >= _FAILURES:
            raise EvaluationError(
                f"{_FAILURES} evaluations in a row failed, the last, of {spec}, with "
                f"{outcome.note}; what was measured before is kept"
            )

    def _completed(self, proposal: Proposal, outcome: Outcome) -> Outcome:
        """With objectives that are costs of the domain, where they were left out."""
        if outcome.failed or len(outcome.values) == len(self.objectives):
            return outcome
        domain = self.strategy.domain
        costs = {o.name for o in self.objectives if o.name in domain.costs}
        if len(outcome.values) != len(self.objectives) - len(costs):
            note = f"evaluate gave {len(outcome.values)} number(s) for {len(self.objectives)}"
            return Outcome((), outcome.seconds, f"{note} objective(s)")
        measured = iter(outcome.values)
        values = tuple(
            float(domain.cost(o.name, [proposal.spec])[0]) if o.name in costs else next(measured)
            for o in self.objectives
        )
        for objective, value in zip(self.objectives, values, strict=True):
            if math.isnan(value):
                return Outcome((), outcome.seconds, f"it has no {objective.name}")
        return Outcome(values, outcome.seconds, outcome.note)

    # ------------------------------------------------------------------- in step
    def _catch_up(self, anyway: bool = False) -> None:
        """Tell the strategy what is new in the journal."""
        if not (self.journal.changed() or anyway):
            return
        begun: set[Proposal] = set()
        for trial in self.journal.trials():
            begun.add(Proposal(trial.spec, trial.fidelity))
            if trial.state != "running":
                self._take(trial)
        for proposal in self.elsewhere - begun:  # its process died: it may be proposed again
            self.strategy.forget(proposal)
            self.elsewhere.discard(proposal)

    def _take(self, trial: Trial) -> None:
        proposal = Proposal(trial.spec, trial.fidelity)
        if proposal not in self.told:
            self.told.add(proposal)
            merits = [
                float(objective.merit(value))
                for objective, value in zip(self.objectives, trial.values, strict=False)
            ] or [math.nan] * len(self.objectives)
            self.strategy.tell(trial.spec, merits, trial.fidelity)
            self.on_trial(trial)
        self.elsewhere.discard(proposal)


def _check(
    strategy: Strategy,
    budget: int | None,
    objectives: Sequence[Objective],
    seconds: float | None,
    workers: int,
) -> None:
    if budget is None and seconds is None:
        raise InvalidSettingError("a search needs a bound: give it a budget of trials, or seconds")
    if budget is not None and budget < 1:
        raise InvalidSettingError(f"a budget of {budget} trials measures nothing; give 1 at least")
    if seconds is not None and not seconds > 0:
        raise InvalidSettingError(f"a budget of {seconds} seconds measures nothing; give more")
    if workers < 1:
        raise InvalidSettingError(f"{workers} workers measure nothing; give 1 at least")
    if len(objectives) != strategy.objectives:
        raise InvalidSettingError(
            f"{len(objectives)} objective(s) are named, but the strategy was made for "
            f"{strategy.objectives}: get_strategy(..., objectives={len(objectives)})"
        )
