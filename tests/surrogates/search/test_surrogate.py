"""A training function swapped for forecasts: what is answered, trained, kept and refused."""

import math
import multiprocessing
import os
import threading
import time
import warnings
from dataclasses import dataclass
from inspect import signature

import numpy as np
import pytest

from archcast import universal
from archcast.encoders.errors import (
    EvaluationError,
    InvalidSettingError,
    InvalidSpecError,
    NotFittedError,
    UnreadableModelError,
)
from archcast.encoders.spaces import get_space
from archcast.search import Seconds, surrogate
from archcast.search.forecaster import Remembered

SPACE = get_space("nasbench201")
SPECS = SPACE.sample(40, seed=3)
GOOD = dict(zip(SPACE.graphs(SPECS), SPECS, strict=True))


@pytest.fixture(scope="module")
def prior():
    return Remembered(universal("cifar10/test_accuracy"))


def score(spec):
    """A stand-in for training: more 3x3 convolutions score more, in percent."""
    return 60 + 6 * spec.count("3x3") - 2 * spec.count("none") + len(spec) / 50


class Trainer:
    """Counts what is really trained."""

    def __init__(self, score=score):
        self.score, self.trained = score, []

    def __call__(self, spec):
        self.trained.append(spec)
        return self.score(spec)


def swapped(prior, function=None, **options):
    trainer = Trainer() if function is None else function
    settings = {"task": "mine/accuracy", "space": "nasbench201", "budget": 10, "prior": prior}

    @surrogate(**(settings | options))
    def train(spec):
        """Train it."""
        return trainer(spec)

    return train, trainer


# ------------------------------------------------------------------ what it answers
def test_it_looks_like_the_function(prior):
    def train_and_evaluate(arch, epochs: int = 3) -> float:
        """Train."""
        return 0.0

    found = surrogate(task="mine/accuracy", space="nasbench201", budget=1)(train_and_evaluate)
    assert found.__name__ == "train_and_evaluate"
    assert found.__doc__ == "Train."
    assert found.__wrapped__ is train_and_evaluate
    assert signature(found) == signature(train_and_evaluate)


def test_it_answers_every_call_and_trains_no_more_than_the_budget(prior):
    train, trainer = swapped(prior)
    values = [train(spec) for spec in SPECS]
    assert all(type(value) is float and math.isfinite(value) for value in values)
    assert 3 <= len(trainer.trained) <= 4  # three fifths are kept back
    assert len(set(trainer.trained)) == len(trainer.trained)
    winner = train.confirm(k=2)
    assert len(trainer.trained) <= 6
    winner = train.confirm()
    assert len(trainer.trained) == 10
    assert winner.source == "measured"
    assert winner.value == max(score(spec) for spec in trainer.trained)
    assert winner.value >= np.sort([score(spec) for spec in SPECS])[-4]
    report = train.report()
    assert (report.calls, report.candidates, report.trained, report.saved) == (40, 40, 10, 30)
    assert report.checked == 9  # the first had no forecast
    assert report.error < 10
    assert "trained 10 of 10 trainings" in str(report)
    assert "answered by forecasts alone: 30 candidates" in str(report)


def test_the_measured_is_never_trained_again(prior):
    train, trainer = swapped(prior)
    first = train(SPECS[0])
    assert first == score(SPECS[0])
    assert [train(SPECS[0]) for _ in range(5)] == [first] * 5
    assert train(f"nasbench201:{SPECS[0]}") == first  # another text of the same
    assert trainer.trained == [SPECS[0]]


def test_explicit_questions(prior):
    train, trainer = swapped(prior, budget=3, start=1, confirm=0)
    with pytest.raises(NotFittedError, match="only ranks"):
        train.forecast(SPECS[0])
    assert train.measured(SPECS[0]) == score(SPECS[0])
    told = train.forecast(SPECS[1])
    assert told.low <= told.value <= told.high
    assert trainer.trained == [SPECS[0]]
    train.measured(SPECS[1])
    train.measured(SPECS[2])
    assert train.measured(SPECS[2]) == score(SPECS[2])
    with pytest.raises(InvalidSettingError, match="budget of 3 is spent"):
        train.measured(SPECS[3])
    assert math.isfinite(train(SPECS[3]))


