"""What a person's training function is called with: which calls are the same, in plain text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from inspect import Parameter, Signature, signature
from typing import Any, Final

from archcast.encoders.errors import InvalidSettingError

__all__ = ["called_again", "canonical", "leaves", "plain", "split_call"]

#: Between an architecture and the other arguments of its call, where they differ from usual.
JOINT: Final = " with "
_SCALARS = (bool, int, float, str, type(None))


class NotPlainError(TypeError):
    """A value holds more than numbers, texts, lists and mappings."""


def plain(value: Any) -> Any:
    """A value as JSON has it: numbers, texts, lists and mappings, whatever their types were.

    Dataclasses, and objects with a mapping ``params`` (trials of optimizers), count as the
    mappings they hold.

    Raises:
        NotPlainError: there is something else in it, such as a module or a data loader.
    """
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "item") and getattr(value, "shape", None) == ():  # numpy's scalars
        return plain(value.item())
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    held = getattr(value, "params", None)
    if isinstance(held, Mapping):
        return plain(held)
    raise NotPlainError(type(value).__name__)


def canonical(value: Any) -> str:
    """Plain values as text: equal for equal values, whatever the order of keys."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(", ", ": "))


def split_call(
    form: Signature, args: Sequence[Any], kwargs: Mapping[str, Any], ignored: Sequence[str]
) -> tuple[Any, dict[str, Any]]:
    """Divide a call into the architecture and what else matters.

    Args:
        form: signature of the function; its first parameter is the architecture.
        args: positional arguments.
        kwargs: named arguments.
        ignored: names of arguments that do not matter.

    Returns:
        The architecture, and the plain arguments that differ from their defaults. What is not
        plain, such as a data loader or a device, is taken to be the same in every call.

    Raises:
        TypeError: the function cannot be called like that; what Python itself would say.
    """
    bound = form.bind(*args, **kwargs)
    names = list(bound.arguments)
    first = next(iter(form.parameters))
    arch = bound.arguments[first]
    if form.parameters[first].kind is Parameter.VAR_POSITIONAL:
        arch = arch[0]
    rest: dict[str, Any] = {}
    for name in names:
        parameter = form.parameters[name]
        if name == first:
            continue
        many = parameter.kind is Parameter.VAR_KEYWORD
        given = bound.arguments[name]
        for key, value in given.items() if many else ((name, given),):
            if key in ignored or (value is parameter.default and not many):
                continue
            try:
                found = plain(value)
            except NotPlainError:
                continue
            if many or found != parameter.default:
                rest[key] = found
    return arch, rest


def called_again(
    form: Signature, args: Sequence[Any], kwargs: Mapping[str, Any], arch: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call with another architecture in the place of its own."""
    bound = form.bind(*args, **kwargs)
    first = next(iter(form.parameters))
    if form.parameters[first].kind is Parameter.VAR_POSITIONAL:
        arch = (arch, *bound.arguments[first][1:])
    bound.arguments[first] = arch
    return bound.args, bound.kwargs


def signature_of(function: Callable[..., Any]) -> Signature:
    """Signature of a training function.

    Raises:
        InvalidSettingError: it takes no argument.
    """
    form = signature(function)
    if not form.parameters:
        raise InvalidSettingError(
            f"{getattr(function, '__name__', function)!s}() takes no architecture; its first "
            "argument has to be one"
        )
    return form


def leaves(value: Any, path: str = "") -> dict[str, float | str]:
    """Numbers and texts of a plain value, by their place in it; NaN and None are left out."""
    if isinstance(value, bool):
        return {path: float(value)}
    if isinstance(value, (int, float)):
        return {path: float(value)} if math.isfinite(value) else {}
    if isinstance(value, str):
        return {path: value}
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    found: dict[str, float | str] = {}
    for key, item in items:
        found |= leaves(item, f"{path}.{key}" if path else str(key))
    return found
