"""Training-free scores that came later, in the way their authors run them: one network at a time.

Hooks stand on every module, containers included: a layer in a ``Sequential`` counts twice. Only the
batch's first image counts for MeCo and Dextr; norms use the statistics of the batch that is given,
and the publications give one image.
"""

from __future__ import annotations

import math

import torch
from _plain_parts import gradients, hooked, weights
from torch import Tensor, nn

#: Output coordinates that Dextr's curvature is taken over, at most.
COORDINATES = 10


def meco(module: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Sum of the smallest eigenvalues of the features' channel correlations.

    Correlations that are not defined (a constant channel) are 0.

    Reference:
        Jiang et al., "MeCo: Zero-Shot NAS with One Data and Single Forward Pass via Minimum
        Eigenvalue of Correlation", NeurIPS 2023.
    """
    total = 0.0

    def add(_: nn.Module, __: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        channels = first_sample(out)
        if channels.shape[1] > 1:
            correlation = torch.atleast_2d(torch.corrcoef(channels)).nan_to_num(0.0)
            total += float(torch.linalg.eigvalsh(correlation)[0])

    with hooked(module, add), torch.no_grad():
        module.train()(inputs)
    return total


def dextr(module: nn.Module, inputs: Tensor, labels: Tensor, side: int = 64) -> float:
    """Harmonic-like mean of two logs: inverse condition numbers, and the outputs' curvature.

    Args:
        module: the network.
        inputs: (B, C, H, W) images, the first of which counts.
        labels: not used.
        side: height and width of the images on the curve, whatever the inputs'.

    Reference:
        Asthana et al., "Dextr: Zero-Shot Neural Architecture Search with Singular Value
        Decomposition and Extrinsic Curvature", TMLR 2025.
    """
    condition = math.log1p(inverse_conditions(module, inputs))
    bend = math.log1p(curvature(module, (inputs.shape[1], side, side)))
    score = condition * bend / (condition + bend) if condition + bend else 0.0
    return score if math.isfinite(score) else condition


def inverse_conditions(module: nn.Module, inputs: Tensor) -> float:
    """Sum over all modules of the smallest over the largest singular value of their features."""
    total = 0.0

    def add(_: nn.Module, __: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        values = torch.linalg.svdvals(first_sample(out))
        total += float((values[-1] / values[0]).nan_to_num(0.0))

    with hooked(module, add), torch.no_grad():
        module.train()(inputs)
    return total


def curvature(module: nn.Module, shape: tuple[int, int, int]) -> float:
    """Extrinsic curvature of the outputs where a random circle through input space begins.

    Args:
        module: the network.
        shape: channels, height and width of an image.

    Returns:
        The curvature; NaN where the outputs stand still.
    """
    circle = torch.linalg.svd(torch.randn(math.prod(shape), 2), full_matrices=False)[0]
    angle = torch.zeros(1, requires_grad=True)
    image = circle @ torch.cat([angle.cos(), angle.sin()])
    outputs = module.train()(image.reshape(1, *shape)).flatten()[:COORDINATES]
    speeds, bends = [], []
    for output in outputs:
        (speed,) = torch.autograd.grad(output, angle, create_graph=True)
        (bend,) = torch.autograd.grad(speed, angle, retain_graph=True)
        speeds.append(speed.detach())
        bends.append(bend)
    v, a = torch.cat(speeds), torch.cat(bends)
    return float((v @ v) ** -1.5 * ((v @ v) * (a @ a) - (v @ a) ** 2).sqrt())


def swap(
    module: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    mean: float | None = None,
    spread: float = 1.0,
) -> float:
    """How many different patterns over the batch the ReLUs' neurons show.

    Args:
        module: the network.
        inputs: (B, C, H, W) images.
        labels: not used.
        mean: parameters around which the score is highest, if it is to be regularised.
        spread: divides their squared distance.

    Reference:
        Peng et al., "SWAP-NAS: Sample-Wise Activation Patterns for Ultra-Fast NAS", ICLR 2024.
    """
    codes: list[Tensor] = []

    def keep(layer: nn.Module, _: tuple[Tensor, ...], out: Tensor) -> None:
        if isinstance(layer, nn.ReLU) and out.ndim == 4:
            codes.append((out > 0).flatten(1).T)

    with hooked(module, keep), torch.no_grad():
        module.train()(inputs)
    patterns = float(len(torch.unique(torch.cat(codes), dim=0)))
    if mean is None:
        return patterns
    size = sum(parameter.numel() for parameter in module.parameters())
    return patterns * math.exp(-((size - mean) ** 2) / spread)


def zico(module: nn.Module, inputs: Tensor, labels: Tensor, parts: int = 2) -> float:
    """Log of the sum of mean absolute gradient over its deviation, summed over layers.

    Args:
        module: the network.
        inputs: (B, C, H, W) images.
        labels: (B,) classes.
        parts: batches the images are split into; means and deviations are over these.

    Reference:
        Li et al., "ZiCo: Zero-shot NAS via Inverse Coefficient of Variation on Gradients",
        ICLR 2023.
    """
    batches = zip(inputs.chunk(parts), labels.chunk(parts), strict=True)
    found = [gradients(module, images, classes) for images, classes in batches]
    total = 0.0
    for layer in range(len(weights(module))):
        several = torch.stack([grads[layer] for grads in found])
        deviation = several.std(0, unbiased=False)
        ratio = several.abs().mean(0)[deviation > 0] / deviation[deviation > 0]
        if len(ratio):
            total += math.log(float(ratio.sum()))
    return total


def first_sample(features: Tensor) -> Tensor:
    """(C, positions) features of the first image; those without positions are one column."""
    return features[0].reshape(features.shape[1], -1)
