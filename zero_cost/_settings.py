"""``Settings`` of a scoring, and what is ``Found`` by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from archcast.zero_cost._weights import Initialisation


@dataclass(frozen=True)
class Settings:
    """What scores depend on, beside the architecture and the code.

    Attributes:
        samples: B, samples in the mini-batch.
        seed: of weights, inputs and labels.
        init: initialisation, see :class:`~archcast.zero_cost._weights.Weights`.
        device: ``cpu``, ``cuda``, ``cuda:1``, …
        batch: most architectures in one launch; None adapts it to the memory.
        memory: bytes to use; None takes half of what is free.
    """

    samples: int = 32
    seed: int = 0
    init: Initialisation = "kaiming"
    device: str = "cpu"
    batch: int | None = None
    memory: int | None = None


class Found(NamedTuple):
    """A score.

    Attributes:
        proxy: name of the proxy.
        place: which architecture.
        value: the score; NaN if there is none.
        reason: why there is none.
        lasting: whether it would be the same another day; not what failed for want of memory.
    """

    proxy: str
    place: int
    value: float
    reason: str = ""
    lasting: bool = True
