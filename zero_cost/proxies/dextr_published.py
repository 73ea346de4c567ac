"""Dextr as its authors run it: hooks on every module of a torch network, containers included."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from archcast.encoders.errors import ShapeError
from archcast.zero_cost.proxies.dextr import COORDINATES, bend, frame, joined

if TYPE_CHECKING:
    from torch import nn

#: Height and width of the images on the curve, whatever the inputs'.
SIDE: Final = 64


def dextr_published(
    module: nn.Module, inputs: Tensor, *, side: int | None = SIDE, seed: int = 0
) -> float:
    """The published score of one network with the weights it has.

    Every module's output counts, so a layer inside a ``Sequential`` counts twice: wrapping layers
    changes the score. Use the proxy ``dextr`` to compare architectures; this, to compare with the
    publication.

    Args:
        module: the network; it is left as it was.
        inputs: (B, C, H, W) images; the first counts, norms see all. The authors give one.
        side: height and width of the images of the curve; the inputs' if None.
        seed: of the curve.

    Returns:
        The score, higher is better.

    Raises:
        ShapeError: inputs that are no images.

    Reference:
        Asthana et al., "Dextr: Zero-Shot Neural Architecture Search with Singular Value
        Decomposition and Extrinsic Curvature", TMLR 2025.
    """
    if inputs.dim() != 4:
        raise ShapeError(f"inputs are images (B, C, H, W), not {tuple(inputs.shape)}")
    network = copy.deepcopy(module).train()
    a = torch.tensor(_conditions(network, inputs), dtype=torch.float64)
    channels, height, width = inputs.shape[1:]
    shape = (channels, side or height, side or width)
    b = _curvature(network, shape, seed).to(a.device)
    return float(joined(torch.log1p(a), torch.log1p(b)))


def _conditions(network: nn.Module, inputs: Tensor) -> float:
    """Σ over modules of σ_min / σ_max of the first sample's features; 0 for what is none."""
    total = 0.0

    def add(_: nn.Module, __: Any, output: Any) -> None:
        nonlocal total
        if not isinstance(output, Tensor | tuple | list) or not isinstance(output[0], Tensor):
            return
        features = torch.atleast_1d(output[0].detach())
        values = torch.linalg.svdvals(features.reshape(features.shape[0], -1).double())
        total += float((values[-1] / values[0]).nan_to_num(0.0, 0.0))

    handles = [part.register_forward_hook(add) for part in network.modules()]
    try:
        with torch.no_grad():
            network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return total


def _curvature(network: nn.Module, shape: tuple[int, int, int], seed: int) -> Tensor:
    """κ of at most ten outputs where the circle begins, NaN if there is none.

    By backward passes, as published: two for each output.
    """
    like = next(network.parameters(), torch.empty(0))
    circle = frame(shape[0] * shape[1] * shape[2], seed).to(like.device, like.dtype)
    angle = torch.zeros((), dtype=like.dtype, device=like.device, requires_grad=True)
    image = circle @ torch.stack([angle.cos(), angle.sin()])
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        try:
            outputs = network(image.reshape(1, *shape)).flatten()[:COORDINATES]
        except RuntimeError:  # a network that takes images of one size only
            return torch.tensor(float("nan"), dtype=torch.float64)
        speeds, bends = [], []
        for output in outputs:
            (speed,) = torch.autograd.grad(output, angle, create_graph=True, materialize_grads=True)
            speeds.append(speed.detach())
            bends.append(_slope(speed, angle))
    return bend(torch.stack(speeds).double(), torch.stack(bends).double())


def _slope(value: Tensor, by: Tensor) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(value)
    return torch.autograd.grad(value, by, retain_graph=True, materialize_grads=True)[0]
