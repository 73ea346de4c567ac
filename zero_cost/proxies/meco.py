"""MeCo: how far a layer's channels are from being combinations of one another, for one sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from archcast.zero_cost._execute import Step
from archcast.zero_cost._program import Program
from archcast.zero_cost._seeded import seeded
from archcast.zero_cost.proxies._spectra import FeatureSum, correlation, least_eigenvalue


class MeCo(FeatureSum):
    """Σ over weighted nodes of λ_min of the Pearson correlation of the first sample's channels.

    The publication hooks every module, containers included; here what a batch norm follows counts
    once, for it changes no correlation. Of more channels than positions one is a combination of the
    others: λ_min is 0, and nothing is computed.

    Reference:
        Jiang et al., "MeCo: Zero-Shot NAS with One Data and Single Forward Pass via Minimum
        Eigenvalue of Correlation", NeurIPS 2023.
    """

    #: Channels looked at in a layer, at most.
    channels: ClassVar[int | None] = None

    def __init__(self, programs: Sequence[Program]) -> None:
        super().__init__(programs, least_eigenvalue)

    def see(self, step: Step) -> None:
        """Take note of the features of a weighted node."""
        features = self.features(step, step.raw)
        if features is None:
            return
        count, positions = features.shape[1:]
        factor = 1.0
        if self.channels and count > self.channels:
            features = features[:, _some(count, self.channels)]
            factor = count / self.channels
        if features.shape[1] < positions:
            self.count(step, correlation(features), factor)


class MeCoOpt(MeCo):
    """MeCo on eight channels of each layer, by chance but always the same, times C / 8.

    Cheaper, and not 0 for layers of more channels than positions.
    """

    channels: ClassVar[int | None] = 8


def _some(count: int, wanted: int) -> Tensor:
    """Indices of some of so many channels."""
    return torch.randperm(count, generator=seeded(f"{count}/{wanted}"))[:wanted]
