"""The operators of ONNX in torch: small functions, found by name in one table."""

from archcast.zero_cost.source.operators import (
    control,
    convolution,
    elementwise,
    indexing,
    linear,
    norms,
    quantised,
    random,
    recurrent,
    reduction,
    resize,
    sequences,
    shape,
)
from archcast.zero_cost.source.operators._call import DTYPES, TABLE, Call, Value

__all__ = [
    "DTYPES",
    "TABLE",
    "Call",
    "Value",
    "control",
    "convolution",
    "elementwise",
    "indexing",
    "linear",
    "norms",
    "quantised",
    "random",
    "recurrent",
    "reduction",
    "resize",
    "sequences",
    "shape",
]
