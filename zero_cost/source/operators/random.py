"""Random numbers, drawn from torch's own generator."""

from __future__ import annotations

import torch
from torch import Tensor

from archcast.zero_cost.source.operators._call import DTYPES, Call, operator


def _drawn(call: Call, shape: list[int], kind: torch.dtype) -> Tensor:
    wanted = DTYPES[call.get("dtype")] if call.get("dtype") else kind
    if call.op.startswith("RandomNormal"):
        y = torch.randn(shape, device=call.device)
        return (y * call.get("scale", 1.0) + call.get("mean", 0.0)).to(wanted)
    low, high = call.get("low", 0.0), call.get("high", 1.0)
    return (torch.rand(shape, device=call.device) * (high - low) + low).to(wanted)


@operator("RandomNormal", "RandomUniform")
def of_shape(call: Call) -> Tensor:
    """A tensor of a given shape."""
    return _drawn(call, call.get("shape"), torch.float32)


@operator("RandomNormalLike", "RandomUniformLike")
def like(call: Call, x: Tensor) -> Tensor:
    """A tensor of another's shape."""
    return _drawn(call, list(x.shape), x.dtype)


@operator("Bernoulli")
def bernoulli(call: Call, x: Tensor) -> Tensor:
    """Ones with the probabilities given."""
    kind = DTYPES[call.get("dtype")] if call.get("dtype") else x.dtype
    return torch.bernoulli(x).to(kind)
