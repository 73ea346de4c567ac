"""One execution of an instruction."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from archcast.zero_cost._program import Instruction


@dataclass(frozen=True)
class Call:
    """One execution of an instruction.

    Attributes:
        step: what to do.
        copies: K, how many architectures stand in the batch.
        weight: shared weights, or (K, …) separate ones.
        separate: which of the two.
    """

    step: Instruction
    copies: int = 1
    weight: Tensor | None = None
    separate: bool = False
