"""Resizing by interpolation along axes, and sampling at given positions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from archcast.zero_cost.source.operators._call import Call, Value, ints, operator, unsupported

_Places = Callable[[Tensor, float, int, float], Tensor]


def _symmetric(out: Tensor, scale: float, n: int, length: float) -> Tensor:
    # The result's length is rounded down; the picture keeps its middle all the same.
    offset = n / 2 * (1 - out.numel() / length)
    return offset + (out + 0.5) / scale - 0.5


#: Where a position leaving lies among those entering: (position, scale, entering, leaving).
_COORDINATES: Final[dict[str, _Places]] = {
    "half_pixel": lambda out, scale, n, m: (out + 0.5) / scale - 0.5,
    "half_pixel_symmetric": _symmetric,
    "pytorch_half_pixel": lambda out, scale, n, m: (out + 0.5) / scale - 0.5 if m > 1 else out * 0,
    "align_corners": lambda out, scale, n, m: out * (n - 1) / (m - 1) if m > 1 else out * 0,
    "asymmetric": lambda out, scale, n, m: out / scale,
    "tf_half_pixel_for_nn": lambda out, scale, n, m: (out + 0.5) / scale,
}
_ROUNDED: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "round_prefer_floor": lambda x: torch.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: torch.floor(x + 0.5),
    "floor": torch.floor,
    "ceil": torch.ceil,
}


@operator("Upsample")
def upsample(call: Call, x: Tensor, scales: Value = None) -> Tensor:
    """What ``Resize`` was up to version 10."""
    factors = scales.tolist() if scales is not None else call.get("scales")
    return _resized(call, x, [float(f) for f in factors], None, "asymmetric", "floor")


@operator("Resize")
def resize(call: Call, x: Tensor, *operands: Value) -> Tensor:
    """Along every axis by a factor, or to a size."""
    if call.opset < 11:
        return upsample(call, x, operands[0])
    _, scales, sizes = (*operands, None, None, None)[:3]
    axes = [axis % x.dim() for axis in call.get("axes", range(x.dim()))]
    factors, lengths = [1.0] * x.dim(), list(x.shape)
    if sizes is not None and sizes.numel():
        wanted = _kept_ratio(call, x, axes, ints(sizes))
        for axis, n in zip(axes, wanted, strict=True):
            lengths[axis], factors[axis] = n, n / x.shape[axis]
    elif scales is not None:
        for axis, factor in zip(axes, scales.tolist(), strict=True):
            factors[axis], lengths[axis] = factor, math.floor(x.shape[axis] * factor)
    where = call.get("coordinate_transformation_mode", "half_pixel")
    nearest = call.get("nearest_mode", "round_prefer_floor")
    return _resized(call, x, factors, lengths, where, nearest)


def _kept_ratio(call: Call, x: Tensor, axes: list[int], sizes: list[int]) -> list[int]:
    policy = call.get("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return sizes
    ratios = [n / x.shape[axis] for axis, n in zip(axes, sizes, strict=True)]
    ratio = min(ratios) if policy == "not_larger" else max(ratios)
    return [math.floor(x.shape[axis] * ratio + 0.5) for axis in axes]


def _resized(
    call: Call, x: Tensor, factors: list[float], lengths: list[int] | None, where: str, nearest: str
) -> Tensor:
    if where not in _COORDINATES:
        raise unsupported(call, f"coordinate_transformation_mode {where}")
    sizes = lengths or [math.floor(n * f) for n, f in zip(x.shape, factors, strict=True)]
    for axis, (factor, size) in enumerate(zip(factors, sizes, strict=True)):
        if factor != 1 or size != x.shape[axis]:
            matrix = _weights(call, x.shape[axis], size, factor, where, nearest)
            x = _along(x, axis, matrix)
    return x


def _along(x: Tensor, axis: int, matrix: Tensor | None) -> Tensor:
    assert matrix is not None
    if matrix.dim() == 1:
        return x.index_select(axis, matrix.to(x.device))
    kind = x.dtype if x.is_floating_point() else torch.float32
    y = torch.matmul(x.to(kind).movedim(axis, -1), matrix.to(x.device, kind).transpose(0, 1))
    return y.movedim(-1, axis).to(x.dtype)


def _weights(call: Call, n: int, m: int, scale: float, where: str, nearest: str) -> Tensor:
    """Places to look up, or an (m, n) matrix of weights, for one axis from n to m positions."""
    mode = call.get("mode", "nearest")
    out = torch.arange(m, dtype=torch.float64)
    # Where a size is given, the scale is the quotient; a factor that is given is used as it is.
    at = _COORDINATES[where](out, scale, n, n * scale if "symmetric" in where else m)
    if mode == "nearest":
        return _ROUNDED[nearest](at).clamp(0, n - 1).long()
    if mode not in ("linear", "cubic"):
        raise unsupported(call, f"mode {mode}")
    spread = max(1.0, 1 / scale) if call.get("antialias", 0) else 1.0
    if spread > 1 or mode == "cubic":
        return _filtered(call, at, n, spread, mode)
    at = at.clamp(0, n - 1)
    low = at.floor().long().clamp(max=max(n - 2, 0))
    share = at - low
    rows = torch.arange(m)
    matrix = torch.zeros(m, n, dtype=torch.float64)
    matrix[rows, low] = 1 - share
    matrix[rows, (low + 1).clamp(max=n - 1)] += share
    return matrix


def _filtered(call: Call, at: Tensor, n: int, spread: float, mode: str) -> Tensor:
    """Weights by a kernel about each position; positions outside count as the edge's."""
    reach = math.ceil((2 if mode == "cubic" else 1) * spread) + 1
    first = at.floor().long()[:, None] + torch.arange(-reach, reach + 1)
    distance = (at[:, None] - first).abs() / spread
    if mode == "cubic":
        weight = _cubic(distance, call.get("cubic_coeff_a", -0.75))
    else:
        weight = (1 - distance).clamp(min=0)
    if call.get("exclude_outside", 0):
        weight = weight * ((first >= 0) & (first < n))
    weight = weight / weight.sum(1, keepdim=True)
    matrix = torch.zeros(at.numel(), n, dtype=torch.float64)
    return matrix.scatter_add(1, first.clamp(0, n - 1), weight)


