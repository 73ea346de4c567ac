"""The loop: budgets, failures, resuming, and several processes on one journal."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest

from archcast.encoders.errors import EvaluationError, InfeasibleError, InvalidSettingError
from archcast.search import Domain, Objective, Result, constrained, get_strategy, run
from archcast.search.journal import Journal

ACCURACY = Objective("own/accuracy")
PARAMS = Objective("params", "min")


def value(spec, fidelity=1.0):
    return float(sum(map(ord, spec)) % 97)


def nats():
    return Domain("nats_size")


def random_search(**options):
    return get_strategy("random", nats(), **options)


# ------------------------------------------------------------------------------ one process
def test_it_measures_as_many_as_the_budget_says_and_tells_the_strategy():
    strategy, seen = random_search(), []
    result = run(strategy, value, 12, objectives=[ACCURACY], on_trial=seen.append)
    assert len(result.trials) == len(strategy.history) == len(seen) == 12
    assert {t.spec for t in result.trials} == {m.spec for m in strategy.history}
    assert all(t.values == (value(t.spec),) and t.seconds >= 0 for t in result.trials)
    assert result.best is not None
    assert result.best.values[0] == max(value(t.spec) for t in result.trials)


def test_smaller_is_better_where_the_objective_says_so():
    loss = Objective("own/loss", "min")
    strategy = random_search()
    result = run(strategy, value, 12, objectives=[loss])
    assert result.best is not None
    assert result.best.values[0] == min(value(t.spec) for t in result.trials)
    assert strategy.history[0].merits == (-value(strategy.history[0].spec),)


def test_a_budget_in_seconds_counts_those_of_the_results():
    result = run(
        random_search(), lambda s, f: Result(value(s), 10.0), objectives=[ACCURACY], seconds=45
    )
    assert len(result.trials) == 5
    assert result.seconds == 50


def test_a_small_space_ends_before_the_budget():
    strategy = get_strategy("random", nats())
    keep = dict.fromkeys(nats().sample(3, np.random.default_rng(0)))
    strategy.domain.feasible = lambda specs: np.array([s in keep for s in specs], bool)
    strategy.domain.sample = lambda n, rng: list(keep)[:n]
    strategy.domain.everything = lambda limit=0: list(keep)
    assert len(run(strategy, value, 12, objectives=[ACCURACY]).trials) == 3


def test_costs_of_the_domain_need_not_be_measured():
    domain = constrained("nats_size", ["params<=300k"], costs=["params"])
    strategy = get_strategy("random", domain, objectives=2)
    result = run(strategy, value, 8, objectives=[ACCURACY, PARAMS])
    specs = [t.spec for t in result.trials]
    assert [t.values[1] for t in result.trials] == domain.cost("params", specs).tolist()
    assert max(t.values[1] for t in result.trials) <= 300_000


def test_workers_measure_side_by_side():
    running, most = set(), []

    def slow(spec, fidelity):
        running.add(spec)
        most.append(len(running))
        time.sleep(0.03)
        running.discard(spec)
        return value(spec)

    result = run(random_search(), slow, 12, objectives=[ACCURACY], workers=4)
    assert len({t.spec for t in result.trials}) == 12
    assert 2 <= max(most) <= 4


def test_many_at_once():
    class Batch:
        batch = 5

        def __init__(self):
            self.sizes = []

        def many(self, proposals):
            self.sizes.append(len(proposals))
            return [Result(value(p.spec)) for p in proposals]

    evaluate = Batch()
    result = run(random_search(), evaluate, 12, objectives=[ACCURACY])
    assert evaluate.sizes == [5, 5, 2]
    assert all(t.values == (value(t.spec),) for t in result.trials)


# ---------------------------------------------------------------------------------- failures
def test_what_fails_is_kept_with_its_reason_and_the_search_goes_on():
    def moody(spec, fidelity):
        kind = sum(map(ord, spec)) % 4
        if kind == 0:
            raise RuntimeError("out of\nmemory")
        return {1: math.nan, 2: "good", 3: 1.0}[kind]

    strategy = random_search()
    with Journal() as journal:
        with contextlib.suppress(EvaluationError):  # five in a row may happen
            run(strategy, moody, 40, objectives=[ACCURACY], journal=journal)
        trials = journal.trials()
    notes = Counter(t.note for t in trials if t.state == "failed")
    assert "RuntimeError: out of memory" in notes
    assert "evaluate gave nan" in notes
    assert "evaluate gave 'good', which is no number" in notes
    assert all(m.failed == (m.spec in {t.spec for t in trials if t.state == "failed"})
               for m in strategy.history)  # fmt: skip


def test_five_failures_in_a_row_end_it():
    def broken(spec, fidelity):
        raise RuntimeError("no gpu")

    with Journal() as journal:
        with pytest.raises(EvaluationError, match=r"5 evaluations in a row failed.*no gpu"):
            run(random_search(), broken, 40, objectives=[ACCURACY], journal=journal)
        assert [t.state for t in journal.trials()] == ["failed"] * 5
        assert journal.retry_failed() == 5
        assert journal.trials() == []


def test_too_few_numbers_are_a_failure_that_says_so():
    strategy = random_search(objectives=2)
    with pytest.raises(EvaluationError, match=r"1 number.*for 2 objective"):
        run(strategy, value, 9, objectives=[ACCURACY, Objective("own/loss", "min")])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"budget": 0},
        {"seconds": 0.0},
        {"budget": 1, "workers": 0},
        {"budget": 1, "objectives": [ACCURACY, PARAMS]},
    ],
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(InvalidSettingError):
        run(random_search(), value, **{"objectives": [ACCURACY], **settings})


def test_constraints_that_nobody_meets():
    domain = constrained("nats_size", ["params<=10"])
    with pytest.raises(InfeasibleError, match="params<=10"):
        run(get_strategy("random", domain), value, 5, objectives=[ACCURACY])


def test_ctrl_c_gives_back_what_was_being_measured(tmp_path):
    def interrupted(spec, fidelity):
        if len(strategy.history) == 3:
            raise KeyboardInterrupt
        return value(spec)

    strategy, path = random_search(), tmp_path / "study.sqlite"
    with pytest.raises(KeyboardInterrupt):
        run(strategy, interrupted, 10, objectives=[ACCURACY], journal=path)
    with Journal(path, {"space": "nats_size", "objectives": ["own/accuracy:max"]}) as journal:
        assert [t.state for t in journal.trials()] == ["done"] * 3


# ------------------------------------------------------------------------------------ resuming
@pytest.mark.parametrize("name", ["random", "evolution", "local", "nsga2"])
def test_a_resumed_search_goes_on_as_if_it_had_not_been_stopped(name, tmp_path):
    whole = run(get_strategy(name, nats(), seed=3), value, 30, objectives=[ACCURACY])
    path = tmp_path / "study.sqlite"
    run(get_strategy(name, nats(), seed=3), value, 11, objectives=[ACCURACY], journal=path)
    parts = run(get_strategy(name, nats(), seed=3), value, 30, objectives=[ACCURACY], journal=path)
    assert [t.spec for t in parts.trials] == [t.spec for t in whole.trials]


def test_a_spent_budget_measures_nothing_more(tmp_path):
    path = tmp_path / "study.sqlite"
    run(random_search(), value, 5, objectives=[ACCURACY], journal=path)
    again = run(random_search(), pytest.fail, 5, objectives=[ACCURACY], journal=path)
    assert len(again.trials) == 5


def test_the_journal_of_another_search_is_refused(tmp_path):
    path = tmp_path / "study.sqlite"
    run(random_search(), value, 2, objectives=[ACCURACY], journal=path)
    with pytest.raises(InvalidSettingError, match="objectives"):
        run(random_search(), value, 2, objectives=[PARAMS], journal=path)


# ---------------------------------------------------------------------------- several processes
PROCESS = """
import sys, time
from archcast.search import Domain, Objective, get_strategy, run
def value(spec, fidelity):
    with open(sys.argv[3], "a") as log:
        log.write(spec + "\\n")
    time.sleep(float(sys.argv[4]))
    return float(sum(map(ord, spec)) % 97)
