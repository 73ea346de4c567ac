"""The neural tangent kernel of a mini-batch: how alike samples are to gradient descent."""

from __future__ import annotations

import torch
from torch import Tensor

from archcast.zero_cost._lab import Lab
from archcast.zero_cost.proxies._samples import each_weight, unlinked


def ntk_condition(lab: Lab) -> Tensor:
    """(G,) −log κ(Θ), κ the largest over the smallest eigenvalue of the (B, B) kernel Θ = J Jᵀ.

    Rows of J are the gradients, by all weights, of the sum of a sample's outputs. Batch norms
    shift and scale by the mini-batch's statistics as constants, so that a sample's gradient is its
    own and one backward pass is enough. In float64; eigenvalues below B ε of the largest, ε
    float32's precision, count as that, because gradients are no more precise.

    Reference:
        Chen et al., "Neural Architecture Search on ImageNet in Four GPU Hours: A Theoretically
        Inspired Perspective", ICLR 2021.
    """
    values = torch.linalg.eigvalsh(kernels(lab)).cpu()
    least = values[:, -1] * values.shape[1] * torch.finfo(torch.float32).eps
    found = -(values[:, -1] / torch.maximum(values[:, 0], least)).log()
    for a in (values[:, -1] <= 0).nonzero().flatten().tolist():
        lab.refuse(a, "outputs do not depend on any weight")
        found[a] = float("nan")
    return found


def kernels(lab: Lab) -> Tensor:
    """(G, B, B) neural tangent kernels of the summed outputs, float64."""
    samples = lab.data.samples
    found = torch.zeros(len(lab), samples, samples, dtype=torch.float64, device=lab.data.device)
    steps, outputs = unlinked(lab, "constant")
    total = torch.stack([result[0].sum() for result in outputs]).sum()
    for step, grads in each_weight(steps, total):
        products = grads.double() @ grads.double().transpose(1, 2)
        for k, ((a, _),) in enumerate(step.owners):
            found[a] += products[k]
    return found
