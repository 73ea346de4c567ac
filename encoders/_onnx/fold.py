"""Arithmetic on small constants: the shape computations that exporters leave in ONNX graphs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast.encoders._trace import SMALL

Array = NDArray[Any]
Attributes = Mapping[str, Any]
#: ONNX element type -> whether it holds real numbers; integer types of weights count as well.
FLOATING = frozenset((1, 10, 11, 16, 17, 18, 19, 20, 23, 24, 14, 15))
QUANTISED = frozenset((2, 3, 21, 22, 25, 26))
_CAST = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16, 11: np.float64}


def fold(op: str, inputs: Sequence[Array | None], attributes: Attributes) -> list[Array] | None:
    """Results of an operator over known constants, or None where it is not computed here."""
    rule = _FOLD.get(op)
    if rule is None or not inputs or inputs[0] is None:
        return None
    with np.errstate(all="ignore"):
        result = rule(attributes, *inputs)
    results = result if isinstance(result, list) else [result]
    if any(r is None or r.size > SMALL for r in results):
        return None
    return results


def axes_of(attributes: Attributes, given: Array | None) -> list[int] | None:
    """Axes from the attribute (old opsets) or the input (new ones)."""
    if "axes" in attributes:
        return [int(a) for a in attributes["axes"]]
    return None if given is None else [int(a) for a in np.atleast_1d(given)]


def _divide(_: Attributes, a: Array, b: Array) -> Array:
    if a.dtype.kind in "iu" and b.dtype.kind in "iu":
        return np.trunc(a / np.where(b == 0, 1, b)).astype(a.dtype)
    return a / b


def _squeeze(attributes: Attributes, x: Array, axes: Array | None = None) -> Array:
    chosen = axes_of(attributes, axes)
    return np.squeeze(x, None if chosen is None else tuple(chosen))


def _unsqueeze(attributes: Attributes, x: Array, axes: Array | None = None) -> Array:
    return np.expand_dims(x, tuple(axes_of(attributes, axes) or ()))


def _slice(
    attributes: Attributes,
    x: Array,
    starts: Array | None = None,
    ends: Array | None = None,
    axes: Array | None = None,
    steps: Array | None = None,
) -> Array:
    first = attributes.get("starts") if starts is None else starts.reshape(-1).tolist()
    last = attributes.get("ends") if ends is None else ends.reshape(-1).tolist()
    chosen = axes_of(attributes, axes) or list(range(len(first or [])))
    stride = [1] * len(chosen) if steps is None else steps.reshape(-1).tolist()
    index = [slice(None)] * x.ndim
    for axis, a, b, s in zip(chosen, first or [], last or [], stride, strict=True):
        index[axis] = slice(int(a), None if b < -x.shape[axis] and s < 0 else int(b), int(s))
    return x[tuple(index)]


def _reshape(attributes: Attributes, x: Array, shape: Array | None = None) -> Array:
    target = attributes["shape"] if shape is None else shape.tolist()
    return x.reshape([x.shape[i] if d == 0 else d for i, d in enumerate(target)])


def _expand(_: Attributes, x: Array, shape: Array) -> Array | None:
    target = np.broadcast_shapes(x.shape, tuple(int(d) for d in shape))
    return np.broadcast_to(x, target) if np.prod(target, dtype=float) <= SMALL else None


def _filled(attributes: Attributes, shape: Array) -> Array | None:
    dims = shape.tolist()
    filler = getattr(attributes.get("value"), "data", None)
    filler = np.zeros(1, np.float32) if filler is None else filler
    if math.prod(dims) > (4 if filler.dtype.kind == "f" else SMALL):
        return None  # a weight: its shape is all that counts
    return np.full(dims, filler.reshape(-1)[0], filler.dtype)


def _clip(attributes: Attributes, x: Array, *bounds: Array | None) -> Array:
    low, high = (*bounds, None, None)[:2]
    low = attributes.get("min") if low is None else low
    high = attributes.get("max") if high is None else high
    return x if low is None and high is None else np.asarray(np.clip(x, low, high))


def _range(_: Attributes, start: Array, limit: Array, delta: Array) -> Array | None:
    a, b, c = (float(x.reshape(-1)[0]) for x in (start, limit, delta))
    return np.arange(a, b, c).astype(start.dtype) if c and abs((b - a) / c) <= SMALL else None


def _reduced(function: Callable[..., Array]) -> Callable[..., Array]:
    def rule(attributes: Attributes, x: Array, axes: Array | None = None) -> Array:
        chosen = axes_of(attributes, axes)
        over = None if chosen is None else tuple(chosen)
        return np.asarray(function(x, axis=over, keepdims=bool(attributes.get("keepdims", 1))))

    return rule


def _split(attributes: Attributes, x: Array, sizes: Array | None = None) -> list[Array] | None:
    chosen = attributes.get("split") if sizes is None else sizes.tolist()
    if chosen is None:
        return None
    return np.split(x, np.cumsum(chosen)[:-1], axis=attributes.get("axis", 0))


def _elementwise(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda _, *values: np.asarray(function(*values))


_FOLD: dict[str, Callable[..., Any]] = {
    "Add": _elementwise(np.add),
    "Sub": _elementwise(np.subtract),
    "Mul": _elementwise(np.multiply),
    "Div": _divide,
    "Mod": _elementwise(np.mod),
    "Pow": _elementwise(np.power),
    "Neg": _elementwise(np.negative),
    "Abs": _elementwise(np.abs),
    "Sqrt": _elementwise(np.sqrt),
    "Reciprocal": _elementwise(lambda x: 1 / x),
    "Floor": _elementwise(np.floor),
    "Ceil": _elementwise(np.ceil),
    "Round": _elementwise(np.round),
    "Log": _elementwise(np.log),
    "Exp": _elementwise(np.exp),
    "Equal": _elementwise(np.equal),
    "Less": _elementwise(np.less),
    "Greater": _elementwise(np.greater),
    "LessOrEqual": _elementwise(np.less_equal),
    "GreaterOrEqual": _elementwise(np.greater_equal),
    "And": _elementwise(np.logical_and),
    "Or": _elementwise(np.logical_or),
    "Not": _elementwise(np.logical_not),
    "Where": _elementwise(np.where),
    "Min": lambda _, *x: np.minimum.reduce(np.broadcast_arrays(*x)),
    "Max": lambda _, *x: np.maximum.reduce(np.broadcast_arrays(*x)),
    "Identity": lambda _, x: x,
    "Clip": _clip,
    "Relu": _elementwise(lambda x: np.maximum(x, 0)),
    "NonZero": lambda _, x: np.array(np.nonzero(x), np.int64).reshape(max(x.ndim, 1), -1),
    "Cast": lambda a, x: x.astype(_CAST.get(a.get("to", 1), x.dtype)),
    "CastLike": lambda _, x, y: x.astype(y.dtype),
    "Gather": lambda a, x, i: np.take(x, i.astype(np.int64), axis=a.get("axis", 0)),
    "Concat": lambda a, *x: np.concatenate([np.atleast_1d(v) for v in x], a.get("axis", 0)),
    "Transpose": lambda a, x: np.transpose(x, a.get("perm")),
    "Flatten": lambda a, x: x.reshape(int(np.prod(x.shape[: a.get("axis", 1)])), -1),
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Slice": _slice,
    "Reshape": _reshape,
    "Expand": _expand,
    "ConstantOfShape": _filled,
    "Range": _range,
    "Split": _split,
    "Tile": lambda _, x, n: np.tile(x, n) if x.size * np.prod(n, dtype=float) <= SMALL else None,
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "ReduceMax": _reduced(np.max),
    "ReduceMin": _reduced(np.min),
    "ReduceMean": _reduced(np.mean),
    "Size": lambda _, x: np.array(x.size),
}

#: Operators that :func:`fold` knows.
FOLDED = frozenset(_FOLD)
