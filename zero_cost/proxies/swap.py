"""SWAP: how many different patterns over the samples the neurons of a network show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from archcast.zero_cost._execute import Step
from archcast.zero_cost._lab import Observer
from archcast.zero_cost._program import ACTIVATIONS, Program
from archcast.zero_cost.proxies.activations import codes

#: Samples whose bits a float32 sum holds exactly.
_EXACT = 24
#: Samples that one 64-bit number tells apart without hashing.
_WORD = 63


class SWAP(Observer):
    """Number of different rows of the (neurons, samples) matrix of activation codes.

    Each neuron's row is one 64-bit number: its bits for up to 63 samples, hashed words beyond
    (two of a million patterns are then taken for one with a chance of 3e-8).

    There are 2^B patterns of B samples and no more: where all occur, the score says nothing of the
    network, and is none. It is squeezed long before, so give samples in plenty.

    Reference:
        Peng et al., "SWAP-NAS: Sample-Wise Activation Patterns for Ultra-fast NAS", ICLR 2024.
    """

    def __init__(self, programs: Sequence[Program]) -> None:
        super().__init__(programs)
        self.counts = [0] * len(programs)
        self._samples = 0
        self._rows: list[list[Tensor]] = [[] for _ in programs]
        self._left = [sum(s.op in ACTIVATIONS for s in p.instructions) for p in programs]
        for a, left in enumerate(self._left):
            if not left:
                self.reasons[a] = "no activation function"

    def see(self, step: Step) -> None:
        """Note the patterns of an activation; count those of networks that are through."""
        found = codes(step)
        if found is None:
            return
        self._samples = found.shape[1]
        for row, owners in zip(words(found), step.owners, strict=True):
            found_words = different(row)
            for a, _ in owners:
                self._rows[a].append(found_words)
                self._left[a] -= 1
                if not self._left[a]:  # 8 bytes a neuron: counted before the next are made
                    self.counts[a] = different(torch.cat(self._rows[a])).numel()
                    self._rows[a] = []

    def scores(self) -> Tensor:
        """(G,) counts; NaN without activations, or where all patterns occur."""
        for a, count in enumerate(self.counts):
            if self._samples and count == 2**self._samples:
                self.reasons[a] = f"all 2^{self._samples} patterns occur: give more samples"
        found = torch.tensor(self.counts, dtype=torch.float64)
        found[list(self.reasons)] = float("nan")
        return found


class RegularisedSWAP(SWAP):
    """log(SWAP) − (params − μ)² / σ, with weights in millions: networks of a wanted size.

    The publication multiplies by the exponential, which is 0 for all networks some σ away from μ;
    the logarithm ranks alike and further. μ and σ are a choice: subclass to set them.

    Attributes:
        mean: μ, millions of weights.
        spread: σ.

    Reference:
        Peng et al., "SWAP-NAS: Sample-Wise Activation Patterns for Ultra-fast NAS", ICLR 2024.
    """

    mean: ClassVar[float] = 1.5
    spread: ClassVar[float] = 1.5

    def scores(self) -> Tensor:
        """(G,) scores; NaN where SWAP has none."""
        sizes = [float(program.graph.op_weights.sum()) for program in self.programs]
        off = torch.tensor(sizes, dtype=torch.float64) / 1e6 - self.mean
        return super().scores().log() - off.square() / self.spread


def words(found: Tensor) -> Tensor:
    """(K, B, neurons) codes of 0 and 1 to (K, neurons) int64, equal where all samples agree."""
    total = found.new_zeros(found.shape[0], found.shape[2], dtype=torch.int64)
    powers = 2.0 ** torch.arange(_EXACT, dtype=found.dtype, device=found.device)
    used = 0
    for part in found.split(_EXACT, 1):
        size = part.shape[1]
        bits = (powers[:size] @ part).to(torch.int64)
        if used + size > _WORD:
            total = mixed(total)
            used = 0
        total = total ^ bits << used if used else total ^ bits
        used += size
    return total


def mixed(x: Tensor) -> Tensor:
    """A bijection of 64-bit numbers that spreads every bit over all."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = x ^ (x >> shift & ((1 << 64 - shift) - 1))
        x = x * (factor - (1 << 64))
    return x ^ (x >> 31 & ((1 << 33) - 1))


def different(x: Tensor) -> Tensor:
    """The different numbers, sorted; on a CPU numpy's sort is an order of magnitude faster."""
    if x.device.type != "cpu":
        return torch.unique(x)
    import numpy as np

    found = np.sort(x.numpy())
    new = np.concatenate([[True], found[1:] != found[:-1]])
    return torch.from_numpy(found[new])