@pytest.mark.parametrize("fractions", [True, False])
def test_accuracies_may_be_fractions_or_percentages(prior, fractions):
    scale = 0.01 if fractions else 1.0
    train, _ = swapped(
        prior, Trainer(lambda spec: scale * score(spec)), task="cifar10/test_accuracy"
    )
    values = np.array([train(spec) for spec in SPECS])
    assert 60 * scale < np.median(values) < 90 * scale
    assert (values < 100 * scale).all()
    assert train.report().error < 15 * scale


def test_losses_are_made_small(prior):
    train, trainer = swapped(
        prior, Trainer(lambda s: 5 - score(s) / 30), task="mine/val_loss", direction="min"
    )
    for spec in SPECS:
        train(spec)
    winner = train.confirm()
    assert winner.value == min(5 - score(spec) / 30 for spec in trainer.trained)
    with pytest.raises(InvalidSettingError, match="better when it is large"):
        swapped(prior, task="cifar10/test_accuracy", direction="min")[0](SPECS[0])


def test_near_duplicates_at_the_start_are_not_all_trained(prior):
    near = SPACE.neighbours(SPECS[0])
    train, trainer = swapped(prior, budget=30, start=10, confirm=20)
    for _ in range(2):
        for spec in near[:12]:
            train(spec)
    assert len(trainer.trained) < 12


# ------------------------------------------------------------------ who is who
@dataclass(frozen=True)
class Choice:
    ops: str
    lr: float = 0.1


def test_two_candidates_are_one_only_if_nothing_differs(prior):
    trained = []

    @surrogate(
        task="mine/accuracy", space="nasbench201", budget=20, start=20, prior=prior,
        to_network=lambda arch: arch["ops"], ignore="verbose",
    )  # fmt: skip
    def train(arch, loader=None, epochs=3, verbose=False):
        trained.append((arch["lr"], epochs))
        return score(arch["ops"]) - abs(math.log10(arch["lr"]))

    arch = {"ops": SPECS[0], "lr": 0.1}
    train(arch)
    train({"lr": 0.1, "ops": SPECS[0]}, epochs=3)
    train(arch, object(), verbose=True)
    assert trained == [(0.1, 3)]
    train({"ops": SPECS[0], "lr": 0.01})
    train(arch, epochs=6)
    assert set(train._account.candidates.names) == {
        f'{{"lr": 0.1, "ops": "{SPECS[0]}"}}',
        f'{{"lr": 0.01, "ops": "{SPECS[0]}"}}',
        f'{{"lr": 0.1, "ops": "{SPECS[0]}"}} with {{"epochs": 6}}',
    }


def test_dataclasses_and_trials_are_what_they_hold(prior):
    class Trial:
        def __init__(self):
            self.params = {}

        def suggest(self, value):
            self.params["ops"] = value
            return value

    train, trainer = swapped(
        prior, Trainer(lambda arch: score(arch.ops)), to_network=lambda arch: arch.ops
    )
    train(Choice(SPECS[0]))
    train(Choice(SPECS[0]))
    assert trainer.trained == [Choice(SPECS[0])]
    train(Choice(SPECS[0], lr=0.2))
    assert len(train._account.candidates.names) == 2
    other, counted = swapped(
        prior, Trainer(lambda trial: 70.0), space=None,
        to_network=lambda trial: SPACE.graph(trial.suggest(SPECS[0])),
    )  # fmt: skip
    other(Trial())
    other(Trial())
    assert len(counted.trained) == 1


def test_what_is_beside_the_network_is_learned(prior):
    """Learning rates decide here; forecasts tell them apart although networks are equal."""
    rates = np.geomspace(1e-4, 1, 24)
    train, _ = swapped(
        prior, Trainer(lambda arch: 90 - 12 * abs(math.log10(arch["lr"]) + 2)),
        to_network=lambda arch: SPECS[0], budget=16, start=12, confirm=0,
    )  # fmt: skip
    order = np.random.default_rng(0).permutation(len(rates))
    for at in order.tolist():
        train({"lr": float(rates[at])})
    told = [train.forecast({"lr": rate}).value for rate in (1e-4, 1e-2, 1.0)]
    assert told[1] > told[0] + 5
    assert told[1] > told[2] + 5


