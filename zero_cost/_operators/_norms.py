"""Norms over samples, channels or positions, without learned scales."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from archcast.zero_cost._operators._call import Call

#: Added to variances, by whatever norm.
EPS: Final = 1e-5


def batch_norm(x: Tensor, copies: int) -> Tensor:
    """Standardise each channel over the samples and positions of each copy.

    A channel with one number only is left as it is.
    """
    samples = x.shape[0] // copies
    if samples * prod(x.shape[2:]) == 1:
        return x
    if copies == 1:
        return F.batch_norm(x, None, None, training=True, eps=EPS)
    parts = x.unflatten(0, (copies, samples))
    axes = (1, *range(3, parts.dim()))
    variance, mean = torch.var_mean(parts, axes, correction=0, keepdim=True)
    return ((parts - mean) * torch.rsqrt(variance + EPS)).flatten(0, 1)


def channel_deviation(x: Tensor, copies: int) -> Tensor:
    """(K, C) standard deviations of each channel over the samples and positions of a copy."""
    if copies == 1 and x.is_floating_point() and not x.requires_grad:
        # What a batch norm finds by the way, an order of magnitude faster than ``std``.
        scale = torch.native_batch_norm(x, None, None, None, None, True, 0.0, 0.0)[2]
        return torch.where(scale > 0, 1 / scale, 0).unsqueeze(0)
    parts = x.unflatten(0, (copies, x.shape[0] // copies))
    return parts.std((1, *range(3, parts.dim())), correction=0)


def layer_norm(call: Call, values: Sequence[Tensor]) -> Tensor:
    x = values[0].movedim(1, -1)
    return F.layer_norm(x, x.shape[-1:], eps=EPS).movedim(-1, 1)


def rms_norm(call: Call, values: Sequence[Tensor]) -> Tensor:
    x = values[0]
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + EPS)


def group_norm(call: Call, values: Sequence[Tensor]) -> Tensor:
    x, groups = values[0], call.step.groups
    x = x.contiguous()  # the derivative of a derivative of it fails otherwise
    return F.group_norm(x, groups if x.shape[1] % groups == 0 else 1, eps=EPS)


def l2_norm(call: Call, values: Sequence[Tensor]) -> Tensor:
    return F.normalize(values[0], dim=1)


def response_norm(call: Call, values: Sequence[Tensor]) -> Tensor:
    return F.local_response_norm(values[0], 5)
