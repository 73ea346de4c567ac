"""Zen-score: how far a small change of the input moves the features, norms taken out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from archcast.zero_cost._data import Data
from archcast.zero_cost._execute import Source, Step
from archcast.zero_cost._lab import Lab, LayerSum
from archcast.zero_cost._program import Program
from archcast.zero_cost._weights import Weights

#: α, size of the change of the input.
CHANGE: Final = 1e-2
#: Added to the seed for noise that is independent of the data.
_OTHER: Final = 1 << 40


def zen(lab: Lab) -> Tensor:
    """(G,) log E‖f(x) − f(x + αε)‖₁ + Σ over batch norms of log √(mean of variances).

    f are the features that the head pools, weights standard normal whatever the lab's
    initialisation, x its data, ε drawn as inputs are where nobody gives any (:class:`Data`), α =
    0.01; two forward passes. NaN for token ids, which cannot be changed a little.

    Reference:
        Lin et al., "Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition", ICCV 2021.
        The norm is the sum over a sample's features, as in NAS-Bench-Suite-Zero.
    """
    for a, program in enumerate(lab.programs):
        if program.token_inputs:
            lab.refuse(a, "token ids cannot be changed a little")
    weights = Weights(lab.weights.seed, "normal", lab.data.device, lab.weights.dtype)
    norms = _Deviations(lab.programs)
    before, after = _Features(lab.programs), _Features(lab.programs)

    def first(step: Step) -> None:
        norms.see(step)
        before.see(step)

    with torch.inference_mode():
        lab.run(weights=weights, observe=first)
        lab.run(weights=weights, source=changed(lab.data), observe=after.see)
    moved = [
        (x - y).abs().flatten(1).sum(1).double().mean().log().cpu()
        for x, y in zip(before.found, after.found, strict=True)
    ]
    refused = torch.tensor([bool(program.token_inputs) for program in lab.programs])
    total = torch.stack(moved) + norms.scores().nan_to_num()  # without norms there is no such term
    return torch.where(refused, float("nan"), total)


def changed(data: Data) -> Source:
    """The data with a little noise on each network's first input."""
    noise = Data(data.samples, data.seed + _OTHER, device=data.device, dtype=data.dtype)

    def source(program: Program, node: int) -> Tensor:
        x = data(program, node)
        if node != program.inputs[0] or not x.is_floating_point():
            return x
        return x + CHANGE * noise(program, node)

    return source


class _Deviations(LayerSum):
    """Σ over batch norms of log √(mean over channels of the variances)."""

    def layer(self, step: Step) -> Tensor | None:
        if not step.instruction.norm:
            return None
        return step.deviation.double().square().mean(1).log() / 2


class _Features:
    """Keeps each architecture's features, (B, channels, *positions)."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self._nodes = [program.features for program in programs]
        self.found: list[Tensor] = [torch.empty(0)] * len(self._nodes)

    def see(self, step: Step) -> None:
        for value, owners in zip(step.values, step.owners, strict=True):
            for a, node in owners:
                if node == self._nodes[a]:
                    self.found[a] = value
