"""Types shared by the readers."""

from collections.abc import Mapping, Sequence

#: A shape for the first input, or input name -> shape.
InputShape = Sequence[int] | Mapping[str, Sequence[int]]
