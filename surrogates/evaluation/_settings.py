"""Settings of predictors as people write them, brought to the types that predictors expect."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Mapping
from typing import Any, Final

from archcast.encoders.errors import InvalidSettingError
from archcast.predictors import predictor_class

_WORDS: Final = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    dict: "a table",
}


def keywords(predictor: str) -> Mapping[str, inspect.Parameter]:
    """Keywords of a predictor's constructor.

    Raises:
        InvalidSettingError: no such predictor.
        MissingExtraError: what it is built on is not installed.
    """
    found = inspect.signature(predictor_class(predictor)).parameters
    return {name: parameter for name, parameter in found.items() if name != "self"}


def fitting(predictor: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in the types of the constructor's defaults; unknown keywords stay as they are.

    Raises:
        InvalidSettingError: no such predictor, or a value that cannot be of that type.
        MissingExtraError: what it is built on is not installed.
    """
    own = keywords(predictor)
    found = {
        name: _fitting(value, own[name], f"{predictor}: {name}") if name in own else value
        for name, value in params.items()
    }
    if "base" in own and found.get("options"):  # those of the predictor that base names
        base = found.get("base", own["base"].default)
        if isinstance(base, str):
            found["options"] = fitting(base, found["options"])
    return found


def _fitting(value: Any, parameter: inspect.Parameter, where: str) -> Any:
    kind: Any = type(parameter.default)
    note = str(parameter.annotation)
    if parameter.default is None and note.removesuffix(" | None").startswith("dict["):
        kind = dict
    elif "|" in note or kind not in _WORDS:
        return value  # several types will do
    if value is None:
        return value
    try:
        return _as(value, kind)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidSettingError(f"{where} is {_WORDS[kind]}, not {value!r}") from error


def _as(value: Any, kind: Any) -> Any:
    """The value as that type.

    Raises:
        TypeError: it is of another.
        ValueError: it is a text that is none.
    """
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    if kind is bool and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if kind in (bool, dict) or isinstance(value, bool):
        raise TypeError
    if kind is str and not isinstance(value, int | float):
        raise TypeError
    if kind is int and not isinstance(value, str):
        if not isinstance(value, float):
            return operator.index(value)
        if not value.is_integer():
            raise ValueError
    return kind(value)
