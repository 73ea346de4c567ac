"""ZiCo: how large gradients are against how much they change from one mini-batch to the next."""

from __future__ import annotations

from torch import Tensor

from archcast.zero_cost._lab import Lab
from archcast.zero_cost.proxies.gradients import summed

#: Mini-batches that means and deviations are taken over.
PARTS = 2


def zico(lab: Lab) -> Tensor:
    """(G,) Σ_l log Σ_w E|g| / σ(g), over the two halves of the mini-batch.

    Weights whose gradient is the same in both halves do not count, nor does a layer that has no
    others. Each half has its own batch statistics.

    Reference:
        Li et al., "ZiCo: Zero-Shot NAS via Inverse Coefficient of Variation on Gradients", ICLR
        2023.
    """
    if lab.data.samples < PARTS:
        for a in range(len(lab)):
            lab.refuse(a, f"compares mini-batches: give at least {PARTS} samples")
        return summed(lab, ()) * float("nan")
    halves = [
        Lab(lab.programs, lab.weights, data, width=lab.width, differentiate=True)
        for data in lab.data.split(PARTS)
    ]
    first, second = (half.gradients for half in halves)
    pairs = zip(first, second, strict=True)
    return summed(lab, ((step, _contrast(g, h)) for (step, g, _), (_, h, _) in pairs))


def _contrast(first: Tensor, second: Tensor) -> Tensor:
    """(K,) log Σ_w E|g| / σ(g) of two gradients (K, …)."""
    size = (first.abs() + second.abs()).flatten(1).double()
    spread = (first - second).abs().flatten(1).double()
    ratio = (size / spread).where(spread > 0, 0.0).sum(1)
    return ratio.log().where(ratio > 0, 0.0)