def test_methods_have_an_account_for_every_instance(prior):
    class Bench:
        def __init__(self, more):
            self.more = more

        @surrogate(task="mine/accuracy", space="nasbench201", budget=2, prior=prior)
        def train(self, spec):
            return score(spec) + self.more

    one, other = Bench(0), Bench(5)
    assert one.train(SPECS[0]) == score(SPECS[0])
    assert other.train(SPECS[0]) == score(SPECS[0]) + 5
    assert one.train.report().trained == 1
    assert one.train is one.train
    assert "surrogate of" in repr(Bench.train)


# ------------------------------------------------------------------ what goes wrong
def test_a_to_network_that_raises_loses_nothing(prior):
    def to_network(arch):
        if arch == "bad":
            raise KeyError("width")
        return SPECS[0] if arch == "good" else arch

    train, trainer = swapped(prior, Trainer(lambda arch: 70.0), to_network=to_network)
    assert train("good") == 70
    with pytest.raises(EvaluationError, match=r"to_network\(\) failed for 'bad': KeyError"):
        train("bad")
    with pytest.raises(EvaluationError, match="no architecture of nasbench201"):
        train("|nonsense|")
    assert train("good") == 70
    assert trainer.trained == ["good"]
    assert train.report().trained == 1


@pytest.mark.parametrize("given", [None, 3.0, object(), {"a": 1}, "no/such/file.onnx"])
def test_a_to_network_that_gives_no_network_says_so(prior, given):
    train, trainer = swapped(prior, space=None, to_network=lambda _: given)
    with pytest.raises(EvaluationError, match=r"turned \{'width': 3\} into .* cannot be read"):
        train({"width": 3})
    assert not trainer.trained


def test_who_needs_a_to_network_is_told(prior):
    train, trainer = swapped(prior, space=None)
    with pytest.raises(UnreadableModelError, match=r"from dict.*; to_network= makes one of"):
        train({"width": 3})
    assert not trainer.trained


def test_what_is_not_of_the_space_is_refused(prior):
    train, trainer = swapped(prior)
    with pytest.raises(InvalidSpecError):
        train("|conv~7|")
    assert not trainer.trained


@pytest.mark.parametrize("given", [None, "0.9", (1.0, 2.0), True, np.zeros(3)])
def test_a_function_that_gives_no_number_is_named(prior, given):
    train, trainer = swapped(prior, Trainer(lambda _: given))
    with pytest.raises(EvaluationError, match=r"train\(\) returned .* one number"):
        train(SPECS[0])
    assert train.report().failed == 1
    with pytest.raises(EvaluationError, match="returned"):
        train(SPECS[0])
    assert len(trainer.trained) == 1  # it is not tried again


def test_a_percentage_out_of_range_is_named(prior):
    train, _ = swapped(prior, Trainer(lambda _: 140.0), task="cifar10/test_accuracy")
    with pytest.raises(EvaluationError, match="lies between 0 and 100, and 140 does not"):
        train(SPECS[0])


def test_numbers_of_numpy_and_the_like_are_numbers(prior):
    train, _ = swapped(prior, Trainer(lambda s: np.float32(score(s))))
    assert type(train(SPECS[0])) is float
    train, _ = swapped(prior, Trainer(lambda s: np.array([score(s)])))
    assert train(SPECS[0]) == score(SPECS[0])


def test_exceptions_are_raised_and_counted(prior):
    def fails(spec):
        if spec == SPECS[0]:
            raise MemoryError("too large")
        return score(spec)

    train, trainer = swapped(prior, Trainer(fails), budget=3)
    with pytest.raises(MemoryError, match="too large"):
        train(SPECS[0])
    with pytest.raises(EvaluationError, match="MemoryError: too large"):
        train(SPECS[0])
    train(SPECS[1])
    assert trainer.trained == SPECS[:2]
    report = train.report()
    assert (report.trained, report.failed) == (2, 1)


def test_exceptions_may_be_answered_by_forecasts(prior):
    def fails(spec):
        if spec != SPECS[0]:
            raise MemoryError
        return score(spec)

    train, trainer = swapped(prior, Trainer(fails), on_error="forecast", budget=4)
    values = [train(spec) for spec in SPECS[:12]]
    assert all(math.isfinite(v) for v in values)
    train.confirm()
    assert len(trainer.trained) == 4
    assert train.report().failed == 3


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_trainings_that_diverge_are_passed_on_and_not_learned_from(prior, bad):
    train, trainer = swapped(prior, Trainer(lambda s: bad if s == SPECS[1] else score(s)), start=4)
    train(SPECS[0])
    assert repr(train(SPECS[1])) == repr(bad)
    assert repr(train(SPECS[1])) == repr(bad)
    assert len(trainer.trained) == 2
    assert math.isfinite(train(SPECS[2]))


