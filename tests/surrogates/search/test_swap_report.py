"""What a surrogate reports: forecasts and values in one unit, and what is left to spend."""

import json
import math
import threading
import warnings

import pytest

from archcast.encoders.spaces import get_space
from archcast.search import MixedUnitsWarning, Seconds, surrogate
from archcast.search.forecaster import Remembered, usual_prior
from archcast.search.journal import Answer, Journal, Trial
from archcast.search.swap._report import Told, make_report, note_of, noted

TASK = "cifar10/test_accuracy"
SPECS = get_space("nasbench201").sample(12, seed=3)


@pytest.fixture(scope="module")
def prior():
    return Remembered(usual_prior(TASK))


def score(spec):
    return 60 + 5 * spec.count("conv_3x3")


def swapped(prior, function=score, **options):
    settings = {"task": TASK, "space": "nasbench201", "budget": 8, "prior": prior}

    @surrogate(**(settings | options))
    def train(spec):
        return function(spec)

    return train


def trial(spec, value, note, state="done"):
    return Trial(spec, 1.0, state, (value,), 1.0, note)


def reported(trials, *, fractions=False, left=0, asked=()):
    measured = {t.spec: t.values[0] for t in trials if t.state == "done"}
    answers = [Answer(spec, "forecast", 1.0, 0.0, 2.0, 0.0) for spec in asked]
    return make_report(
        TASK, "5 trainings", "max", trials, answers, measured, fractions=fractions, left=left
    )


# ------------------------------------------------------------------ one unit
@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_errors_are_in_the_unit_of_the_values(prior, scale, tmp_path):
    file = tmp_path / "s.sqlite"
    train = swapped(prior, lambda spec: scale * score(spec), journal=file)
    for spec in SPECS:
        train(spec)
    report = train.report()
    assert report.checked == report.trained  # this task's predictor speaks from the start
    assert report.error < 20 * scale
    train.close()
    again = swapped(prior, lambda spec: scale * score(spec), journal=file)
    assert again.report().error == pytest.approx(report.error)


def test_forecasts_made_side_by_side_before_the_first_value_count_alike(prior):
    together = threading.Barrier(3)

    def slow(spec):
        together.wait(60)
        return score(spec) / 100

    train = swapped(prior, slow)
    threads = [threading.Thread(target=train.measured, args=(spec,)) for spec in SPECS[:3]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert train.report().checked == 3
    assert train.report().error < 0.3


def test_journals_that_did_not_keep_the_unit_are_read(prior, tmp_path):
    file = tmp_path / "s.sqlite"
    train = swapped(prior, lambda spec: score(spec) / 100, journal=file)
    for spec in SPECS:
        train(spec)
    error = train.report().error
    train.close()
    with Journal(file, {"surrogate": TASK, "direction": "max", "space": "nasbench201"}) as journal:
        for t in journal.trials():
            note = json.loads(t.note)
            assert note.pop("fractions") in (True, False)
            journal.finish(t.spec, t.values, seconds=t.seconds, note=json.dumps(note))
    assert swapped(prior, journal=file).report().error == pytest.approx(error)


def test_a_note_tells_the_unit_of_its_forecast():
    percent = trial("a", 0.9, note_of(Told(88.0, 80.0, 95.0, fractions=False), "start"))
    share = trial("b", 0.9, note_of(Told(0.88, 0.8, 0.95, fractions=True), "start"))
    assert noted(percent, fractions=False) == (88.0, 80.0, 95.0)
    assert noted(percent, fractions=True) == pytest.approx((0.88, 0.8, 0.95))
    assert noted(share, fractions=True) == (0.88, 0.8, 0.95)
    assert noted(share, fractions=False) is None  # nobody knows any more what values meant
    assert noted(trial("c", 0.9, note_of(None, "start")), fractions=True) is None
    low = trial("d", 0.01, note_of(Told(0.9, 0.5, 1.5, fractions=False), "start"))
    assert noted(low, fractions=True) == pytest.approx((0.009, 0.005, 0.015))


def test_mixed_units_are_told_once(prior):
    values = iter([0.85, 88.0, 0.9, 91.0])
    train = swapped(prior, lambda _: next(values))
    train.measured(SPECS[0])
    with pytest.warns(MixedUnitsWarning, match=r"0\.85 looks like a fraction and 88 like a perc"):
        train.measured(SPECS[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train.measured(SPECS[2])
        train.measured(SPECS[3])
    report = train.report()
    assert report.checked == 3  # without the one that was forecast as a fraction
    assert "forecasts of 3" in str(report)


@pytest.mark.parametrize(
    ("task", "unit", "values"),
    [
        (TASK, None, (1.0, 88.0)),  # of a network that guesses among a hundred classes
        (TASK, None, (0.0, 88.0)),
        (TASK, None, (0.5, 0.9)),
        (TASK, None, (50.0, 90.0)),
        (TASK, "percent", (0.5, 88.0)),
        ("mine/score", None, (0.5, 88.0)),
        ("mine/accuracy", "own", (0.5, 88.0)),
    ],
)
def test_what_may_be_one_unit_is_no_mixture(prior, task, unit, values):
    given = iter(values)
    train = swapped(prior, lambda _: next(given), task=task, unit=unit)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MixedUnitsWarning)
        for spec in SPECS[:2]:
            train.measured(spec)


# ------------------------------------------------------------------ what is left
def test_trainings_that_are_kept_are_told(prior):
    train = swapped(prior)
    for spec in SPECS:
        train(spec)
    left = 8 - train.report().trained
    assert left > 1
    said = f"{left} trainings are left: confirm() spends them on the most promising"
    assert str(train.report()).endswith(said)
    train.confirm(k=left - 1)
    assert "1 training is left: confirm() spends it on" in str(train.report())
    train.confirm()
    assert train.report().left == 0
    assert "left" not in str(train.report())


def test_confirm_is_not_named_where_it_has_nothing_to_train():
    said = str(reported([trial("a", 90.0, "")], left=4, asked=["a"]))
    assert said.endswith("4 trainings are left")


def test_a_smaller_budget_was_exceeded(prior, tmp_path):
    file = tmp_path / "s.sqlite"
    train = swapped(prior, journal=file, start=6)
    for spec in SPECS[:6]:
        train.measured(spec)
    train.close()
    report = swapped(prior, journal=file, budget=5).report()
    assert (report.trained, report.left) == (6, -1)
    assert "trained 6, more than the budget of 5 trainings" in str(report)
    assert "left" not in str(report)


def test_what_runs_exceeds_no_budget():
    trials = [trial("a", 90.0, ""), trial("b", math.nan, "", "running")]
    report = reported(trials, left=-1)
    assert report.left == 0
    assert "trained 1 of 5 trainings" in str(report)


def test_a_budget_of_time_is_left(prior):
    ticks = iter(range(0, 1000, 10))
    train = swapped(prior, budget=Seconds(50), clock=lambda: float(next(ticks)))
    train.measured(SPECS[0])
    train(SPECS[1])
    assert train.report().left > 0
    assert f"{train.report().left} trainings are left" in str(train.report())
