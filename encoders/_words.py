"""What people gave, in the words of an error."""

from __future__ import annotations

from typing import Any

__all__ = ["cut", "shown"]


def shown(value: Any, most: int = 100) -> str:
    """A value as an error shows it: on one line, and no longer than that.

    The ``repr`` of a network, where a text was wanted, has hundreds of lines.

    Args:
        value: anything at all.
        most: characters.
    """
    try:
        text = repr(value)
    except Exception:  # a class of somebody else's
        text = f"<{type(value).__name__}>"
    # Spaces of a text count; those of a repr of several lines only indent.
    return cut(text if isinstance(value, str) else " ".join(text.split()), most)


def cut(text: str, most: int) -> str:
    """A text, or its beginning and dots."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