def test_all_trainings_failed(prior):
    train, _ = swapped(prior, Trainer(lambda _: 1 / 0), budget=2)
    for spec in SPECS[:2]:
        with pytest.raises(ZeroDivisionError):
            train(spec)
    with pytest.raises(EvaluationError, match=r"all 2 trainings .* failed.*ZeroDivisionError"):
        train(SPECS[2])
    with pytest.raises(EvaluationError, match=r"all 2 trainings .* failed.*ZeroDivisionError"):
        train.confirm()


def test_a_budget_of_zero_needs_a_prior_with_a_unit(prior):
    train, trainer = swapped(prior, budget=0)
    with pytest.raises(InvalidSettingError, match="budget of 0 allows no training"):
        train(SPECS[0])
    train, trainer = swapped(None, budget=0, task="cifar10/test_accuracy")
    assert 10 < train(SPECS[0]) < 100
    assert train.confirm().source == "forecast"
    assert not trainer.trained
    assert "no forecast was checked" in str(train.report())
    in_fractions, _ = swapped(None, budget=0, task="cifar10/test_accuracy", unit="fraction")
    assert 0.1 < in_fractions(SPECS[0]) < 1


@pytest.mark.parametrize(
    "options",
    [
        {"budget": -1},
        {"budget": "soon"},
        {"calls": -3},
        {"start": 1.5},
        {"unit": "dB"},
        {"on_error": "ignore"},
        {"direction": "minimize"},
        {"task": ""},
    ],
)
def test_settings_that_make_no_sense(prior, options):
    with pytest.raises(InvalidSettingError):
        swapped(prior, **options)


def test_functions_that_cannot_be_wrapped(prior):
    async def later(arch):
        return 1.0

    make = surrogate(task="mine/accuracy", budget=1, prior=prior)
    for wrong in (later, 3, lambda: 1.0):
        with pytest.raises(InvalidSettingError):
            make(wrong)
    with pytest.raises(TypeError, match="missing"):
        make(lambda arch, epochs: 1.0)(SPECS[0])
    with pytest.raises(EvaluationError, match="no candidate"):
        make(lambda arch: 1.0).confirm()


# ------------------------------------------------------------------ time, and workers
def test_a_budget_in_seconds(prior):
    time = [0.0]

    def slow(spec):
        time[0] += 60
        return score(spec)

    train, trainer = swapped(prior, Trainer(slow), budget="5m", clock=lambda: time[0])
    for spec in SPECS:
        train(spec)
    train.confirm()
    assert len(trainer.trained) == 5
    report = train.report()
    assert report.seconds == 300
    assert report.seconds_saved == 35 * 60
    assert swapped(prior, budget=Seconds(1))[0](SPECS[0]) == score(SPECS[0])


