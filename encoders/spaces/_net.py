"""``Net``: a network written down once, and made a graph or a trainable module.

A space's ``build`` calls the methods of a :class:`Net` in the order of the network's forward pass.
:class:`~archcast.encoders.spaces._net_graph.GraphNet` turns the calls into a graph without torch,
:class:`~archcast.encoders.spaces._net_torch.TorchNet` into a ``torch.nn.Module``.

Shapes leave the batch out: pictures are (channels, height, width), sequences (length, features),
token ids (length,), vectors (features,).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod
from typing import Any, Final, NamedTuple

from numpy.typing import NDArray

from archcast.encoders.errors import InvalidSpecError, ShapeError

Dims = tuple[int, ...]
#: What :meth:`Net.act` knows.
ACTIVATIONS: Final = (
    "relu", "relu6", "gelu", "silu", "hard_swish", "hard_sigmoid", "sigmoid", "tanh",
    "leaky_relu", "elu", "mish", "softplus", "softmax",
)  # fmt: skip


class Value(NamedTuple):
    """What an operator gives.

    Attributes:
        shape: dimensions without the batch.
        handle: what stands for it in the net that made it.
    """

    shape: Dims
    handle: Any


class Parameter(NamedTuple):
    """Weights that several operators share, or that are added or multiplied.

    Attributes:
        shape: their dimensions.
        handle: what stands for them in the net that made them.
    """

    shape: Dims
    handle: Any


class Net(ABC):
    """A network under construction; see the module's docstring.

    Implementations provide the operators; what people compose of them is here once for all.
    """

    # ------------------------------------------------------------------- ends
    @abstractmethod
    def input(self, shape: Dims, *, tokens: bool = False) -> Value:
        """An input of the network; ``tokens`` are whole numbers, ids for :meth:`embedding`."""

    @abstractmethod
    def output(self, *values: Value) -> None:
        """Declare the network's results."""

    @abstractmethod
    def parameter(self, *shape: int) -> Parameter:
        """Weights of that shape, to be shared, added or multiplied."""

    @abstractmethod
    def constant(self, values: NDArray[Any]) -> Parameter:
        """Fixed numbers, not trained: sinusoids, the matrix of a transform."""

    @abstractmethod
    def excerpt(
        self, table: Parameter, rows: NDArray[Any] | None = None, columns: int | None = None
    ) -> Parameter:
        """Fixed rows of a (words, features) table, and the first of its columns.

        Args:
            table: weights, counted as a whole.
            rows: row numbers in any shape, such as the distances of all pairs of positions; all
                rows in their order if None.
            columns: how many columns; all if None.

        Returns:
            (*rows.shape, columns) weights.
        """

    # ------------------------------------------------------ weighted operators
    @abstractmethod
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
        """A convolution over (channels, *positions).

        Args:
            x: one to three axes of positions.
            out: channels leaving.
            kernel: window, one number or one an axis.
            stride: likewise.
            padding: likewise; half of the dilated window if None, which keeps the size.
            dilation: of the window.
            groups: groups of channels; as many as channels for a depthwise convolution.
            bias: whether a learned number is added a channel.
        """

    @abstractmethod
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
        """A transposed convolution over (channels, *positions).

        Args:
            x: one to three axes of positions, n of them on an axis.
            out: channels leaving.
            kernel: window along every axis.
            stride: positions leaving for each that enters.
            padding: positions cut off at both ends.
            output_padding: positions added at the far end: ``(n - 1) * stride - 2 * padding +
                kernel + output_padding`` leave.
            bias: whether a learned number is added a channel.
        """

    @abstractmethod
    def linear(
        self, x: Value, out: int, *, bias: bool = True, weight: Parameter | None = None
    ) -> Value:
        """A linear map of the last axis; ``weight`` (out, features) is one that is shared."""

    @abstractmethod
    def embedding(self, ids: Value, table: Parameter) -> Value:
        """Rows of a (words, features) table: (length,) ids become (length, features)."""

    @abstractmethod
    def batch_norm(self, x: Value) -> Value:
        """Batch normalisation of (channels, *positions)."""

    @abstractmethod
    def layer_norm(self, x: Value, *, bias: bool = True) -> Value:
        """Layer normalisation over the last axis."""

    @abstractmethod
    def rms_norm(self, x: Value) -> Value:
        """Root-mean-square normalisation over the last axis."""

    # ------------------------------------------------------------ no weights
    @abstractmethod
    def act(self, name: str, x: Value, *, slope: float = 0.01) -> Value:
        """An activation by name.

        One of relu, relu6, gelu, silu, hard_swish, hard_sigmoid, sigmoid, tanh,
        leaky_relu, elu, mish, softplus, and softmax over the last axis; ``slope`` is that of
        leaky_relu below zero.
        """

    @abstractmethod
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
        """``max`` or ``avg`` pooling of a window over two or three axes of positions.

        ``padding`` is half of the window if None, and never counts in an average; ``ceil`` lets a
        last window stick out.
        """

    @abstractmethod
    def global_pool(self, x: Value) -> Value:
        """The mean over all positions: (channels, *positions) becomes (channels,)."""

    @abstractmethod
    def mean(self, x: Value, axis: int = 0) -> Value:
        """The mean over one axis, which goes; of a sequence, over its length."""

    @abstractmethod
    def resize(self, x: Value, extent: Sequence[int]) -> Value:
        """Nearest-neighbour resizing of (channels, *positions)."""

    @abstractmethod
    def add(self, first: Value | Parameter, *others: Value | Parameter) -> Value:
        """A sum, with broadcasting of parameters and smaller values."""

    @abstractmethod
    def sub(self, a: Value, b: Value) -> Value:
        """A difference."""

    @abstractmethod
    def mul(self, a: Value, b: Value | Parameter) -> Value:
        """An elementwise product with broadcasting."""

    @abstractmethod
    def scale(self, x: Value, number: float) -> Value:
        """A product with a fixed number."""

    @abstractmethod
    def power(self, x: Value, exponent: float) -> Value:
        """Every number to a fixed power: -1 is the reciprocal, -0.5 that of the root."""

    @abstractmethod
    def at_least(self, x: Value, number: float) -> Value:
        """Every number, or the fixed one where that is larger."""

    @abstractmethod
    def concat(self, values: Sequence[Value], axis: int = 0) -> Value:
        """Join along an axis, the channels of pictures by default."""

    @abstractmethod
    def prepend(self, tokens: Parameter, x: Value) -> Value:
        """Learned (count, features) tokens before a (length, features) sequence."""

    @abstractmethod
    def matmul(self, a: Value | Parameter, b: Value | Parameter) -> Value:
        """A matrix product over the last two axes; those before them broadcast."""

    @abstractmethod
    def rotary(self, x: Value, heads: int, share: float = 1.0) -> Value:
        """Rotary position embedding of (length, features) (Su et al., 2021).

        Args:
            x: queries or keys of all heads side by side.
            heads: number of heads.
            share: the part of a head's features that is rotated.
        """

    @abstractmethod
    def unfold(self, x: Value, window: int) -> Value:
        """The windows around all positions of (length, features), padded with zeros.

        Returns:
            (length, features, window) values.
        """

    @abstractmethod
    def attention(self, q: Value, k: Value, v: Value, heads: int, *, causal: bool = False) -> Value:
        """Scaled dot-product attention of (length, features) values, split into heads."""

    @abstractmethod
    def slice(self, x: Value, start: int, stop: int, axis: int = 0) -> Value:
        """A stretch of one axis."""

    @abstractmethod
    def pad(self, x: Value, ends: Sequence[tuple[int, int]]) -> Value:
        """Zeros before and after the positions of (channels, *positions).

        ``ends`` has two numbers an axis; a negative one cuts positions off instead.
        """

    @abstractmethod
    def reshape(self, x: Value, *shape: int) -> Value:
        """The same numbers in another shape."""

    @abstractmethod
    def permute(self, x: Value, *axes: int) -> Value:
        """The same numbers with their axes in another order."""

    # ---------------------------------------------------------- compositions
    def conv_norm(self, x: Value, out: int, kernel: int, act: str = "", **options: Any) -> Value:
        """Convolution, batch norm and, if one is named, an activation."""
        x = self.batch_norm(self.conv(x, out, kernel, **options))
        return self.act(act, x) if act else x

    def squeeze_excite(
        self, x: Value, hidden: int, act: str = "relu", gate: str = "sigmoid"
    ) -> Value:
        """Channels weighted by what two 1x1 convolutions make of their means (Hu et al., 2018)."""
        s = self.reshape(self.global_pool(x), x.shape[0], 1, 1)
        s = self.act(act, self.conv(s, hidden, 1, bias=True))
        return self.mul(x, self.act(gate, self.conv(s, x.shape[0], 1, bias=True)))

    def flatten(self, x: Value) -> Value:
        """All numbers as one vector."""
        count = 1
        for size in x.shape:
            count *= size
        return self.reshape(x, count)

    def tokens_of(self, x: Value) -> Value:
        """A picture (channels, height, width) as a sequence (height * width, channels)."""
        channels, *positions = x.shape
        count = 1
        for size in positions:
            count *= size
        return self.permute(self.reshape(x, channels, count), 1, 0)

    def self_attention(
        self, x: Value, heads: int, *, inner: int | None = None, bias: bool = True,
        causal: bool = False,
    ) -> Value:  # fmt: skip
        """Multi-head self-attention with its four projections; ``inner`` features in all heads."""
        width = x.shape[-1]
        q, k, v = (self.linear(x, inner or width, bias=bias) for _ in range(3))
        return self.linear(self.attention(q, k, v, heads, causal=causal), width, bias=bias)

    def mlp(self, x: Value, hidden: int, act: str = "gelu", *, bias: bool = True) -> Value:
        """Two linear layers with an activation between; as wide as it came."""
        hidden_layer = self.act(act, self.linear(x, hidden, bias=bias))
        return self.linear(hidden_layer, x.shape[-1], bias=bias)


