"""Saliencies: what one backward pass of the loss says of the weights.

All of them read :attr:`Lab.gradients`, so any number of them costs one backward pass; grasp adds a
forward pass with four times the samples. Weights are those of convolutions, linear, recurrent and
embedding layers; norms and biases have none. An architecture without such layers has no score.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from archcast.zero_cost._execute import Mode, Step
from archcast.zero_cost._lab import Lab
from archcast.zero_cost.proxies._mixed import (
    QUAD,
    Mixed,
    binary_cross_entropy,
    cross_entropy,
    quads,
)


def grad_norm(lab: Lab) -> Tensor:
    """(G,) Σ_l ‖∂L/∂W_l‖₂.

    Reference:
        Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021.
    """
    return summed(lab, ((step, grad.flatten(1).norm(dim=1)) for step, grad, _ in lab.gradients))


def snip(lab: Lab) -> Tensor:
    """(G,) Σ |W ⊙ ∂L/∂W|.

    Reference:
        Lee et al., "SNIP: Single-Shot Network Pruning Based on Connection Sensitivity", ICLR 2019.
    """
    return summed(
        lab,
        ((step, (weights(step) * grad).abs().flatten(1).sum(1)) for step, grad, _ in lab.gradients),
    )


def plain(lab: Lab) -> Tensor:
    """(G,) Σ W ⊙ ∂L/∂W.

    A layer that a batch norm follows gives nothing: the loss does not change with its scale. So
    this is about the layers without a norm, and near zero for most networks.

    Reference:
        Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021.
    """
    return summed(
        lab, ((step, (weights(step) * grad).flatten(1).sum(1)) for step, grad, _ in lab.gradients)
    )


def grasp(lab: Lab) -> Tensor:
    """(G,) −Σ W ⊙ (H g), H the loss's Hessian by all weights, g its gradient.

    That is the derivative of the loss by s and t where weights are W + s W + t g, which forward
    passes of quads give (:mod:`archcast.zero_cost.proxies._mixed`); no gradient's graph is kept.

    Reference:
        Wang et al., "Picking Winning Tickets Before Training by Preserving Gradient Flow", ICLR
        2020.
    """
    directions = {
        owners[0]: grad[k].detach()
        for step, grad, _ in lab.gradients
        for k, owners in enumerate(step.owners)
    }
    found = summed(lab, ())
    if not directions:
        return found
    mode = Mode(norm=False, separate=True, width=lab.width, replace=Mixed(directions))
    with torch.no_grad():
        outputs = lab.run(source=quads(lab.data), mode=mode)
        for a, results in enumerate(outputs):
            found[a] -= _mixed_loss(lab, results[0].unflatten(0, (QUAD, -1))).cpu()
    return found


def _mixed_loss(lab: Lab, logits: Tensor) -> Tensor:
    """() derivative of the loss by both parameters of its logits (4, B, classes, *positions)."""
    classes, positions = logits.shape[2], logits.shape[3:]
    flat = logits.flatten(3).double()
    target = lab.targets(classes, positions)
    if classes == 1:
        return binary_cross_entropy(flat, target.reshape(flat.shape[1:]))
    return cross_entropy(flat, target.reshape(flat.shape[1], -1))


def fisher(lab: Lab) -> Tensor:
    """(G,) ½ Σ over layers and channels of fan-in · E over samples of (Σ_positions a · ∂L/∂a)².

    Activations a are what leaves a layer, before its norm. A channel counts as often as it has
    weights, because published scores spread its number over them before they sum.

    Reference:
        Turner et al., "BlockSwap: Fisher-Guided Block Substitution for Network Compression on a
        Budget", ICLR 2020; as computed in NAS-Bench-Suite-Zero.
    """

    def channels(step: Step, flow: Tensor) -> Tensor:
        assert step.instruction.weight is not None
        return flow.square().mean(1).sum(1) / 2 * step.instruction.weight.fan_in

    return summed(lab, ((step, channels(step, flow)) for step, _, flow in lab.gradients))


def l2_norm(lab: Lab) -> Tensor:
    """(G,) Σ_l ‖W_l‖₂.

    Reference:
        Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021.
    """
    norms = {
        key: lab.weights(key).norm().double()
        for program in lab.programs
        for i in program.weighted
        if (key := program.instructions[i].weight)
    }
    found = summed(lab, ())
    for a, program in enumerate(lab.programs):
        for i in program.weighted:
            key = program.instructions[i].weight
            found[a] += norms[key].cpu() if key else 0.0
    return found


def weights(step: Step) -> Tensor:
    """(K, …) weights of a call, as numbers."""
    assert step.weight is not None
    return step.weight.detach()


def summed(lab: Lab, parts: Iterable[tuple[Step, Tensor]]) -> Tensor:
    """(G,) sums over calls; NaN and a reason for an architecture that trains nothing."""
    found = lab.total((step, values.detach()) for step, values in parts)
    for a, program in enumerate(lab.programs):
        if not program.weighted:
            lab.refuse(a, "no weights to train")
            found[a] = float("nan")
    return found