@pytest.mark.slow
def test_threads_share_one_budget(prior):
    gate = threading.Barrier(4, timeout=20)

    def slow(spec):
        if len(trainer.trained) <= 4:
            gate.wait()  # four are trained side by side
        return score(spec)

    train, trainer = swapped(prior, Trainer(slow), budget=9, start=5, confirm=0)
    found = {}

    def work(part):
        for spec in part:
            found[spec] = train(spec)

    workers = [threading.Thread(target=work, args=(SPECS[i::4],)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert sorted(found) == sorted(SPECS)
    assert all(math.isfinite(v) for v in found.values())
    assert len(trainer.trained) == len(set(trainer.trained)) <= 9


def test_an_interrupt_gives_the_claim_back(prior):
    def stopped(spec):
        if len(trainer.trained) == 1:
            raise KeyboardInterrupt
        return score(spec)

    train, trainer = swapped(prior, Trainer(stopped), budget=1)
    with pytest.raises(KeyboardInterrupt):
        train(SPECS[0])
    assert train.report().trained == 0
    assert train(SPECS[0]) == score(SPECS[0])


# ------------------------------------------------------------------ journals
def test_a_restart_loses_no_measurement(prior, tmp_path):
    file = tmp_path / "study.sqlite"
    train, trainer = swapped(prior, journal=file)
    told = [train(spec) for spec in SPECS[:25]]
    before = train.forecast(SPECS[39])
    train.close()
    again, retrained = swapped(prior, journal=file)
    assert again.forecast(SPECS[39]).value == pytest.approx(before.value, rel=0.02)
    for spec in trainer.trained:
        assert again(spec) == score(spec)
    winner = again.confirm()  # candidates of the first run are known, too
    assert len(trainer.trained) + len(retrained.trained) == 10
    assert not set(trainer.trained) & set(retrained.trained)
    assert winner.value >= max(score(s) for s in trainer.trained)
    assert again.report().calls == 25 + len(trainer.trained)
    assert len(told) == 25


def test_networks_without_a_text_are_kept_in_the_journal(prior, tmp_path):
    graphs = dict(enumerate(SPACE.graphs(SPECS[:8])))
    options = {"space": None, "journal": tmp_path / "g.sqlite", "start": 4}
    train, _ = swapped(prior, Trainer(lambda graph: 50.0 + len(graph)), **options)
    for graph in graphs.values():
        train(graph)
    before = train.forecast(graphs[7]).value
    train.close()
    again, trainer = swapped(prior, **options)
    assert again.forecast(graphs[7]).value == pytest.approx(before, rel=0.02)
    assert not trainer.trained


def test_a_journal_of_another_search_is_refused(prior, tmp_path):
    swapped(prior, journal=tmp_path / "s.sqlite")[0](SPECS[0])
    other, trainer = swapped(prior, journal=tmp_path / "s.sqlite", task="other/accuracy")
    with pytest.raises(InvalidSettingError, match="journal of a search with"):
        other(SPECS[0])
    assert not trainer.trained


def test_another_process_is_heeded(prior, tmp_path):
    file = tmp_path / "s.sqlite"
    train, trainer = swapped(prior, journal=file, budget=4, start=2, confirm=0)
    train(SPECS[0])
    other, others = swapped(prior, journal=file, budget=4, start=2, confirm=0)
    for spec in SPECS[1:3]:
        other.measured(spec)
    assert train(SPECS[1]) == score(SPECS[1])
    for spec in SPECS[3:]:
        train(spec)
    assert len(trainer.trained) <= 2  # the other one spent two of the four
    assert others.trained == SPECS[1:3]
    assert train.report().trained <= 4


def forked(work):
    """Run a function in a process of its own, and give its exit code."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


@pytest.mark.slow
def test_two_processes_share_one_budget(prior, tmp_path):
    file = tmp_path / "s.sqlite"
    trained = tmp_path / "trained"

    def slow(spec):
        with trained.open("a") as out:
            out.write(f"{spec}\n")
        time.sleep(0.02)
        return score(spec)

    train, _ = swapped(prior, slow, journal=file, budget=7, start=7, confirm=0)
    workers = [forked(lambda: [train(spec) for spec in SPECS[:20]]) for _ in range(2)]
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    done = trained.read_text().split()
    assert len(done) == len(set(done)) <= 7
    assert train.report().trained == len(done)
    assert train.report().calls == 40


def test_a_killed_training_is_begun_again(prior, tmp_path):
    file = tmp_path / "s.sqlite"

    def dies(spec):
        if spec == SPECS[1]:
            os._exit(9)
        return score(spec)

    train, _ = swapped(prior, dies, journal=file, budget=4, start=4)
    worker = forked(lambda: [train(spec) for spec in SPECS[:2]])
    worker.join(60)
    assert worker.exitcode == 9
    again, trainer = swapped(prior, journal=file, budget=4, start=4)
    assert again(SPECS[0]) == score(SPECS[0])
    assert not trainer.trained
    assert again(SPECS[1]) == score(SPECS[1])
    assert trainer.trained == [SPECS[1]]
    assert again.report().trained == 2


# ------------------------------------------------------------------ familiarity
def test_the_unfamiliar_is_warned_of_once_and_calibrated_longer(prior):
    known, _ = swapped(prior, budget=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for spec in SPECS[:6]:
            known(spec)
    strange = get_space("darts")
    train, _ = swapped(prior, Trainer(lambda _: 50.0), space=strange, budget=20)
    specs = strange.sample(6, seed=0)
    train(specs[0])
    train(specs[1])  # two may be far by chance
    with pytest.warns(UserWarning, match="from all that the predictor has learned"):
        train(specs[2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for spec in specs:
            train(spec)
    assert train._account.plan.start == 2 * known._account.plan.start
