"""Normalisation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from archcast.zero_cost.source.operators._call import Call, operator, unsupported


@operator("BatchNormalization")
def batch_norm(
    call: Call, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Any:
    """Batch normalisation.

    In training mode the statistics are those of the batch, and the file's are left as they are:
    a score must not change what the next one sees.
    """
    if call.opset < 9 and call.get("spatial", 1) == 0:
        raise unsupported(call, "a statistic for every position (spatial=0)")
    training = call.training or bool(call.get("training_mode", 0))
    kept = (None, None) if training else (mean, variance)
    y = F.batch_norm(x, *kept, scale, bias, training, 0.0, call.get("epsilon", 1e-5))
    if call.outputs == 1:
        return y
    if not training:
        return y, mean, variance, mean, variance  # versions before 9 name two results more
    share = call.get("momentum", 0.9)
    axes = [axis for axis in range(x.dim()) if axis != 1]
    now, spread = x.mean(axes), x.var(axes, unbiased=False)
    return y, mean * share + now * (1 - share), variance * share + spread * (1 - share)


@operator("InstanceNormalization")
def instance_norm(call: Call, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Every channel of every sample by itself."""
    return F.instance_norm(x, weight=scale, bias=bias, eps=call.get("epsilon", 1e-5))


@operator("LayerNormalization")
@operator("LayerNormalization", domain="com.microsoft")
def layer_norm(call: Call, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Any:
    """The axes from one on."""
    epsilon = call.get("epsilon", 1e-5)
    shape = x.shape[call.get("axis", -1) % x.dim() :]
    # Weights may be given in fewer axes than are normalised.
    y = F.layer_norm(x, shape, eps=epsilon) * scale
    y = y if bias is None else y + bias
    if call.outputs == 1:
        return y
    axes = list(range(x.dim() - len(shape), x.dim()))
    mean = x.mean(axes, keepdim=True)
    return y, mean, (x.var(axes, unbiased=False, keepdim=True) + epsilon).rsqrt()


@operator("RMSNormalization", "SimplifiedLayerNormalization")
@operator("SimplifiedLayerNormalization", domain="com.microsoft")
def rms_norm(call: Call, x: Tensor, scale: Tensor, *_: Any) -> Tensor:
    """Divided by the root mean square."""
    axes = list(range(call.get("axis", -1) % x.dim(), x.dim()))
    square = (x * x).mean(axes, keepdim=True)
    return x * (square + call.get("epsilon", 1e-5)).rsqrt() * scale


@operator("GroupNormalization")
def group_norm(call: Call, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Groups of channels; weights are one a group before version 21, one a channel from then."""
    groups = call.get("num_groups")
    y = F.group_norm(x, groups, eps=call.get("epsilon", 1e-5))
    if call.opset < 21 and scale.numel() == groups:
        scale = scale.repeat_interleave(x.shape[1] // groups)
        bias = bias.repeat_interleave(x.shape[1] // groups)
    shape = (-1, *[1] * (x.dim() - 2))
    return y * scale.reshape(shape) + bias.reshape(shape)


@operator("LpNormalization")
def lp_norm(call: Call, x: Tensor) -> Tensor:
    """Divided by the length along an axis; a vector of zeros stays one."""
    p, axis = call.get("p", 2), call.get("axis", -1)
    length = x.abs().sum(axis, keepdim=True) if p == 1 else x.norm(dim=axis, keepdim=True)
    return torch.where(length == 0, torch.zeros_like(x), x / length)


@operator("LRN")
def local_response_norm(call: Call, x: Tensor) -> Tensor:
    """Divided by the squares of neighbouring channels (Krizhevsky et al., 2012)."""
    size = call.get("size")
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2
    squares = F.pad((x * x).flatten(2).transpose(1, 2), (before, after))
    sums = squares.unfold(2, size, 1).sum(-1).transpose(1, 2).reshape(x.shape)
    factor = call.get("alpha", 1e-4) / size
    return x / (call.get("bias", 1.0) + factor * sums) ** call.get("beta", 0.75)


@operator("MeanVarianceNormalization")
def mean_variance(call: Call, x: Tensor) -> Tensor:
    """Zero mean and unit variance over some axes."""
    axes = call.get("axes", [0, 2, 3])
    centred = x - x.mean(axes, keepdim=True)
    return centred / ((centred * centred).mean(axes, keepdim=True).sqrt() + 1e-9)
