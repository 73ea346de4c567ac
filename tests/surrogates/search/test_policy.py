"""Rules of when to train: numbers only, no networks."""

import math

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSettingError
from archcast.search import Seconds
from archcast.search.swap._budget import capacity, parse_budget
from archcast.search.swap._policy import Pace, is_apart, make_plan, value_of_training


@pytest.mark.parametrize("budget", range(12))
def test_a_plan_never_promises_more_than_there_is(budget):
    for unfamiliar in (False, True):
        plan = make_plan(budget, unfamiliar=unfamiliar)
        assert plan.start >= 0
        assert plan.kept >= 0
        assert plan.start + plan.kept <= budget
        assert plan.start >= min(budget, 1)


def test_what_is_unfamiliar_is_calibrated_longer():
    assert make_plan(20, unfamiliar=True).start == 2 * make_plan(20).start
    assert make_plan(20, start=3, unfamiliar=True).start == 3  # the person decides


def test_who_confirms_beyond_the_loop_keeps_almost_all():
    plan = make_plan(20, beyond=True)
    assert (plan.start, plan.kept) == (1, 19)
    assert make_plan(20, unfamiliar=True, beyond=True).start == 2
    assert make_plan(20, 5, 10, beyond=True) == make_plan(20, 5, 10)


def test_a_training_is_worth_most_where_the_forecast_is_unsure_and_at_the_bar():
    at_bar, above, below = value_of_training(np.array([1.0, 3.0, -1.0]), np.full(3, 0.5), 1.0)
    assert at_bar > 10 * above
    assert above == pytest.approx(below)
    sure = value_of_training(np.array([1.0]), np.array([1e-9]), 1.0)[0]
    assert sure < 1e-8 < at_bar
    assert at_bar == pytest.approx(0.5 / math.sqrt(2 * math.pi))


def test_the_value_is_the_mean_gain_of_knowing():
    rng = np.random.default_rng(0)
    drawn = rng.normal(0.3, 0.8, 400_000)
    known = np.maximum(drawn, 1.0).mean() - max(0.3, 1.0)
    found = value_of_training(np.array([0.3]), np.array([0.8]), 1.0)[0]
    assert found == pytest.approx(known, rel=0.01)


@pytest.mark.parametrize(("calls", "told"), [(300, True), (300, False), (2000, False)])
def test_spending_follows_calls_and_never_exceeds_what_is_left(calls, told):
    rng = np.random.default_rng(1)
    pace, left, spent = Pace(calls if told else None), 20, []
    for asked in range(calls):
        if pace.passes(float(rng.exponential()), left, asked):
            left -= 1
            spent.append(asked)
    assert left >= 0
    assert len(spent) >= 14
    assert spent[-1] > calls / 20  # not all at the start


def test_nothing_is_spent_where_nothing_is_gained():
    pace = Pace()
    assert not any(pace.passes(0.0, 10, asked) for asked in range(100))
    assert not any(Pace().passes(1.0, 0, asked) for asked in range(100))


def test_near_duplicates_are_passed_over_until_patience_ends():
    assert is_apart([], 0.0, 0)
    assert not is_apart([0.01], 1.0, 0)
    assert is_apart([2.0], 1.0, 0)
    assert is_apart([0.01], 1.0, 3)
    assert not is_apart([0.0], 0.0, 0)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (20, 20),
        ("20", 20),
        (0, 0),
        ("2h", Seconds(7200)),
        ("1h30m", Seconds(5400)),
        ("90 s", Seconds(90)),
        ("1.5 h", Seconds(5400)),
        (Seconds(3), Seconds(3)),
    ],
)
def test_budgets_are_trainings_or_time(given, read):
    assert parse_budget(given) == read


@pytest.mark.parametrize("given", [-1, 2.5, True, None, "soon", "2 weeks", "", "2h?"])
def test_what_is_no_budget_is_refused(given):
    with pytest.raises(InvalidSettingError, match="budget="):
        parse_budget(given)


@pytest.mark.parametrize("given", [-1, math.inf, math.nan, "2"])
def test_seconds_are_not_negative(given):
    with pytest.raises(InvalidSettingError, match="seconds"):
        Seconds(given)


def test_time_is_spent_training_by_training():
    assert capacity(7, [3.0] * 9) == 7
    assert capacity(Seconds(0), []) == 0
    assert capacity(Seconds(10), []) == 1  # how long they take is not known yet
    assert capacity(Seconds(10), [3.0]) == 3
    assert capacity(Seconds(10), [3.0, 3.0, 3.0]) == 3
    assert capacity(Seconds(10), [12.0]) == 1  # the first may be too long; nothing follows
