"""MeCo: how far a layer's channels are from being combinations of one another, for one sample."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import ClassVar

import torch
from torch import Tensor

from archcast.zero_cost._execute import Step
from archcast.zero_cost._lab import Observer
from archcast.zero_cost._program import Program
from archcast.zero_cost.proxies._spectra import (
    Pending,
    correlation,
    first_samples,
    least_eigenvalue,
)


class MeCo(Observer):
    """Σ over weighted nodes of λ_min of the Pearson correlation of the first sample's channels.

    The publication hooks every module, containers included; here what a batch norm follows counts
    once, for it changes no correlation. Of more channels than positions one is a combination of the
    others: λ_min is 0, and nothing is computed.

    Reference:
        Jiang et al., "MeCo: Zero-Shot NAS with One Data and Single Forward Pass via Minimum
        Eigenvalue of Correlation", NeurIPS 2023.
    """

    samples: ClassVar[int | None] = 1
    #: Channels looked at in a layer, at most.
    channels: ClassVar[int | None] = None

    def __init__(self, programs: Sequence[Program]) -> None:
        super().__init__(programs)
        self._pending = Pending(len(programs), least_eigenvalue)
        self._seen = torch.zeros(len(programs), dtype=torch.bool)

    def see(self, step: Step) -> None:
        """Take note of the features of a weighted node."""
        if step.instruction.weight is None or step.instruction.op == "embedding":
            return
        features = first_samples(step.split(step.raw))
        count, positions = features.shape[1:]
        if count == 1 or positions == 1:
            return
        rows = [[a for a, _ in owners] for owners in step.owners]
        for found in rows:
            self._seen[found] = True
        factor = 1.0
        if self.channels and count > self.channels:
            features = features[:, _some(count, self.channels)]
            factor = count / self.channels
        if features.shape[1] < positions:
            self._pending.add(correlation(features), [(found, factor) for found in rows])

    def scores(self) -> Tensor:
        """(G,) sums; NaN where no features are a matrix."""
        for a in (~self._seen).nonzero().flatten().tolist():
            self.reasons[a] = "no weighted layer with several channels and positions"
        return torch.where(self._seen, self._pending.sums(), float("nan"))


class MeCoOpt(MeCo):
    """MeCo on eight channels of each layer, by chance but always the same, times C / 8.

    Cheaper, and not 0 for layers of more channels than positions.
    """

    channels: ClassVar[int | None] = 8


def _some(count: int, wanted: int) -> Tensor:
    """Indices of some of so many channels."""
    digest = blake2b(f"{count}/{wanted}".encode(), digest_size=7).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "little"))
    return torch.randperm(count, generator=generator)[:wanted]
