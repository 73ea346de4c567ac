"""Architectures as NASLib's tables write them."""

from __future__ import annotations

import json
from typing import Any, Final

_BRACKETS: Final = str.maketrans("()", "[]")


def naslib_codes(text: str) -> list[Any]:
    """The numbers of a written tuple, such as ``(4, 0, 3, 1, 4, 3)``; inner tuples are lists."""
    return json.loads(text.translate(_BRACKETS))
