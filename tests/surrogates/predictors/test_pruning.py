"""GBDT-NAS: contributions of choices, and spaces without the worst of them."""

from __future__ import annotations

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSettingError, InvalidSpecError, NotFittedError
from archcast.encoders.spaces import get_space
from archcast.predictors import load_predictor, save_predictor
from archcast.predictors.trees.gbdt_nas import GBDTNASPredictor
from archcast.predictors.trees.pruning import (
    Choice,
    Choices,
    PrunedSpace,
    choice_effects,
    prune,
)

SPACE = get_space("nats_size")


def score(spec: str) -> float:
    """Wide is good in the first place, narrow in the second; the others do not matter."""
    widths = [int(w) for w in spec.split(":")]
    return widths[0] / 8 - widths[1] / 8


@pytest.fixture(scope="module")
def labelled():
    specs = SPACE.sample(300, seed=2)
    return specs, np.array([score(spec) for spec in specs])


@pytest.fixture(scope="module")
def pruned(labelled):
    return prune(SPACE, *labelled, drop=0.2, asked=300)


def test_choices_are_one_column_each():
    choices = Choices.of(SPACE, ["8:16:24:32:40", "64:16:24:32:40"])
    assert choices.names == ("0.0=8", "0.0=64", "0.1=16", "0.2=24", "0.3=32", "0.4=40")
    np.testing.assert_array_equal(
        choices.encode(["64:16:24:32:40", "32:16:8:8:8"]), [[0, 1, 1, 1, 1, 1], [0, 0, 1, 0, 0, 0]]
    )


def test_contributions_add_up_to_the_forecast(labelled, tmp_path):
    specs, y = labelled
    choices = Choices.of(SPACE, specs)
    x = choices.encode(specs)
    predictor = GBDTNASPredictor().fit(x, y)
    values = predictor.contributions(x)
    np.testing.assert_allclose(values.sum(1), predictor.predict(x), atol=1e-4)
    save_predictor(predictor, tmp_path / "p.safetensors")
    loaded = load_predictor(tmp_path / "p.safetensors")
    np.testing.assert_array_equal(loaded.contributions(x), values)
    with pytest.raises(NotFittedError):
        GBDTNASPredictor().contributions(x)


def test_effects_follow_the_labels(labelled):
    specs, y = labelled
    choices = Choices.of(SPACE, specs)
    predictor = GBDTNASPredictor().fit(choices.encode(specs), y)
    effect = dict(
        zip(choices.names, choice_effects(predictor, choices, SPACE.sample(200, 5)), strict=True)
    )
    assert effect["0.0=64"] == pytest.approx(3.5, abs=1)  # 8 of widths whose mean is 4.5
    assert effect["0.1=64"] == pytest.approx(-3.5, abs=1)
    assert abs(effect["0.3=64"]) < 0.2


def test_the_worst_choices_go_and_the_rest_stays(pruned, labelled):
    assert 4 <= len(pruned.removed) <= 8
    assert {choice.place for choice in pruned.removed} == {(0, 0), (0, 1)}
    assert Choice((0, 0), 8) in pruned.removed
    assert Choice((0, 1), 64) in pruned.removed
    drawn = pruned.sample(200, seed=1)
    assert len(set(drawn)) == 200
    assert all(spec in pruned for spec in drawn)
    assert np.mean([score(s) for s in drawn]) > labelled[1].mean() + 1


def test_a_pruned_space_is_a_space(pruned):
    first, second = pruned.sample(2, seed=3)
    assert pruned.sample(2, seed=3) == [first, second]
    assert pruned.text(pruned.parse(first)) == first
    assert pruned.graph(first) == SPACE.graph(first)
    near = pruned.neighbours(first)
    assert 0 < len(near) < len(SPACE.neighbours(first))
    assert all(spec in pruned for spec in near)
    assert pruned.crossover(first, second, seed=1) in pruned
    assert next(pruned.enumerate()) in pruned
    with pytest.raises(InvalidSpecError, match="was pruned"):
        pruned.parse("8:64:8:8:8")
    with pytest.raises(InvalidSpecError):
        assert "7:7:7:7:7" in pruned


@pytest.mark.parametrize("name", ["nasbench201", "nasbench101", "darts", "hwgpt_s"])
def test_any_space_of_nested_tuples_can_be_pruned(name):
    space = get_space(name)
    specs = space.sample(60, seed=1)
    choices = Choices.of(space, specs)
    by_place = np.bincount(choices.places())
    crowded = [c for c, p in zip(choices.columns, choices.places(), strict=True) if by_place[p] > 2]
    smaller = PrunedSpace(space, choices, crowded[:1])
    drawn = smaller.sample(30, seed=0)
    assert any(spec not in smaller for spec in space.sample(200, seed=0))
    assert all(spec in smaller for spec in drawn)
    assert smaller.crossover(specs[0], specs[1]) in smaller


def test_every_place_keeps_a_choice(labelled):
    smallest = prune(SPACE, *labelled, drop=0.99, asked=200)
    assert len(smallest.sample(3, seed=0)) == 3
    assert smallest._kept[0, 0]
    with pytest.raises(InvalidSettingError, match="nothing is left"):
        PrunedSpace(SPACE, Choices.of(SPACE, ["8:8:8:8:8"]), [Choice((0, 0), 8)])
    with pytest.raises(InvalidSettingError, match="share"):
        prune(SPACE, *labelled, drop=1.0)


def test_labels_that_say_nothing_prune_nothing(labelled):
    specs, _ = labelled
    assert not prune(SPACE, specs, np.ones(len(specs)), drop=0.5, asked=100).removed
