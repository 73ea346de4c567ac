"""Search spaces: from a cell's text to the graph of the full network, without torch."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces._base import Space
from archcast.encoders.spaces.nasbench101 import NASBench101
from archcast.encoders.spaces.nasbench201 import NASBench201

__all__ = ["SPACES", "NASBench101", "NASBench201", "Space", "get_space", "recognise", "register"]

#: Space name -> space.
SPACES: dict[str, Space[Any]] = {}


def register(space: Space[Any]) -> Space[Any]:
    """Make a space known by its name to :func:`get_space` and :func:`recognise`."""
    SPACES[space.name] = space
    return space


def get_space(name: str) -> Space[Any]:
    """The space of that name.

    Raises:
        InvalidSpecError: no such space is registered.
    """
    if name not in SPACES:
        close = get_close_matches(name, SPACES, 1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(SPACES)}"
        raise InvalidSpecError(f"no search space is called {name!r}{hint}")
    return SPACES[name]


def recognise(text: str) -> tuple[Space[Any], str] | None:
    """Tell which space a text belongs to.

    Args:
        text: ``<space>:<specification>``, or a specification that only one space has.

    Returns:
        The space, and the specification without prefix (not checked); None if it is no text of
        a known space.
    """
    prefix, colon, rest = text.strip().partition(":")
    if colon and prefix in SPACES:
        return SPACES[prefix], rest
    return next(((s, text.strip()) for s in SPACES.values() if s.owns(text.strip())), None)


register(NASBench101())
register(NASBench201())
