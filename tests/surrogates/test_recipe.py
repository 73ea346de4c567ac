"""Recipes: what a caller may say, and what it is understood as."""

from __future__ import annotations

import numpy as np
import pytest

from archcast import get_task
from archcast._recipe import COLUMNS, encode, from_tag
from archcast.encoders.errors import InvalidRecipeError

ZOO = get_task("imagenet1k/top1")


def told(**recipe) -> dict[str, float]:
    numbers, notes = encode(ZOO, recipe)
    assert not notes
    assert numbers is not None
    return {k: v for k, v in zip(COLUMNS, numbers.tolist(), strict=True) if np.isfinite(v)}


@pytest.mark.parametrize(
    ("tag", "columns"),
    [
        ("in1k", set()),
        ("tv_in1k", {"classic"}),
        ("fb_dist_in1k", {"distilled"}),
        ("augreg_in21k_ft_in1k", {"large"}),
        ("laion2b_ft_in12k_in1k", {"web"}),
        ("a3_in1k", {"low_resolution"}),
        ("sam_in1k", {"sharpness_aware"}),
    ],
)
def test_tags(tag, columns):
    assert {c for c, v in zip(COLUMNS, from_tag(tag), strict=True) if v} == columns


def test_fields():
    assert told(pretrain="in21k") == {"web": 0, "large": 1}
    assert told(pretrain="in1k") == {"web": 0, "large": 0}
    assert told(pretrain="laion2b") == {"web": 1, "large": 0}
    assert told(distilled=True) == told(distilled="yes") == {"distilled": 1}
    assert told(schedule="plain") == {"classic": 0, "strong": 0}
    assert told(tag="tv_in1k")["classic"] == 1
    assert told(tag="tv_in1k", distilled=1)["distilled"] == 1


def test_what_has_no_effect_is_remarked():
    assert encode(ZOO, None) == (None, [])
    _, notes = encode(get_task("cifar10/test_accuracy"), {"pretrain": "in21k"})
    assert "no effect" in notes[0]


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"epochs": 300}, "no task has the recipe field 'epochs'; fields are distilled"),
        ({"pretrain": "mystery"}, "pretrain=mystery is not understood; give in1k"),
        ({"distilled": "maybe"}, "give true or false"),
        ("in21k", "maps fields to values"),
    ],
)
def test_what_is_not_understood_is_refused(recipe, message):
    with pytest.raises(InvalidRecipeError, match=message):
        encode(ZOO, recipe)
