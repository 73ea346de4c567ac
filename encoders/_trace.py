"""The common ground of the readers: a trace of operators over tensors, before simplification.

A reader walks its source in order and calls one method of :class:`Tracer` for each operator.
Constants (weights, shape arithmetic, masks) never become nodes: they are :class:`Tensor` values
without a node, and an operator over constants is a constant again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from archcast.encoders._geometry import (
    ONES,
    Dims,
    Triple,
    attention_heads,
    geometry,
    input_geometry,
    joined_geometry,
    triple,
)

#: Constants of at most this many elements keep their numbers.
SMALL = 4096


@dataclass(slots=True)
class Tensor:
    """A value in the source: the result of a node, or a constant.

    Attributes:
        shape: dimensions, all known.
        node: index of the node that computes it, -1 for a constant.
        data: the numbers of a small constant, where known.
        sources: (name, elements) of the trained weights a constant is made of.
        floating: whether it holds real numbers.
        nothing: whether it is what is left of a path multiplied by zero; it adds nothing, and
            the weights on that path count for nothing.
    """

    shape: Dims
    node: int = -1
    data: NDArray[Any] | None = None
    sources: tuple[tuple[str, int], ...] = ()
    floating: bool = True
    nothing: bool = False

    @property
    def constant(self) -> bool:
        """Whether the value does not depend on the network's inputs."""
        return self.node < 0

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def scalar(self) -> float | None:
        """The number of a one-element constant, if known."""
        if self.data is None or self.data.size != 1:
            return None
        return float(self.data.reshape(-1)[0])


@dataclass(slots=True)
class Node:
    """One operator of the trace; the fields are those of ``ComputeGraph``'s columns.

    ``value`` is the number of a ``scalar`` operator (``label`` says add or mul), and of ``pow``.
    ``rows`` is the shape of the result as the source has it, for recognising attention. ``sure``
    says what a reader knew of the result: its extent (2), its channels (1), or only its size (0).
    """

    op: str
    inputs: list[int]
    channels: int
    extent: Triple
    channels_in: int = 0
    kernel: Triple = ONES
    stride: Triple = ONES
    dilation: Triple = ONES
    groups: int = 1
    heads: int = 1
    weights: int = 0
    macs: int = 0
    sources: tuple[tuple[str, int], ...] = ()
    label: str = ""
    value: float = 0.0
    rows: Dims = ()
    sure: int = 0

    @property
    def positions(self) -> int:
        """Number of positions leaving."""
        return math.prod(self.extent)


