"""Gradients of each sample on its own.

Batch norms tie samples together, so a sample has a gradient of its own only where they are no
functions of the mini-batch: :func:`unlinked` runs networks whose norms are constants, or absent.
One backward pass then gives what each sample does to the outputs of every layer, and
:func:`of_weights` what follows for the weights, a layer at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Literal

import torch
from torch import Tensor

from archcast.zero_cost._execute import Mode, Step
from archcast.zero_cost._lab import Lab
from archcast.zero_cost._operators import EPS, Call, apply


def unlinked(
    lab: Lab, norms: Literal["constant", "absent"]
) -> tuple[list[Step], list[list[Tensor]]]:
    """A forward pass in which samples do not depend on one another.

    Args:
        lab: G architectures.
        norms: batch norms shift and scale by the mini-batch's statistics, taken as constants, or
            pass what they get.

    Returns:
        All calls, each architecture with its own weights; results for each architecture.
    """
    steps: list[Step] = []
    mode = Mode(
        norm=False,
        separate=True,
        width=lab.width,
        replace=_standardised if norms == "constant" else None,
    )
    with torch.enable_grad():
        outputs = lab.run(mode=mode, observe=steps.append)
    return steps, outputs


def _standardised(step: Step) -> Tensor:
    """The result with the norm that follows, its statistics being constants."""
    if not step.instruction.norm:
        return step.value
    parts = step.values
    if parts.shape[1] * prod(parts.shape[3:]) == 1:
        return step.value
    axes = (1, *range(3, parts.dim()))
    variance, mean = torch.var_mean(parts.detach(), axes, correction=0, keepdim=True)
    return ((parts - mean) * torch.rsqrt(variance + EPS)).flatten(0, 1)


def weighted(steps: list[Step]) -> list[Step]:
    """Calls with weights that outputs depend on."""
    return [step for step in steps if step.weight is not None and step.raw.requires_grad]


def of_weights(step: Step, grad: Tensor) -> Tensor:
    """(K, B, weights) gradients by the weights of a call, a sample at a time.

    Args:
        step: K copies of a call.
        grad: (K·B, channels, *positions) gradient by ``raw``.
    """
    assert step.weight is not None
    samples = grad.shape[0] // step.copies
    # Each sample as a copy of its own: what the operators do for several architectures.
    own = step.weight.detach().repeat_interleave(samples, 0).requires_grad_()
    with torch.enable_grad():
        call = Call(step.instruction, step.copies * samples, own, separate=True)
        raw = apply(call, [x.detach() for x in step.inputs])
    (found,) = torch.autograd.grad(raw, own, grad)
    return found.reshape(step.copies, samples, -1)


def each_weight(steps: list[Step], total: Tensor) -> Iterator[tuple[Step, Tensor]]:
    """Calls with the (K, B, weights) gradients of a total of all samples.

    Args:
        steps: calls of :func:`unlinked`.
        total: sum of what each sample gives.
    """
    found = weighted(steps)
    if not found or not total.requires_grad:
        return
    grads = torch.autograd.grad(
        total, [step.raw for step in found], retain_graph=True, materialize_grads=True
    )
    for step, grad in zip(found, grads, strict=True):
        yield step, of_weights(step, grad)