strategy = get_strategy("evolution", Domain("nats_size"), seed=0, population=10)
result = run(strategy, value, int(sys.argv[2]), objectives=[Objective("own/accuracy")],
             journal=sys.argv[1])
print(len(strategy.history), len(result.trials))
"""


def started(path, budget, log, nap):
    command = [sys.executable, "-c", PROCESS, str(path), str(budget), str(log), str(nap)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ})


@pytest.mark.slow
def test_four_processes_share_one_search_without_a_lost_or_doubled_trial(tmp_path):
    path, logs = tmp_path / "study.sqlite", [tmp_path / f"{i}.log" for i in range(4)]
    processes = [started(path, 60, log, 0.05) for log in logs]
    said = [p.communicate(timeout=120)[0].split() for p in processes]
    assert [p.returncode for p in processes] == [0] * 4
    measured = [log.read_text().split() if log.exists() else [] for log in logs]
    everything = [spec for one in measured for spec in one]
    assert len(everything) == len(set(everything)) == 60
    with Journal(path, {"space": "nats_size", "objectives": ["own/accuracy:max"]}) as journal:
        trials = journal.trials()
    assert {t.spec for t in trials} == set(everything)
    assert all(t.state == "done" and t.values == (value(t.spec),) for t in trials)
    # Each strategy was told what the others found, not only its own.
    assert all(int(told) > len(one) for (told, _), one in zip(said, measured, strict=True))


@pytest.mark.slow
def test_a_killed_search_loses_only_what_was_being_measured(tmp_path):
    path, log = tmp_path / "study.sqlite", tmp_path / "log"
    process = started(path, 40, log, 0.05)
    while not log.exists() or len(log.read_text().split()) < 6:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = log.read_text().split()
    assert started(path, 40, log, 0).wait(timeout=60) == 0
    counts = Counter(log.read_text().split())
    assert len(counts) == 40
    assert sum(counts.values()) <= 41  # what was being measured is measured again
    assert set(before) <= set(counts)


@pytest.mark.slow
def test_what_a_dead_process_had_claimed_is_measured_by_another(tmp_path):
    path, log, other = tmp_path / "study.sqlite", tmp_path / "log", tmp_path / "other"
    dying = started(path, 8, log, 60)
    while not log.exists() or not log.read_text().strip():
        time.sleep(0.02)
    living = started(path, 8, other, 0.05)
    while not other.exists():
        time.sleep(0.02)
    os.kill(dying.pid, signal.SIGKILL)
    dying.wait()
    assert living.wait(timeout=60) == 0
    assert len(other.read_text().split()) == len(set(other.read_text().split())) == 8
