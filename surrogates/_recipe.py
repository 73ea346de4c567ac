"""Recipes as numbers: how a network was trained, as far as forecasts depend on it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast._tasks import Task
from archcast.encoders.errors import InvalidRecipeError

#: Recipe columns and what in a timm weight tag they are recognised by.
_TAGS: Final = {
    "web": r"laion|webli|jft|yfcc|ig1b|m30m|m38m|openai|clip|swag|seer",
    "large": r"in12k|in21k|in22k|ssld_stage2|ssld_6m",
    "distilled": r"dist|ssld|teacher|snap",
    "self_supervised": r"mae|mim_|^in1k_ft_in1k|beit",
    "classic": r"^tv_|^gluon|^pycls|^ms_in1k|^mx_",
    "strong": r"^(a1|a2|ah|ra|c1|c2|tv2|b1k|b2k|d1|d2|bt|am|sw)",
    "sharpness_aware": r"sam_",
    "low_resolution": r"^a3|r160",
    "larger_test_size": r"$^",  # never in a tag: images larger in the test than in training
}
COLUMNS: Final = tuple(_TAGS)
#: Values of the field ``schedule`` -> the column they switch on.
_VALUES: Final = {
    "pretrain": "give in1k for none, or what data it was, such as in12k, in21k, laion2b, jft",
    "distilled": "give true or false",
    "self_supervised": "give true or false",
    "schedule": "give classic, plain or strong",
}
_FIELDS: Final = frozenset((*_VALUES, "tag"))
_SCHEDULES: Final = {"classic": "classic", "plain": "", "strong": "strong"}


def from_tag(tag: str) -> NDArray[np.float64]:
    """Recipe of timm weights by their tag, such as ``fb_dist_in1k``: (R,) of 0 and 1."""
    found = {name: bool(re.search(pattern, tag)) for name, pattern in _TAGS.items()}
    found["large"] &= not found["web"]
    return np.array(list(found.values()), np.float64)


def encode(
    task: Task, recipe: Mapping[str, Any] | None
) -> tuple[NDArray[np.float64] | None, list[str]]:
    """What a caller knows of the recipe, as numbers.

    Args:
        task: the task; its ``recipe_fields`` are what counts.
        recipe: field -> value.

    Returns:
        (R,) numbers, NaN where unknown, or None if nothing is known; and remarks on fields that
        have no effect on this task.

    Raises:
        InvalidRecipeError: a field that no task has, or a value that is not understood.
    """
    if not recipe:
        return None, []
    if not isinstance(recipe, Mapping):
        raise InvalidRecipeError(
            f"a recipe maps fields to values, as {{'pretrain': 'in21k'}}, not {recipe!r}"
        )
    unknown = sorted(set(recipe) - _FIELDS)
    if unknown:
        raise InvalidRecipeError(
            f"no task has the recipe field {unknown[0]!r}; fields are {', '.join(sorted(_FIELDS))}"
        )
    notes = [
        f"recipe field {k!r} has no effect on {task.name}"
        for k in recipe
        if k not in task.recipe_fields
    ]
    known = dict.fromkeys(COLUMNS, np.nan)
    if "tag" in task.recipe_fields and "tag" in recipe:
        known.update(zip(COLUMNS, from_tag(str(recipe["tag"])), strict=True))
    for field in set(task.recipe_fields) & set(recipe) - {"tag"}:
        values = _field(field, recipe[field])
        known.update(values)
        if not values:
            raise InvalidRecipeError(
                f"recipe value {field}={recipe[field]} is not understood; {_VALUES[field]}"
            )
    numbers = np.array(list(known.values()))
    return (numbers if np.isfinite(numbers).any() else None), sorted(notes)


def _field(name: str, value: Any) -> dict[str, float]:
    text = str(value).strip().lower()
    if name == "pretrain":
        tag = from_tag(text)
        plain = text in ("in1k", "imagenet1k", "none", "false", "no", "0")
        if not plain and not tag[:2].any():
            return {}
        return dict(zip(COLUMNS[:2], tag[:2], strict=True))
    if name == "schedule":
        if text not in _SCHEDULES:
            return {}
        return {column: float(column == _SCHEDULES[text]) for column in ("classic", "strong")}
    if text in ("true", "yes", "1", "on"):
        return {name: 1.0}
    return {name: 0.0} if text in ("false", "no", "0", "off", "none") else {}
