"""Confirming beyond the loop: architectures of the space that nobody asked about."""

import pytest

from archcast import universal
from archcast.encoders.errors import InvalidSettingError
from archcast.encoders.spaces import get_space
from archcast.search import Domain, surrogate
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


def test_other_arguments_cannot_be_known(prior):
    @surrogate(task="mine/accuracy", space="transnas_macro", budget=5, prior=prior, beyond=True)
    def train(spec, rate=0.1):
        return score(spec) - rate

    train(SPECS[0], rate=0.2)
    with pytest.raises(InvalidSettingError, match="ignore="):
        train.confirm()


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
