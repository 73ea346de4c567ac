"""Confirming beyond the loop: architectures of the space that nobody asked about."""

import pytest

from archcast import universal
from archcast.encoders.errors import InvalidSettingError
from archcast.encoders.spaces import get_space
from archcast.search import ChoiceSpace, Domain, surrogate
from archcast.search.forecaster import Remembered

SPACE = get_space("transnas_macro")
SPECS = SPACE.sample(12, seed=3)
#: Scores beyond which training fails, where that is asked for.
LIMIT = 70


@pytest.fixture(scope="module")
def prior():
    return Remembered(universal("cifar10/test_accuracy"))


def score(spec):
    """A stand-in for training: more and later reductions are better, in percent."""
    return 40 + 2 * sum(map(int, spec.split("-")[1]))


def swapped(prior, score=score, **options):
    trained = []

    @surrogate(**({"task": "mine/accuracy", "space": Domain(SPACE), "prior": prior} | options))
    def train(spec):
        trained.append(spec)
        return score(spec)

    return train, trained


def test_what_nobody_asked_about_is_trained_and_better(prior):
    train, trained = swapped(prior, budget=12, beyond=True)
    for spec in SPECS:
        train(spec)
    assert len(trained) == 1  # it calibrates, all others are kept
    winner = train.confirm()
    assert len(trained) == len(set(trained)) == 12
    assert winner.arch in trained
    assert winner.arch not in SPECS
    assert winner.value == max(map(score, trained)) > max(map(score, SPECS))
    assert winner.source == "measured"


def test_without_it_only_what_was_asked_about_is(prior):
    train, trained = swapped(prior, budget=12)
    for spec in SPECS:
        train(spec)
    train.confirm()
    assert set(trained) <= set(SPECS)


def test_only_some_are_confirmed(prior):
    train, trained = swapped(prior, budget=12, beyond=True, start=4, confirm=8)
    for spec in SPECS:
        train(spec)
    train.confirm(k=2)
    assert len(trained) == 6
    assert len(set(trained) - set(SPECS)) == 2


@pytest.mark.parametrize("options", [{"space": None}, {"to_network": str}])
def test_it_needs_a_space_whose_architectures_the_function_takes(prior, options):
    with pytest.raises(InvalidSettingError, match="it needs space="):
        swapped(prior, budget=5, beyond=True, **options)


def test_other_arguments_cannot_be_known_which_the_first_call_says(prior):
    @surrogate(task="mine/accuracy", space="transnas_macro", budget=5, prior=prior, beyond=True)
    def train(spec, rate=0.1):
        raise AssertionError(rate)

    with pytest.raises(InvalidSettingError, match=r"cannot know rate .* ignore="):
        train(SPECS[0], rate=0.2)


def test_arguments_that_do_not_matter_are_those_of_the_last_call(prior):
    settings = {"space": "transnas_macro", "budget": 4, "prior": prior, "ignore": "log"}
    logs = []

    @surrogate(task="mine/accuracy", beyond=True, **settings)
    def train(spec, log):
        log.append(spec)
        return score(spec)

    with pytest.raises(InvalidSettingError, match="call it once before confirm"):
        train.confirm()
    train(SPECS[0], logs)
    train.confirm()
    assert len(logs) == 4


@pytest.mark.parametrize("write", [str, lambda spec: f"transnas_macro:{spec}"])
def test_architectures_are_written_as_the_loop_writes_them(prior, write, tmp_path):
    forms = {write("64-12-basic").partition("64-")[0]}
    options = {"budget": 5, "beyond": True, "journal": tmp_path / "form.sqlite"}
    train, trained = swapped(prior, lambda spec: score("-" + spec.partition("-")[2]), **options)
    for spec in SPECS:
        train(write(spec))
    train.confirm(k=1)
    train.close()
    train.confirm(k=1)  # as after a restart
    assert len(trained) == 3
    assert {spec.partition("64-")[0] for spec in trained} == forms


@pytest.mark.parametrize("form", ["texts", "choices"])
def test_choices_of_one_s_own_come_as_the_loop_has_them(prior, form):
    def build(choices):
        widths = ":".join(str(8 * choices[name]) for name in "abc")
        return get_space("nats_size").graph(f"{widths}:16:16")

    space = ChoiceSpace("own", {name: [1, 2, 3, 4] for name in "abc"}, build)
    seen = []

    @surrogate(task="mine/accuracy", space=space, budget=5, prior=prior, beyond=True)
    def train(arch):
        seen.append(type(arch))
        return 50.0 + len(seen)

    for text in space.sample(6, seed=0):
        train(text if form == "texts" else space.choices(text))
    train.confirm()
    assert set(seen) == {str if form == "texts" else dict}
    assert len(seen) == 5


def test_what_failed_is_not_tried_again(prior):
    def brittle(spec):
        if score(spec) > LIMIT:
            raise MemoryError("too deep")
        return score(spec)

    train, trained = swapped(prior, brittle, budget=14, beyond=True, on_error="forecast")
    for spec in SPECS:
        train(spec)
    winner = train.confirm()
    assert len(trained) == len(set(trained)) == 14
    assert any(score(spec) > LIMIT for spec in trained)
    assert winner.value <= LIMIT


def test_an_interrupted_training_may_be_begun_again_and_a_restart_trains_nothing_twice(
    prior, tmp_path
):
    tries = []

    def interrupted(spec):
        tries.append(spec)
        if len(tries) == 5:
            raise KeyboardInterrupt
        return score(spec)

    options = {"budget": 8, "beyond": True, "journal": tmp_path / "swap.sqlite"}
    train, _ = swapped(prior, interrupted, **options)
    for spec in SPECS:
        train(spec)
    with pytest.raises(KeyboardInterrupt):
        train.confirm()
    train.confirm(k=1)
    assert tries[5] == tries[4]
    train.close()

    again, trained = swapped(prior, **options)
    again.confirm()
    assert len(trained) == 3
    assert not set(trained) & set(tries)


def test_a_unit_that_is_understood_late_changes_what_was_told(prior):
    train, trained = swapped(prior, lambda spec: score(spec) / 100, budget=8, beyond=True)
    for spec in SPECS:
        train(spec)
    winner = train.confirm()
    assert len(set(trained)) == 8
    assert winner.value == max(score(spec) / 100 for spec in trained)
