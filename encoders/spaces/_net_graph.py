"""A :class:`~archcast.encoders.spaces._net.Net` that becomes a canonical graph, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast.encoders._geometry import triple
from archcast.encoders._simplify import simplify
from archcast.encoders._trace import Tensor, Tracer
from archcast.encoders.errors import ShapeError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces._net import (
    Dims,
    Net,
    Parameter,
    Value,
    broadcast,
    check_act,
    check_heads,
    check_size,
    excerpt_shape,
    joined_shape,
    padded,
    product_shape,
    upsampled,
    window,
)


class GraphNet(Net):
    """Traces what is built; :meth:`graph` simplifies it as the readers do."""

    def __init__(self) -> None:
        self._trace = Tracer()
        self._weights = 0

    def graph(self, source: str, name: str) -> ComputeGraph:
        """The canonical graph; the net is used up.

        Raises:
            ShapeError: no output was declared.
        """
        if not self._trace.output_shapes:
            raise ShapeError("no output was declared: build() ends with net.output(...)")
        return simplify(self._trace, source=source, name=name, strict=False)

    def _weight(self, *shape: int) -> Tensor:
        self._weights += 1
        return Tensor(shape, sources=((f"w{self._weights}", prod(shape)),))

    def input(self, shape: Dims, *, tokens: bool = False) -> Value:
        return Value(shape, self._trace.input((1, *shape), not tokens))

    def output(self, *values: Value) -> None:
        for value in values:
            self._trace.output(value.handle)

    def parameter(self, *shape: int) -> Parameter:
        return Parameter(shape, self._weight(*shape))

    def constant(self, values: NDArray[Any]) -> Parameter:
        return Parameter(values.shape, Tensor(values.shape))

    def excerpt(
        self, table: Parameter, rows: NDArray[Any] | None = None, columns: int | None = None
    ) -> Parameter:
        shape = excerpt_shape(table, rows, columns)
        return Parameter(shape, self._trace.constant(shape, [table.handle]))

    def conv(
        self,
        x: Value,
        out: int,
        kernel: int | Sequence[int],
        *,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | None = None,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> Value:
        kernels, strides, _, extent = window(x, kernel, stride, padding, dilation)
        weight = self._weight(out, x.shape[0] // groups, *kernels)
        tensor = self._trace.conv(
            x.handle,
            weight,
            self._weight(out) if bias else None,
            (1, out, *extent),
            stride=strides,
            dilation=(dilation,) * len(kernels),
            groups=groups,
        )
        return Value((out, *extent), tensor)

    def conv_transpose(
        self,
        x: Value,
        out: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        output_padding: int = 0,
        bias: bool = False,
    ) -> Value:
        extent = upsampled(x, kernel, stride, padding, output_padding)
        tensor = self._trace.conv(
            x.handle,
            self._weight(x.shape[0], out, *(kernel for _ in extent)),
            self._weight(out) if bias else None,
            (1, out, *extent),
            stride=(stride,) * len(extent),
            dilation=(1,) * len(extent),
            transposed=True,
        )
        return Value((out, *extent), tensor)

    def linear(
        self, x: Value, out: int, *, bias: bool = True, weight: Parameter | None = None
    ) -> Value:
        enter = x.shape[-1]
        matrix = weight.handle if weight else self._weight(out, enter)
        shape = (*x.shape[:-1], out)
        offset = self._weight(out) if bias else None
        return Value(shape, self._trace.linear(x.handle, matrix, offset, (1, *shape), (enter, out)))

    def embedding(self, ids: Value, table: Parameter) -> Value:
        shape = (*ids.shape, table.shape[1])
        return Value(shape, self._trace.embedding(table.handle, ids.handle, (1, *shape)))

    def batch_norm(self, x: Value) -> Value:
        scale = (self._weight(x.shape[0]), self._weight(x.shape[0]))
        operands = [x.handle, *scale]
        return Value(
            x.shape, self._trace.add("affine", operands, (1, *x.shape), label="batch_norm")
        )

    def layer_norm(self, x: Value, *, bias: bool = True) -> Value:
        return self._norm("layer_norm", x, 2 if bias else 1)

    def rms_norm(self, x: Value) -> Value:
        return self._norm("rms_norm", x, 1)

    def _norm(self, op: str, x: Value, weights: int) -> Value:
        affine = [self._weight(x.shape[-1]) for _ in range(weights)]
        return Value(x.shape, self._trace.norm(op, x.handle, affine, channels=x.shape[-1]))

    def act(self, name: str, x: Value, *, slope: float = 0.01) -> Value:
        check_act(name)
        del slope  # a number, not an operator
        return Value(x.shape, self._trace.unary(name, x.handle))

    def pool(
        self,
        kind: str,
        x: Value,
        kernel: int | Sequence[int],
        *,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | None = None,
        ceil: bool = False,
    ) -> Value:
        kernels, strides, _, extent = window(x, kernel, stride, padding, ceil=ceil)
        shape = (x.shape[0], *extent)
        op = f"{kind}_pool"
        dilation = (1,) * len(kernels) if kind == "max" else ()
        return Value(shape, self._trace.pool(op, x.handle, (1, *shape), kernels, strides, dilation))

    def global_pool(self, x: Value) -> Value:
        shape = (x.shape[0],)
        return Value(shape, self._trace.reduce("mean", x.handle, (1, *shape)))

    def mean(self, x: Value, axis: int = 0) -> Value:
        shape = (*x.shape[:axis], *x.shape[axis + 1 :])
        return Value(shape, self._trace.reduce("mean", x.handle, (1, *shape)))

    def resize(self, x: Value, extent: Sequence[int]) -> Value:
        shape = (x.shape[0], *extent)
        if shape == x.shape:
            return x
        sizes = triple(extent)
        return Value(
            shape,
            self._trace.add("resize", [x.handle], (1, *shape), channels=shape[0], extent=sizes),
        )

    def add(self, first: Value | Parameter, *others: Value | Parameter) -> Value:
        total = Value(*first)
        for other in others:
            total = self._binary("add", total, other)
        return total

    def sub(self, a: Value, b: Value) -> Value:
        return self._binary("sub", a, b)

    def mul(self, a: Value, b: Value | Parameter) -> Value:
        return self._binary("mul", a, b)

    def _binary(self, op: str, a: Value, b: Value | Parameter) -> Value:
        shape = broadcast(a.shape, b.shape)
        return Value(shape, self._trace.binary(op, a.handle, b.handle, (1, *shape)))

    def scale(self, x: Value, number: float) -> Value:
        factor = Tensor((), data=np.array(number))
        return Value(x.shape, self._trace.binary("mul", x.handle, factor, (1, *x.shape)))

    def power(self, x: Value, exponent: float) -> Value:
        return Value(x.shape, self._trace.unary("pow", x.handle, value=exponent))

    def at_least(self, x: Value, number: float) -> Value:
        return Value(x.shape, self._trace.clip(x.handle, number, None))

    def concat(self, values: Sequence[Value], axis: int = 0) -> Value:
        shape = joined_shape(values, axis)
        joined = self._trace.concat([value.handle for value in values], (1, *shape))
        return Value(shape, joined)

    def prepend(self, tokens: Parameter, x: Value) -> Value:
        shape = (tokens.shape[0] + x.shape[0], x.shape[1])
        return Value(shape, self._trace.concat([tokens.handle, x.handle], (1, *shape)))

    def matmul(self, a: Value | Parameter, b: Value | Parameter) -> Value:
        shape = product_shape(a.shape, b.shape)
        return Value(shape, self._trace.matmul(a.handle, b.handle, (1, *shape)))

    def rotary(self, x: Value, heads: int, share: float = 1.0) -> Value:
        del heads, share  # a rotation by fixed angles: the simplifier sees through its parts
        return x

    def unfold(self, x: Value, window: int) -> Value:
        shape = (*x.shape, window)
        return Value(shape, self._trace.part(x.handle, (1, *shape)))

    def attention(self, q: Value, k: Value, v: Value, heads: int, *, causal: bool = False) -> Value:
        check_heads(heads, q, k, v)
        del causal  # which positions are seen changes neither weights nor operators
        length, inner = q.shape[0], v.shape[1]
        parts = [
            self._trace.view(x.handle, (1, heads, x.shape[0], x.shape[1] // heads))
            for x in (q, k, v)
        ]
        shape = (1, heads, length, inner // heads)
        seen = self._trace.attention(parts[0], parts[1], parts[2], None, shape)
        return Value((length, inner), self._trace.view(seen, (1, length, inner)))

    def slice(self, x: Value, start: int, stop: int, axis: int = 0) -> Value:
        shape = (*x.shape[:axis], stop - start, *x.shape[axis + 1 :])
        return Value(shape, self._trace.part(x.handle, (1, *shape)))

    def pad(self, x: Value, ends: Sequence[tuple[int, int]]) -> Value:
        shape = padded(x, ends)
        return Value(shape, self._trace.part(x.handle, (1, *shape)))

    def reshape(self, x: Value, *shape: int) -> Value:
        check_size(x, shape)
        return Value(shape, self._trace.view(x.handle, (1, *shape)))

    def permute(self, x: Value, *axes: int) -> Value:
        shape = tuple(x.shape[axis] for axis in axes)
        return Value(shape, self._trace.view(x.handle, (1, *shape)))
