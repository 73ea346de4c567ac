"""Strategies on the simulated clock."""

import math

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSettingError
from archcast.search import get_strategy, replay, simulate
from archcast.search.replays import Trace
from archcast.search.strategy import Proposal, Strategy

TASK = "toy/val_accuracy"


class Listed(Strategy):
    """Proposes a list, in order."""

    name = "listed"

    def __init__(self, domain, plan):
        super().__init__(domain)
        self.plan = plan

    def ask(self, n=1):
        found, self.plan = self.plan[:n], self.plan[n:]
        return found

    def _propose(self, n, rng):
        raise NotImplementedError


@pytest.fixture
def toy(sampled):
    return simulate(sampled, TASK)


def listed(toy, *rows, fidelity=1.0):
    return Listed(toy.domain, [Proposal(toy.domain.table.specs[r], fidelity) for r in rows])


def test_one_worker_measures_in_order(toy):
    trace = replay(listed(toy, 5, 2, 9), toy, 10)
    assert trace.values.tolist() == [5, 2, 9]
    assert trace.seconds.tolist() == [105, 207, 316]
    assert trace.trainings.tolist() == [1, 2, 3]
    assert trace.incumbents(toy).tolist() == [0, 0, 2]


def test_two_workers_are_told_in_the_order_they_end(toy):
    # 0..90 s: rows 90 and 1; row 1 ends at 101 and takes row 50 (till 251); row 90 ends at 190.
    trace = replay(listed(toy, 90, 1, 50), toy, 10, workers=2)
    assert trace.values.tolist() == [1, 90, 50]
    assert trace.seconds.tolist() == [101, 190, 251]


def test_the_budget_counts_shares_of_trainings(toy):
    strategy = listed(toy, *range(50), fidelity=0.1)
    trace = replay(strategy, toy, 2)
    assert len(trace) == 20
    assert trace.trainings[-1] == pytest.approx(2)
    assert (trace.fidelities == 0.1).all()


def test_longer_trainings_count_before_shorter_ones(toy):
    trace = Trace(
        ("a", "b", "c", "d"),
        np.array([0.1, 1, 0.1, 1]),
        np.array([9.0, 3, 99, 5]),
        np.arange(4.0),
        np.arange(4.0),
    )
    assert trace.incumbents(toy).tolist() == [0, 1, 1, 3]
    failed = Trace(("a", "b"), np.ones(2), np.array([math.nan, 1]), np.ones(2), np.ones(2))
    assert failed.incumbents(toy).tolist() == [-1, 1]


def test_it_ends_where_nothing_is_left(toy):
    trace = replay(get_strategy("random", toy.domain, seed=1), toy, 1000, workers=3)
    assert len(trace) == len(set(trace.specs)) == 99


def test_a_replay_is_the_same_each_time_and_resets_the_clock(toy):
    one, two = (replay(get_strategy("random", toy.domain, seed=4), toy, 20) for _ in range(2))
    assert one.specs == two.specs
    assert toy.trainings == 20
    assert toy.seconds == one.seconds[-1] == two.seconds[-1]


def test_trainings_of_unknown_length_are_all_as_long(sampled):
    found = simulate(sampled, "phone/latency_ms")
    trace = replay(listed(found, 1, 2, 3), found, 3, workers=2)
    assert trace.values.tolist() == [1, 2, 3]
    assert np.isnan(trace.seconds).all()


@pytest.mark.parametrize("settings", [{"trainings": 0}, {"trainings": 5, "workers": 0}])
def test_nothing_to_spend_is_refused(toy, settings):
    with pytest.raises(InvalidSettingError, match="budget above 0"):
        replay(listed(toy, 1), toy, **settings)
