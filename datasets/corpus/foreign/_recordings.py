"""Checking recordings that come from code nobody has read."""

from __future__ import annotations

import math
from typing import Any, Final

from archcast.encoders._torch.capture import Recording, Ref, Shape
from archcast.encoders.errors import UnreadableModelError

_STEPS: Final = 200_000
_TEXT: Final = 1_000
_DIMS: Final = 16
_ELEMENTS: Final = 1 << 50
_NUMBERS: Final = 64
_DEPTH: Final = 8


def checked(text: Any) -> Recording:
    """A recording from its text, every part of it of the right kind and of a sane size.

    Args:
        text: anything.

    Returns:
        The recording.

    Raises:
        UnreadableModelError: it is no recording; the message says where.
    """
    try:
        recording = Recording.from_json(text)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise UnreadableModelError(f"not a recording: {type(error).__name__}: {error}") from error
    known = {*recording.inputs, *recording.weights}
    for name, shape in recording.inputs.items():
        _check(_is_name(name) and _is_shape(shape), f"input {name!r:.40}")
    for name, weight in recording.weights.items():
        sane = len(weight) == 3 and _is_shape(weight[0]) and _is_name(weight[1])
        _check(_is_name(name) and sane and isinstance(weight[2], bool), f"weight {name!r:.40}")
    for name, value in recording.values.items():
        _check(name in recording.weights and _numbers(value) <= _NUMBERS, f"value {name!r:.40}")
    _check(len(recording.steps) <= _STEPS, "too many steps")
    for step in recording.steps:
        where = f"step {step.name!r:.40}"
        _check(_is_name(step.name) and step.name not in known and _is_name(step.target), where)
        _check(isinstance(step.kwargs, dict) and all(map(_is_name, step.kwargs)), where)
        _check(_is_argument([*step.args, *step.kwargs.values()], known), where)
        _check(_is_result(step.result), where)
        known.add(step.name)
    outputs = recording.outputs
    _check(isinstance(outputs, list) and all(n in known for n in outputs if _is_name(n)), "outputs")
    _check(all(map(_is_name, outputs)), "outputs")
    return recording


def _check(fine: bool, where: str) -> None:
    if not fine:
        raise UnreadableModelError(f"not a recording: {where}")


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _TEXT


def _is_shape(value: Any) -> bool:
    if not isinstance(value, Shape) or len(value.dims) > _DIMS:
        return False
    numbers = all(type(d) is int and 0 <= d <= _ELEMENTS for d in value.dims)
    return numbers and math.prod(value.dims) <= _ELEMENTS


def _is_result(value: Any, depth: int = 0) -> bool:
    if isinstance(value, Shape) or value is None:
        return value is None or _is_shape(value)
    if not isinstance(value, list) or depth >= _DEPTH:
        return False
    return all(_is_result(v, depth + 1) for v in value)


def _is_argument(value: Any, known: set[str], depth: int = 0) -> bool:
    if isinstance(value, Ref):
        return value.name in known
    if isinstance(value, list):
        return depth < _DEPTH and all(_is_argument(v, known, depth + 1) for v in value)
    if isinstance(value, str):
        return len(value) <= _TEXT
    return isinstance(value, (bool, int, float, type(None)))


def _numbers(value: Any) -> int:
    """How many numbers a nested list holds; more than are allowed if it holds anything else."""
    if isinstance(value, list):
        return sum(map(_numbers, value))
    return 1 if isinstance(value, (bool, int, float)) else _NUMBERS + 1
