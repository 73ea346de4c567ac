"""The 13 classic training-free scores, one network and one score at a time, as people write them.

What our batched kernels are compared with, in numbers and in time. Each takes a module, a batch of
images (B, C, H, W) and their classes (B,), and gives a float; networks are in training mode (norms
use the batch's own statistics), the loss is cross-entropy. Layers are convolutions and linear
layers; only their weights count, biases and norms do not.

Reference:
    Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021; Krishnakumar et al.,
    "NAS-Bench-Suite-Zero", NeurIPS 2022; and what each function names.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import torch
from _plain_parts import (
    NORMS,
    gaussian_weights,
    gradients,
    hooked,
    jacobian,
    weights,
    without_norms,
)
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

Proxy = Callable[[nn.Module, Tensor, Tensor], float]


# ------------------------------------------------------------------------ weights alone
def params(module: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Parameters, biases and norms included."""
    return float(sum(p.numel() for p in module.parameters()))


def flops(module: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Operations for one image as published scores count them.

    A multiply-accumulate is one; a norm is two an element, a ReLU one, a pool its window. Sums of
    branches are free.
    """
    total = 0

    def count(layer: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += out[0].numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            total += layer.weight.numel()
        elif isinstance(layer, NORMS):
            total += 2 * out[0].numel()
        elif isinstance(layer, nn.ReLU):
            total += out[0].numel()
        elif isinstance(layer, nn.AvgPool2d):
            side = layer.kernel_size
            total += out[0].numel() * (side**2 if isinstance(side, int) else math.prod(side))
        elif isinstance(layer, nn.AdaptiveAvgPool2d):
            total += given[0][0].numel()

    with hooked(module, count), torch.no_grad():
        module.train()(inputs[:1])
    return float(total)


def l2_norm(module: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Sum of the layers' Euclidean norms."""
    return float(sum(weight.detach().norm() for weight in weights(module)))


# -------------------------------------------------------------------- gradients of weights
def grad_norm(module: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Sum of the layers' gradient norms."""
    return float(sum(grad.norm() for grad in gradients(module, inputs, labels)))


def snip(module: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Sum of |weight x gradient| (Lee et al., ICLR 2019)."""
    pairs = zip(weights(module), gradients(module, inputs, labels), strict=True)
    return float(sum((w.detach() * g).abs().sum() for w, g in pairs))


def plain(module: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Sum of weight x gradient (Mozer and Smolensky, 1988)."""
    pairs = zip(weights(module), gradients(module, inputs, labels), strict=True)
    return float(sum((w.detach() * g).sum() for w, g in pairs))


def grasp(module: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Minus the sum of weight x (Hessian times gradient) (Wang et al., ICLR 2020)."""
    layers = weights(module)
    loss = F.cross_entropy(module.train()(inputs), labels)
    first = torch.autograd.grad(loss, layers, create_graph=True, materialize_grads=True)
    product = sum((g.detach() * g).sum() for g in first)
    assert isinstance(product, Tensor)
    second = torch.autograd.grad(product, layers, materialize_grads=True)
    return -float(sum((w.detach() * h).sum() for w, h in zip(layers, second, strict=True)))


def fisher(module: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Half the squared sum over positions of activation x gradient (Turner et al., ICLR 2020).

    Activations are what leaves a layer, before its norm. The mean over the batch is summed over
    channels, each weighted by the weights that make it: published scores spread a channel's
    number over its weights before they sum.
    """
    found: list[tuple[nn.Module, Tensor]] = []

    def keep(layer: nn.Module, _: tuple[Tensor, ...], out: Tensor) -> None:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            found.append((layer, out))

    with hooked(module, keep):
        loss = F.cross_entropy(module.train()(inputs), labels)
    grads = torch.autograd.grad(loss, [out for _, out in found], materialize_grads=True)
    total = 0.0
    for (layer, out), grad in zip(found, grads, strict=True):
        channels = (out.detach() * grad).flatten(2).sum(2) if out.ndim > 2 else out.detach() * grad
        weight = layer.weight
        assert isinstance(weight, Tensor)
        total += float((channels**2).mean(0).sum()) / 2 * weight[0].numel()
    return total


def synflow(module: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Log of the sum of weight x gradient of the summed outputs (Tanaka et al., NeurIPS 2020).

    Absolute values for all parameters, one image of ones, no norms, float64.
    """
    linear = without_norms(copy.deepcopy(module)).double().train()
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter.abs_()
    layers = weights(linear)
    out = linear(torch.ones_like(inputs[:1], dtype=torch.float64)).sum()
    grads = torch.autograd.grad(out, layers, materialize_grads=True)
    return math.log(float(sum((w.detach() * g).sum() for w, g in zip(layers, grads, strict=True))))


# -------------------------------------------------------------------- gradients of inputs
def jacov(module: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """How unlike the images' Jacobians are (Mellor et al., "NAS without Training", version 1)."""
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(jacobian(module, inputs))) + 1e-5
    with np.errstate(invalid="ignore"):
        return -float((np.log(eigenvalues) + 1 / eigenvalues).sum())


def epe_nas(module: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Correlations of Jacobians inside each class (Lopes et al., ICANN 2021).

    With more than 100 classes their differences between classes count instead.
    """
    rows, outputs = jacobian(module, inputs), module(inputs[:2]).shape[-1]
    found = []
    for label in labels.unique().tolist():
        same = np.atleast_2d(np.corrcoef(rows[(labels == label).numpy()]))
        score = np.log(np.abs(same) + 1e-5).sum()
        found.append(score / len(same) if outputs > 100 else score)
    scores = np.array(found)
    if outputs > 100:
        return float(np.abs(scores[:, None] - scores).sum() / len(scores))
    return float(np.abs(scores).sum())


# ----------------------------------------------------------------------- activations alone
def nwot(module: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Log-determinant of how many ReLUs two images share (Mellor et al., ICML 2021)."""
    kernel = torch.zeros(len(inputs), len(inputs), dtype=torch.float64)

    def agree(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        if isinstance(layer, nn.ReLU):
            code = (given[0].flatten(1) > 0).float()
            kernel.add_(code @ code.T + (1 - code) @ (1 - code).T)

    # Before the layer runs, because it may run in place.
    with hooked(module, agree, before=True), torch.no_grad():
        module.train()(inputs)
    return float(torch.linalg.slogdet(kernel).logabsdet)


def zen(module: nn.Module, inputs: Tensor, labels: Tensor, shift: float = 0.01) -> float:
    """How far features move with the input, norms undone (Lin et al., "Zen-NAS", ICCV 2021).

    Gaussian weights and images; features are what enters global pooling. As published, a norm
    counts with its running variance after the two passes, that is with
    0.81 + 0.09 v1 + 0.1 v2 of the batches' variances.
    """
    gaussian = gaussian_weights(copy.deepcopy(module)).train()
    features: list[Tensor] = []

    def keep(layer: nn.Module, given: tuple[Tensor, ...], _: Tensor) -> None:
        if isinstance(layer, nn.AdaptiveAvgPool2d):
            features.append(given[0])

    first = torch.randn_like(inputs)
    with hooked(gaussian, keep), torch.no_grad():
        gaussian(first)
        gaussian(first + shift * torch.randn_like(inputs))
    moved = (features[0] - features[1]).abs().flatten(1).sum(1).mean()
    norms = [layer for layer in gaussian.modules() if isinstance(layer, nn.BatchNorm2d)]
    scale = sum(0.5 * float(n.running_var.mean().log()) for n in norms if n.running_var is not None)
    return float(moved.log()) + scale


#: Name -> score, in the order of the published tables.
CLASSIC: dict[str, Proxy] = {
    proxy.__name__: proxy
    for proxy in (
        *(epe_nas, fisher, flops, grad_norm, grasp, jacov, l2_norm),
        *(nwot, params, plain, snip, synflow, zen),
    )
}
