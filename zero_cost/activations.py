"""Proxies that look at what neurons do with a mini-batch: codes, patterns, correlations."""

from __future__ import annotations

import torch
from torch import Tensor

from archcast.zero_cost._execute import Step
from archcast.zero_cost._lab import LayerSum
from archcast.zero_cost._program import ACTIVATIONS


def codes(step: Step) -> Tensor | None:
    """(K, B, neurons) whether what enters an activation is positive; None for other operators."""
    if step.instruction.op not in ACTIVATIONS:
        return None
    return step.split(step.inputs[0]).flatten(2) > 0


class NWOT(LayerSum):
    """log |det K|, K the sum over activations of the agreements of the samples' codes.

    With codes c (B, neurons), K = c cᵀ + (1 − c)(1 − c)ᵀ (Mellor et al., ICML 2021). Activations
    other than ReLU count by the sign of what enters them.
    """

    lacks = "no activation function"

    def layer(self, step: Step) -> Tensor | None:
        """(K, B, B) agreements."""
        found = codes(step)
        if found is None:
            return None
        c = found.to(torch.float32) * 2 - 1  # agreements minus disagreements, exact in float32
        return (c @ c.transpose(1, 2) + c.shape[2]).to(torch.float64) / 2

    def finish(self, total: Tensor) -> Tensor:
        """(G,) log-determinants."""
        return torch.linalg.slogdet(total).logabsdet