def _cubic(x: Tensor, a: float) -> Tensor:
    """The convolution kernel of cubic interpolation (Keys, 1981)."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


# --------------------------------------------------------------------- sampling
_SAMPLED: Final = {"linear": "bilinear", "cubic": "bicubic"}


@operator("GridSample")
def grid_sample(call: Call, x: Tensor, grid: Tensor) -> Tensor:
    """Numbers at positions between -1 and 1."""
    mode = call.get("mode", "linear")
    options = {
        "mode": _SAMPLED.get(mode, mode),
        "padding_mode": call.get("padding_mode", "zeros"),
        "align_corners": bool(call.get("align_corners", 0)),
    }
    return F.grid_sample(x, grid, **options)


@operator("AffineGrid")
def affine_grid(call: Call, theta: Tensor, size: Value) -> Any:
    """Positions that an affine map gives."""
    return F.affine_grid(theta, ints(size), align_corners=bool(call.get("align_corners", 0)))


@operator("RoiAlign")
def roi_align(call: Call, x: Tensor, rois: Tensor, samples: Tensor) -> Tensor:
    """Means of bilinear samples in regions (He et al., 2017), for a fixed number of samples."""
    count = call.get("sampling_ratio", 0)
    if count <= 0 or call.get("mode", "avg") != "avg":
        raise unsupported(call, "an adaptive number of samples, or their maximum")
    rows, columns = call.get("output_height", 1), call.get("output_width", 1)
    half = 0.5 if call.get("coordinate_transformation_mode", "half_pixel") == "half_pixel" else 0.0
    corners = rois * call.get("spatial_scale", 1.0) - half
    size = corners[:, 2:] - corners[:, :2]
    size = size if half else size.clamp(min=1.0)
    height, width = x.shape[2:]
    ys = (torch.arange(rows * count, device=x.device) + 0.5) / (rows * count)
    xs = (torch.arange(columns * count, device=x.device) + 0.5) / (columns * count)
    y = corners[:, 1:2] + size[:, 1:] * ys
    across = corners[:, 0:1] + size[:, :1] * xs
    inside = ((y >= -1) & (y <= height))[:, :, None] & ((across >= -1) & (across <= width))[:, None]
    y, across = y.clamp(0, height - 1), across.clamp(0, width - 1)
    grid = torch.stack(
        [
            (2 * across / max(width - 1, 1) - 1)[:, None].expand(-1, rows * count, -1),
            (2 * y / max(height - 1, 1) - 1)[:, :, None].expand(-1, -1, columns * count),
        ],
        -1,
    )
    found = F.grid_sample(x[samples.long()], grid, align_corners=True) * inside[:, None]
    return F.avg_pool2d(found, count)
