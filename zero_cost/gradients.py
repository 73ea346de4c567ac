"""Saliencies: sums over weights of what one backward pass of the loss says of them."""

from __future__ import annotations

import torch
from torch import Tensor

from archcast.zero_cost._lab import Lab


def grad_norm(lab: Lab) -> Tensor:
    """(G,) Σ_l ‖∂L/∂W_l‖₂ (Abdelfattah et al., ICLR 2021)."""
    return lab.total((step, grad.flatten(1).norm(dim=1)) for step, grad, _ in lab.gradients)


def snip(lab: Lab) -> Tensor:
    """(G,) Σ |W ⊙ ∂L/∂W| (Lee et al., ICLR 2019)."""
    return lab.total(
        (step, (_weights(step.weight) * grad).abs().flatten(1).sum(1))
        for step, grad, _ in lab.gradients
    )


def _weights(weight: Tensor | None) -> Tensor:
    assert weight is not None
    return weight.detach()


def l2_norm(lab: Lab) -> Tensor:
    """(G,) Σ_l ‖W_l‖₂ (Abdelfattah et al., ICLR 2021)."""
    found = []
    for program in lab.programs:
        keys = [program.instructions[i].weight for i in program.weighted]
        norms = [lab.weights(key).norm() for key in keys if key]
        found.append(torch.stack(norms).sum() if norms else torch.tensor(0.0))
    return torch.stack(found).double().cpu()