@dataclass
class Tracer:
    """Collects nodes; see the module's docstring."""

    nodes: list[Node] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    input_shapes: list[Dims] = field(default_factory=list)
    output_shapes: list[Dims] = field(default_factory=list)
    batch: int = 1
    repeat: int = 1

    # ------------------------------------------------------------------ ends
    def input(self, shape: Dims, floating: bool = True) -> Tensor:
        """A tensor that the caller gives."""
        if not self.input_shapes and len(shape) > 1:
            self.batch = max(shape[0], 1)
        channels, extent = input_geometry(shape)
        self.nodes.append(Node("input", [], channels, extent, rows=shape))
        self.inputs.append(len(self.nodes) - 1)
        self.input_shapes.append(shape)
        return Tensor(shape, len(self.nodes) - 1, floating=floating)

    def output(self, value: Tensor) -> None:
        """Declare a result of the network."""
        self.output_shapes.append(value.shape)
        if not value.constant:
            self.outputs.append(value.node)

    # --------------------------------------------------------------- general
    def constant(self, shape: Dims, of: Iterable[Tensor] = (), floating: bool = True) -> Tensor:
        """A constant without known numbers, made of other constants."""
        of = list(of)
        if any(tensor.nothing for tensor in of):
            return Tensor(shape, floating=floating, nothing=True)
        return Tensor(shape, sources=merge_sources(of), floating=floating)

    def add(
        self,
        op: str,
        operands: Sequence[Tensor],
        shape: Dims,
        *,
        channels: int = 0,
        extent: Triple | None = None,
        **attributes: Any,
    ) -> Tensor:
        """Append an operator and return its result.

        Args:
            op: an operator of the vocabulary, or ``slice`` or ``scalar``.
            operands: tensors it reads; constants among them give their weights to the node.
            shape: of the result.
            channels: of the result where the caller knows them, else derived from the operands.
            extent: of the result likewise.
            **attributes: further fields of :class:`Node`.
        """
        live = [t for t in operands if not t.constant]
        if not live:
            return self.constant(shape, operands)
        sure = 2 if extent is not None else 1 if channels else 0
        if extent is None:
            size = self.per_sample(math.prod(shape))
            channels, extent = geometry(size, [self.nodes[live[0].node]], channels)
        sources = merge_sources(t for t in operands if t.constant)
        if self.repeat > 1 and attributes.get("macs"):
            attributes["macs"] *= self.repeat
        node = Node(op, [t.node for t in live], channels, extent, sure=sure, **attributes)
        node.sources = sources
        node.rows = shape
        self.nodes.append(node)
        return Tensor(shape, len(self.nodes) - 1)

    def per_sample(self, count: int) -> int:
        """A count of elements or operations for the batch, made one for a single sample."""
        return count // self.batch if count % self.batch == 0 else count

    def view(self, x: Tensor, shape: Dims) -> Tensor:
        """The same numbers in another shape or order."""
        data = x.data.reshape(shape) if x.data is not None and x.size == math.prod(shape) else None
        return Tensor(shape, x.node, data, x.sources, x.floating)

    def part(self, x: Tensor, shape: Dims) -> Tensor:
        """Some of the numbers of a tensor (slice, split, gather by constant, unbind, roll)."""
        if x.constant:
            return Tensor(shape, -1, None, x.sources, x.floating)
        if math.prod(shape) == x.size:
            return self.view(x, shape)
        return self.add("slice", [x], shape)

    # ------------------------------------------------------ weighted operators
    def conv(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        shape: Dims,
        *,
        stride: Sequence[int] = (),
        dilation: Sequence[int] = (),
        groups: int = 1,
        transposed: bool = False,
    ) -> Tensor:
        """A convolution.

        ``weight`` is (out, in / groups, *kernel), of a transposed one (in, out / groups, *kernel).
        """
        kernel = weight.shape[2:]
        out = shape[1] if len(shape) > len(kernel) + 1 else shape[0]
        channels_in = x.shape[1] if len(x.shape) > len(kernel) + 1 else x.shape[0]
        extent = triple(shape[len(shape) - len(kernel) :])
        window = math.prod(kernel)
        weights = out * (channels_in // max(groups, 1)) * window
        before = triple(x.shape[len(x.shape) - len(kernel) :])
        sites = math.prod(before if transposed else extent)
        return self.add(
            "conv_transpose" if transposed else "conv",
            [x, weight, *([bias] if bias else [])],
            shape,
            channels=out,
            extent=extent,
            channels_in=channels_in,
            kernel=triple(kernel),
            stride=triple(stride),
            dilation=triple(dilation) if window > 1 else ONES,
            groups=groups,
            weights=weights if weight.constant else 0,
            macs=weights * sites,
        )

    def linear(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, shape: Dims, features: Dims
    ) -> Tensor:
        """A matrix product with a weight; ``features`` are those entering and leaving."""
        enter, leave = features
        count = self.per_sample(math.prod(shape) // max(leave, 1))
        return self.add(
            "linear",
            [x, weight, *([bias] if bias else [])],
            shape,
            channels=leave,
            channels_in=enter,
            weights=enter * leave,
            macs=enter * leave * count,
        )

    def matmul(self, a: Tensor, b: Tensor, shape: Dims) -> Tensor:
        """A matrix product: with a weight it is linear, else between activations."""
        if a.constant and b.constant:
            return self.constant(shape, (a, b))
        inner = a.shape[-1]
        if b.constant and len(b.shape) <= 2:
            leave = b.shape[-1] if len(b.shape) == 2 else 1
            return self.linear(a, b, None, shape, (inner, leave))
        if a.constant and len(a.shape) <= 2:
            leave = a.shape[0] if len(a.shape) == 2 else 1
            return self.linear(b, a, None, shape, (inner, leave))
        weight = next((t.size for t in (a, b) if t.constant), 0)
        return self.add(
            "matmul",
            [a, b],
            shape,
            channels_in=inner,
            weights=weight,
            macs=self.per_sample(math.prod(shape) * inner),
        )

    def einsum(self, equation: str, operands: Sequence[Tensor], shape: Dims) -> Tensor:
        """A contraction of two tensors is the matrix product it amounts to."""
        if len(operands) != 2:
            return self.add("other", operands, shape, label="einsum")
        terms, _, kept = equation.replace(" ", "").partition("->")
        sizes: dict[str, int] = {}
        for term, tensor in zip(terms.split(","), operands, strict=True):
            letters = term.replace("...", "")
            dims = tensor.shape[len(tensor.shape) - len(letters) :]
            sizes.update(zip(letters, dims, strict=True))
        inner = math.prod(dim for letter, dim in sizes.items() if letter not in kept)
        weight = next((t for t in operands if t.constant), None)
        live = next((t for t in operands if not t.constant), None)
        if weight is not None and live is not None:
            return self.linear(live, weight, None, shape, (inner, max(weight.size // inner, 1)))
        macs = self.per_sample(math.prod(shape) * inner)
        return self.add("matmul", operands, shape, channels_in=inner, macs=macs)

    def embedding(self, table: Tensor, ids: Tensor, shape: Dims) -> Tensor:
        """Rows of a table chosen by an activation."""
        return self.add(
            "embedding",
            [ids, table],
            shape,
            channels=table.shape[-1],
            channels_in=table.shape[0],
            weights=table.size,
        )

    def norm(
        self,
        op: str,
        x: Tensor,
        affine: Iterable[Tensor | None] = (),
        *,
        channels: int = 0,
        groups: int = 1,
    ) -> Tensor:
        """A normalisation with the shape of its operand."""
        scale = [t for t in affine if t is not None]
        return self.add(op, [x, *scale], x.shape, channels=channels, groups=groups)

    def recurrent(
        self,
        op: str,
        x: Tensor,
        matrices: Sequence[Tensor],
        biases: Sequence[Tensor],
        shape: Dims,
        features: Dims,
        steps: int,
    ) -> Tensor:
        """A recurrent layer; ``features`` are those entering, and leaving in all directions."""
        count = sum(m.size for m in matrices)
        return self.add(
            op,
            [x, *matrices, *biases],
            shape,
            channels=features[1],
            channels_in=features[0],
            weights=count,
            macs=count * steps,
        )

    def attention(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, shape: Dims
    ) -> Tensor:
        """Scaled dot-product attention over tensors (…, heads, length, features)."""
        heads = attention_heads(shape)
        scores = math.prod(shape[:-1]) * k.shape[-2]
        channels = heads * shape[-1]
        return self.add(
            "attention",
            [q, k, v, *([mask] if mask is not None else [])],
            shape,
            channels=channels,
            heads=heads,
            macs=self.per_sample(scores * (q.shape[-1] + v.shape[-1])),
        )

    # --------------------------------------------------- elementwise operators
    def unary(self, op: str, x: Tensor, **attributes: Any) -> Tensor:
        """An operator that keeps the shape."""
        return self.add(op, [x], x.shape, **attributes)

    def clip(self, x: Tensor, low: float | None, high: float | None) -> Tensor:
        """Limit values; the common limits are activations of their own."""
        low = None if low is None or low <= -1e30 else low
        high = None if high is None or high >= 1e30 else high
        if low == 0 and high is None:
            return self.unary("relu", x)
        if low == 0 and high == 6:
            return self.unary("relu6", x)
        return x if low is None and high is None else self.unary("clip", x)

    def binary(self, op: str, a: Tensor, b: Tensor, shape: Dims) -> Tensor:
        """Addition, multiplication and their kin, with broadcasting."""
        if a.constant and b.constant:
            summed = op in ("add", "sub") and a.nothing != b.nothing
            return self.constant(shape, [t for t in (a, b) if not (summed and t.nothing)])
        if a.constant or b.constant:
            return self._with_constant(op, a, b, shape)
        if a.node == b.node and a.shape == b.shape:
            if op == "mul":
                return self.unary("pow", a, value=2.0)
            if op in ("maximum", "minimum"):
                return self.view(a, shape)
        first, second = (a, b) if a.size >= b.size else (b, a)
        return self.add(op, [first, second], shape)

    def _with_constant(self, op: str, a: Tensor, b: Tensor, shape: Dims) -> Tensor:
        x, c = (b, a) if a.constant else (a, b)
        number = c.scalar()
        if op in ("maximum", "minimum"):
            low, high = (number, None) if op == "maximum" else (None, number)
            return self.clip(x, low, high) if number is not None else self.unary("clip", x)
        if op == "div" and a.constant:
            return self.add("pow", [x], shape, value=-1.0)
        kind = "add" if op in ("add", "sub") else "mul"
        if op == "mul" and (number == 0 or c.nothing):
            return Tensor(shape, nothing=True)
        if c.nothing and kind == "add":
            return self.view(x, shape)
        if c.size == 1:
            value = number if number is not None else math.nan
            value = -value if op == "sub" else 1 / value if op == "div" and value else value
            return self.add("scalar", [x, c], shape, label=kind, value=value)
        return self.add("affine", [x, c], shape, label=kind)

    # ------------------------------------------------------------ other kinds
    def pool(
        self,
        op: str,
        x: Tensor,
        shape: Dims,
        kernel: Sequence[int],
        stride: Sequence[int],
        dilation: Sequence[int] = (),
    ) -> Tensor:
        """A pooling over (batch, channels, *positions)."""
        rank = len(kernel)
        before, after = x.shape[len(x.shape) - rank :], shape[len(shape) - rank :]
        if math.prod(after) == 1 and all(k >= n for k, n in zip(kernel, before, strict=True)):
            return self.reduce("mean" if op == "avg_pool" else "max", x, shape)
        if math.prod(kernel) == 1 and before == after:
            return self.view(x, shape)
        channels = shape[-rank - 1] if len(shape) > rank else 1
        return self.add(
            op, [x], shape, channels=channels, extent=triple(after), kernel=triple(kernel),
            stride=triple(stride), dilation=triple(dilation),
        )  # fmt: skip

    def adaptive_pool(self, op: str, x: Tensor, shape: Dims, rank: int) -> Tensor:
        """A pooling given by the size of its result."""
        before, after = x.shape[len(x.shape) - rank :], shape[len(shape) - rank :]
        stride = [max(b // max(a, 1), 1) for b, a in zip(before, after, strict=True)]
        kernel = [b - (a - 1) * s for b, a, s in zip(before, after, stride, strict=True)]
        return self.pool(op, x, shape, kernel, stride)

    def reduce(self, kind: str, x: Tensor, shape: Dims) -> Tensor:
        """A reduction; over all positions it is global pooling."""
        if x.constant:
            return self.constant(shape, (x,))
        if math.prod(shape) == x.size:
            return self.view(x, shape)
        node = self.nodes[x.node]
        if kind in ("mean", "max") and self.per_sample(math.prod(shape)) == node.channels:
            op = "global_avg_pool" if kind == "mean" else "global_max_pool"
            return self.add(op, [x], shape, channels=node.channels, extent=ONES)
        return self.add("reduce", [x], shape, label=kind)

    def concat(self, parts: Sequence[Tensor], shape: Dims) -> Tensor:
        """Join tensors; constants among them (a class token) are dropped."""
        live = [t for t in parts if not t.constant]
        if not live:
            return self.constant(shape, parts)
        roots = {self._root(t.node) for t in live}
        size = self.per_sample(math.prod(shape))
        origin = [self.nodes[i] for i in roots]
        if len(origin) > 1 or origin[0].channels * origin[0].positions != size:
            origin = [self.nodes[t.node] for t in live]
        channels, extent = joined_geometry(size, origin)
        joined = self.add("concat", parts, shape, channels=channels, extent=extent)
        self.nodes[joined.node].sure = 0
        return joined

    def _root(self, index: int) -> int:
        """What slices were cut from; put together again (a rolled tensor) they are that."""
        while self.nodes[index].op == "slice":
            index = self.nodes[index].inputs[0]
        return index

    def select(self, choices: Sequence[Tensor], shape: Dims) -> Tensor:
        """One of several tensors by a condition known only at run time."""
        live = [t for t in choices if not t.constant]
        if len({t.node for t in live}) == 1:
            return self.view(live[0], shape) if live[0].size == math.prod(shape) else live[0]
        return self.add("select", choices, shape)


def merge_sources(tensors: Iterable[Tensor]) -> tuple[tuple[str, int], ...]:
    """The weights that several constants are made of, each once."""
    merged: dict[str, int] = {}
    for tensor in tensors:
        merged.update(tensor.sources)
    return tuple(merged.items())
