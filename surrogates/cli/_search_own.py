"""What people bring to ``archcast search``: spaces and training functions of their own."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from archcast.cli._inputs import UsageError
from archcast.encoders.spaces import Space, get_space
from archcast.search.evaluation import Evaluate

__all__ = ["find_function", "find_space"]


def find_space(name: str) -> Space[Any]:
    """A space by name, or ``module:object`` for one of a person's own.

    Raises:
        InvalidSpecError: no such space.
        UsageError: nothing of that name, or it is no space.
    """
    if ":" not in name:
        return get_space(name)
    found = _object(name, "--space")
    found = found() if isinstance(found, type) else found
    if not isinstance(found, Space):
        raise UsageError(f"--space {name}: it is a {type(found).__name__}, not a Space")
    return found


def find_function(name: str, shares: bool = False) -> Evaluate:
    """The training function ``module:name``.

    Args:
        name: of a function of the architecture's text, and of the share of the full training if
            it takes two arguments.
        shares: whether it must take that share, because the strategy asks for short trainings.

    Raises:
        UsageError: it is not there, or cannot be called like that.
    """
    if ":" not in name:
        raise UsageError(f"--train-with {name}: name it as module:function")
    found = _object(name, "--train-with")
    if not callable(found):
        raise UsageError(f"--train-with {name}: it is a {type(found).__name__}, not a function")
    function: Callable[..., Any] = found
    try:
        signature = inspect.signature(function)
    except ValueError:  # some builtins tell none
        return lambda spec, _fidelity: function(spec)
    for arguments in (("", 1.0),) if shares else (("", 1.0), ("",)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return function if len(arguments) == 2 else lambda spec, _fidelity: function(spec)
    what = "the share of the full training, for this strategy asks for short ones"
    raise UsageError(
        f"--train-with {name}: it takes an architecture and "
        f"{what if shares else 'at most the share of the full training beside it'}"
    )


def _object(name: str, option: str) -> Any:
    module, _, attribute = name.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path:  # as python -m would have it
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        if error.name is not None and module.startswith(error.name):
            raise UsageError(f"{option} {name}: no module is called {module!r}") from error
        raise UsageError(f"{option} {name}: {module} cannot be imported: {error}") from error
    except Exception as error:  # a person's own module may raise anything
        told = f"{type(error).__name__}: {error}"
        raise UsageError(f"{option} {name}: {module} cannot be imported: {told}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{option} {name}: {module} has no {attribute!r}")
        found = getattr(found, part)
    return found
