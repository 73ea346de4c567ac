"""What plain training-free scores share: weights, gradients, hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

FloatArray = NDArray[np.float64]
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def weights(module: nn.Module) -> list[Tensor]:
    """The weights of convolutions and linear layers."""
    return [m.weight for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def gradients(module: nn.Module, inputs: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
    """The loss's gradient of every weight; zeros where the loss does not depend on it."""
    loss = F.cross_entropy(module.train()(inputs), labels)
    return torch.autograd.grad(loss, weights(module), materialize_grads=True)


def jacobian(module: nn.Module, inputs: Tensor) -> FloatArray:
    """(B, C x H x W) gradient of each image's summed outputs; norms see the whole batch."""
    images = inputs.detach().clone().requires_grad_(True)
    (rows,) = torch.autograd.grad(module.train()(images).sum(), images)
    return rows.flatten(1).double().numpy()


def without_norms(module: nn.Module) -> nn.Module:
    """The module with its batch norms replaced by nothing, in place."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, NORMS):
                setattr(parent, name, nn.Identity())
    return module


def gaussian_weights(module: nn.Module) -> nn.Module:
    """Weights from a standard normal distribution, biases zero, norms fresh, in place."""
    for layer in module.modules():
        if isinstance(layer, NORMS):
            layer.reset_running_stats()
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


@contextmanager
def hooked(module: nn.Module, hook: Callable[..., Any], before: bool = False) -> Iterator[None]:
    """A hook on every module, containers included, while the block runs.

    Args:
        module: the network.
        hook: what torch calls after each module, or before it.
        before: call it before each module instead.
    """
    name = "register_forward_pre_hook" if before else "register_forward_hook"
    handles = [getattr(part, name)(hook) for part in module.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