def window(
    x: Value,
    kernel: int | Sequence[int],
    stride: int | Sequence[int],
    padding: int | Sequence[int] | None,
    dilation: int = 1,
    *,
    ceil: bool = False,
) -> tuple[Dims, Dims, Dims, Dims]:
    """Kernel, stride and padding an axis, and the positions that leave."""
    axes = len(x.shape) - 1
    kernels = _each(kernel, axes)
    strides = _each(stride, axes)
    pads = tuple(dilation * (k - 1) // 2 for k in kernels)
    pads = pads if padding is None else _each(padding, axes)
    extent = tuple(
        (size + 2 * p - dilation * (k - 1) - 1 + (s - 1 if ceil else 0)) // s + 1
        for size, k, s, p in zip(x.shape[1:], kernels, strides, pads, strict=True)
    )
    return kernels, strides, pads, extent


def upsampled(x: Value, kernel: int, stride: int, padding: int, output_padding: int) -> Dims:
    """The positions that leave a transposed convolution."""
    return tuple((n - 1) * stride - 2 * padding + kernel + output_padding for n in x.shape[1:])


def padded(x: Value, ends: Sequence[tuple[int, int]]) -> Dims:
    """The shape of (channels, *positions) with that many positions more before and after."""
    sizes = [n + sum(pair) for n, pair in zip(x.shape[1:], ends, strict=True)]
    return (x.shape[0], *sizes)


def _each(value: int | Sequence[int], axes: int) -> Dims:
    return (value,) * axes if isinstance(value, int) else tuple(value)


def broadcast(a: Dims, b: Dims) -> Dims:
    """The shape of an elementwise operator on two shapes.

    Raises:
        ShapeError: they do not fit.
    """
    rank = max(len(a), len(b))
    first, second = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    if any(m != n and 1 not in (m, n) for m, n in zip(first, second, strict=True)):
        raise ShapeError(f"values of shapes {a} and {b} do not fit together")
    return tuple(max(m, n) for m, n in zip(first, second, strict=True))


def product_shape(a: Dims, b: Dims) -> Dims:
    """The shape of a matrix product over the last two axes.

    Raises:
        ShapeError: they do not fit.
    """
    if a[-1] != b[-2]:
        raise ShapeError(f"no matrix product of shapes {a} and {b}: {a[-1]} is not {b[-2]}")
    return (*broadcast(a[:-2], b[:-2]), a[-2], b[-1])


def joined_shape(values: Sequence[Value], axis: int) -> Dims:
    """The shape of values joined along an axis.

    Raises:
        ShapeError: they do not fit, or there are none.
    """
    rest = {(*v.shape[:axis], 0, *v.shape[axis + 1 :]) for v in values}
    if len(rest) != 1:
        shapes = ", ".join(str(v.shape) for v in values)
        raise ShapeError(f"values of shapes {shapes or 'none'} cannot be joined along axis {axis}")
    shape = list(values[0].shape)
    shape[axis] = sum(value.shape[axis] for value in values)
    return tuple(shape)


def check_heads(heads: int, *values: Value) -> None:
    """Check that features divide into heads.

    Raises:
        ShapeError: they do not.
    """
    for value in values:
        if value.shape[-1] % heads:
            raise ShapeError(f"{value.shape[-1]} features do not divide into {heads} heads")


def check_size(x: Value, shape: Dims) -> None:
    """Check that a value can be given another shape.

    Raises:
        ShapeError: it has another number of elements.
    """
    if prod(x.shape) != prod(shape):
        raise ShapeError(f"{x.shape} cannot become {shape}: the numbers of elements differ")


def check_act(name: str) -> None:
    """Check the name of an activation.

    Raises:
        InvalidSpecError: there is no such one.
    """
    if name not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise InvalidSpecError(f"no activation is called {name!r}; known: {known}")


def excerpt_shape(table: Parameter, rows: NDArray[Any] | None, columns: int | None) -> Dims:
    """The shape of an excerpt; see :meth:`Net.excerpt`."""
    words, features = table.shape
    return (*((words,) if rows is None else rows.shape), columns or features)
