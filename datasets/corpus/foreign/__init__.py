"""Networks that are only known as somebody's Python source, recorded without trusting it.

The source runs in a process of its own, confined by the kernel before its first line; what comes
back is a recording of operators as plain data, checked on arrival.
"""

from __future__ import annotations

from archcast.datasets.foreign._process import Converted, ForeignCode
from archcast.datasets.foreign._sandbox import Limits

__all__ = ["Converted", "ForeignCode", "Limits"]
