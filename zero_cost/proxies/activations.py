"""Proxies of activation codes: which neurons are on for which samples of a mini-batch."""

from __future__ import annotations

import torch
from torch import Tensor

from archcast.zero_cost._execute import Step
from archcast.zero_cost._lab import LayerSum
from archcast.zero_cost._program import ACTIVATIONS, Program


def codes(step: Step) -> Tensor | None:
    """(K, B, neurons) 1 where what enters an activation is positive, else 0; float32.

    Neurons come in the order of memory, so nothing is copied but the codes themselves. None for
    operators that are no activation.
    """
    if step.instruction.op not in ACTIVATIONS:
        return None
    x = step.inputs[0].detach()
    flat = step.split(x.movedim(1, -1) if x.stride(1) == 1 else x).flatten(2)
    if flat.dtype != torch.float32:
        return (flat > 0).to(torch.float32)
    return torch.gt(flat, 0, out=torch.empty(flat.shape, dtype=flat.dtype, device=flat.device))


class NWOT(LayerSum):
    """log |det K|, K the sum over activations of the agreements of the samples' codes.

    With codes c (B, neurons), K = c cᵀ + (1 − c)(1 − c)ᵀ (Mellor et al., ICML 2021). Activations
    other than ReLU count by the sign of what enters them. Two samples that agree everywhere leave
    K singular: there is no score.

    An activation counts once for each layer that reads it. In the cells that publications score
    every convolution has a ReLU of its own; in a canonical graph equal ReLUs are one.
    """

    lacks = "no activation function"

    def times(self, program: Program, node: int) -> int:
        """Layers that read the activation; at least one."""
        readers = program.consumers[node]
        return max(sum(program.instructions[i].weight is not None for i in readers), 1)

    def layer(self, step: Step) -> Tensor | None:
        """(K, B, B) agreements: whole numbers, exact for fewer than 2²⁴ neurons a layer."""
        c = codes(step)
        if c is None:
            return None
        both = (c @ c.transpose(1, 2)).to(torch.float64)
        on = both.diagonal(dim1=1, dim2=2)
        return 2 * both - on[:, :, None] - on[:, None, :] + c.shape[2]

    def finish(self, total: Tensor) -> Tensor:
        """(G,) log-determinants."""
        return torch.linalg.slogdet(total).logabsdet


class ActivationDistance(NWOT):
    """Σ K, the agreements of NWOT's kernel summed over all pairs of samples.

    Large where there are many neurons: despite its name it is higher for better networks, in its
    publication, too.

    Reference:
        Serianni & Kalita, "Training-free Neural Architecture Search for RNNs and Transformers",
        ACL 2023; after Mellor et al., ICML 2021.
    """

    def finish(self, total: Tensor) -> Tensor:
        """(G,) sums."""
        return total.sum((1, 2))
