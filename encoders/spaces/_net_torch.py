"""A :class:`~archcast.encoders.spaces._net.Net` that becomes a torch module; imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

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

_CONVS: Final = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED_CONVS: Final = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_MAX_POOLS: Final = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
_NORMS: Final = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_ACTIVATIONS: Final[dict[str, Callable[[], nn.Module]]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "hard_swish": nn.Hardswish,
    "hard_sigmoid": nn.Hardsigmoid,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
    "softmax": partial(nn.Softmax, -1),
}


class Network(nn.Module):
    """A network as a list of layers, each reading earlier values.

    Attributes:
        input_shapes: shapes of the inputs, without the batch.
        token_inputs: for each, whether it holds token ids.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        self.shared = nn.ParameterList()
        self.input_shapes: list[Dims] = []
        self.token_inputs: list[bool] = []
        self._reads: list[tuple[int, ...]] = []
        self._outputs: tuple[int, ...] = ()

    def example(self, batch: int = 1) -> tuple[torch.Tensor, ...]:
        """Inputs of the right shape, all zeros, on the device of the weights."""
        device = next(iter(self.parameters()), torch.zeros(0)).device
        kinds = [torch.int64 if tokens else torch.float32 for tokens in self.token_inputs]
        shapes = zip(self.input_shapes, kinds, strict=True)
        return tuple(
            torch.zeros(batch, *shape, dtype=kind, device=device) for shape, kind in shapes
        )

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Map a batch of inputs to the output, or to a tuple of several."""
        values: dict[int, torch.Tensor] = dict(enumerate(inputs))
        for at, (layer, reads) in enumerate(
            zip(self.layers.values(), self._reads, strict=True), len(inputs)
        ):
            values[at] = layer(*(self._operand(values, i) for i in reads))
        results = tuple(values[i] for i in self._outputs)
        return results[0] if len(results) == 1 else results

    def _operand(self, values: dict[int, torch.Tensor], index: int) -> torch.Tensor:
        return values[index] if index >= 0 else self.shared[-1 - index]


class _Apply(nn.Module):
    """A function without weights as a layer."""

    def __init__(self, function: Callable[..., torch.Tensor], **options: Any) -> None:
        super().__init__()
        self.function, self.options = function, options

    def forward(self, *values: torch.Tensor) -> torch.Tensor:
        return self.function(*values, **self.options)


class _Constant(nn.Module):
    """Numbers that are not trained, as a layer that reads nothing."""

    values: torch.Tensor

    def __init__(self, values: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("values", values, persistent=False)

    def forward(self) -> torch.Tensor:
        return self.values


class _Excerpt(nn.Module):
    """Rows and columns of a table."""

    rows: torch.Tensor | None

    def __init__(self, rows: torch.Tensor | None, columns: int) -> None:
        super().__init__()
        self.register_buffer("rows", rows, persistent=False)
        self.columns = columns

    def forward(self, table: torch.Tensor) -> torch.Tensor:
        return table[:, : self.columns] if self.rows is None else table[self.rows, : self.columns]


class _Rotary(nn.Module):
    """Turns pairs of features of every head by angles that grow with the position."""

    cos: torch.Tensor
    sin: torch.Tensor

    def __init__(self, length: int, heads: int, turned: int) -> None:
        super().__init__()
        self.heads, self.turned = heads, turned
        speeds = 10000.0 ** (-torch.arange(0, turned, 2) / turned)
        angles = torch.outer(torch.arange(length), speeds).repeat(1, 2)[:, None]
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = x.unflatten(-1, (self.heads, -1))
        first, second = parts[..., : self.turned].chunk(2, -1)
        across = torch.cat([-second, first], -1)
        turned = parts[..., : self.turned] * self.cos + across * self.sin
        return torch.cat([turned, parts[..., self.turned :]], -1).flatten(-2)


class TorchNet(Net):
    """Collects layers; all inputs are declared first. :meth:`module` hands the network out."""

    def __init__(self) -> None:
        self._network = Network()

    def module(self) -> Network:
        """The network; the net is used up."""
        return self._network

    def input(self, shape: Dims, *, tokens: bool = False) -> Value:
        network = self._network
        network.input_shapes.append(shape)
        network.token_inputs.append(tokens)
        return Value(shape, len(network.input_shapes) - 1)

    def output(self, *values: Value) -> None:
        self._network._outputs = tuple(value.handle for value in values)

    def parameter(self, *shape: int) -> Parameter:
        self._network.shared.append(nn.Parameter(torch.randn(shape) * 0.02))
        return Parameter(shape, -len(self._network.shared))

    def constant(self, values: NDArray[Any]) -> Parameter:
        layer = _Constant(torch.tensor(values, dtype=torch.float32))
        return Parameter(*self._layer("constant", layer, values.shape))

    def excerpt(
        self, table: Parameter, rows: NDArray[Any] | None = None, columns: int | None = None
    ) -> Parameter:
        shape = excerpt_shape(table, rows, columns)
        chosen = None if rows is None else torch.tensor(rows, dtype=torch.int64)
        return Parameter(*self._layer("excerpt", _Excerpt(chosen, shape[-1]), shape, table))

    def _layer(self, name: str, layer: nn.Module, shape: Dims, *reads: Value | Parameter) -> Value:
        network = self._network
        network.layers[f"{len(network.layers)}_{name}"] = layer
        network._reads.append(tuple(value.handle for value in reads))
        return Value(shape, len(network.input_shapes) + len(network.layers) - 1)

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
        kernels, strides, pads, extent = window(x, kernel, stride, padding, dilation)
        make: Any = _CONVS[len(kernels) - 1]
        layer = make(x.shape[0], out, kernels, strides, pads, dilation, groups, bias)
        return self._layer("conv", layer, (out, *extent), x)

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
        make: Any = _TRANSPOSED_CONVS[len(extent) - 1]
        layer = make(x.shape[0], out, kernel, stride, padding, output_padding, bias=bias)
        return self._layer("conv_transpose", layer, (out, *extent), x)

    def linear(
        self, x: Value, out: int, *, bias: bool = True, weight: Parameter | None = None
    ) -> Value:
        shape = (*x.shape[:-1], out)
        if weight is None:
            return self._layer("linear", nn.Linear(x.shape[-1], out, bias), shape, x)
        reads = [x, weight, *([self.parameter(out)] if bias else [])]
        return self._layer("linear", _Apply(F.linear), shape, *reads)

    def embedding(self, ids: Value, table: Parameter) -> Value:
        shape = (*ids.shape, table.shape[1])
        return self._layer("embedding", _Apply(F.embedding), shape, ids, table)

    def batch_norm(self, x: Value) -> Value:
        layer = _NORMS[max(len(x.shape) - 2, 0)](x.shape[0])
        return self._layer("batch_norm", layer, x.shape, x)

    def layer_norm(self, x: Value, *, bias: bool = True) -> Value:
        return self._layer("layer_norm", nn.LayerNorm(x.shape[-1], bias=bias), x.shape, x)

    def rms_norm(self, x: Value) -> Value:
        return self._layer("rms_norm", nn.RMSNorm(x.shape[-1]), x.shape, x)

    def act(self, name: str, x: Value, *, slope: float = 0.01) -> Value:
        check_act(name)
        layer = nn.LeakyReLU(slope) if name == "leaky_relu" else _ACTIVATIONS[name]()
        return self._layer(name, layer, x.shape, x)

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
        kernels, strides, pads, extent = window(x, kernel, stride, padding, ceil=ceil)
        shape = (x.shape[0], *extent)
        if kind == "max":
            most: Any = _MAX_POOLS[len(kernels) - 1]
            return self._layer("max_pool", most(kernels, strides, pads, ceil_mode=ceil), shape, x)
        mean: Any = nn.AvgPool3d if len(kernels) == 3 else nn.AvgPool2d
        layer = mean(kernels, strides, pads, ceil, count_include_pad=False)
        return self._layer("avg_pool", layer, shape, x)

    def global_pool(self, x: Value) -> Value:
        dims = tuple(range(-len(x.shape) + 1, 0))
        return self._layer("global_pool", _Apply(torch.mean, dim=dims), (x.shape[0],), x)

    def mean(self, x: Value, axis: int = 0) -> Value:
        shape = (*x.shape[:axis], *x.shape[axis + 1 :])
        return self._layer("mean", _Apply(torch.mean, dim=axis + 1), shape, x)

    def resize(self, x: Value, extent: Sequence[int]) -> Value:
        shape = (x.shape[0], *extent)
        if shape == x.shape:
            return x
        return self._layer("resize", nn.Upsample(tuple(extent)), shape, x)

    def add(self, first: Value | Parameter, *others: Value | Parameter) -> Value:
        total = Value(*first)
        for other in others:
            shape = broadcast(total.shape, other.shape)
            total = self._layer("add", _Apply(torch.add), shape, total, other)
        return total

    def sub(self, a: Value, b: Value) -> Value:
        return self._layer("sub", _Apply(torch.sub), broadcast(a.shape, b.shape), a, b)

    def mul(self, a: Value, b: Value | Parameter) -> Value:
        return self._layer("mul", _Apply(torch.mul), broadcast(a.shape, b.shape), a, b)

    def scale(self, x: Value, number: float) -> Value:
        return self._layer("scale", _Apply(torch.mul, other=number), x.shape, x)

    def power(self, x: Value, exponent: float) -> Value:
        return self._layer("power", _Apply(torch.pow, exponent=exponent), x.shape, x)

    def at_least(self, x: Value, number: float) -> Value:
        return self._layer("at_least", _Apply(torch.clamp, min=number), x.shape, x)

    def concat(self, values: Sequence[Value], axis: int = 0) -> Value:
        shape = joined_shape(values, axis)
        return self._layer("concat", _Apply(_concat, dim=axis + 1), shape, *values)

    def prepend(self, tokens: Parameter, x: Value) -> Value:
        shape = (tokens.shape[0] + x.shape[0], x.shape[1])
        return self._layer("prepend", _Apply(_prepend), shape, tokens, x)

    def matmul(self, a: Value | Parameter, b: Value | Parameter) -> Value:
        return self._layer("matmul", _Apply(torch.matmul), product_shape(a.shape, b.shape), a, b)

    def rotary(self, x: Value, heads: int, share: float = 1.0) -> Value:
        layer = _Rotary(x.shape[0], heads, int(x.shape[1] // heads * share))
        return self._layer("rotary", layer, x.shape, x)

    def unfold(self, x: Value, window: int) -> Value:
        return self._layer("unfold", _Apply(_unfold, window=window), (*x.shape, window), x)

    def attention(self, q: Value, k: Value, v: Value, heads: int, *, causal: bool = False) -> Value:
        check_heads(heads, q, k, v)
        layer = _Apply(_attention, heads=heads, causal=causal)
        return self._layer("attention", layer, (q.shape[0], v.shape[1]), q, k, v)

    def slice(self, x: Value, start: int, stop: int, axis: int = 0) -> Value:
        shape = (*x.shape[:axis], stop - start, *x.shape[axis + 1 :])
        layer = _Apply(torch.narrow, dim=axis + 1, start=start, length=stop - start)
        return self._layer("slice", layer, shape, x)

    def pad(self, x: Value, ends: Sequence[tuple[int, int]]) -> Value:
        # torch wants the last axis first.
        numbers = [number for pair in reversed(ends) for number in pair]
        return self._layer("pad", _Apply(F.pad, pad=numbers), padded(x, ends), x)

    def reshape(self, x: Value, *shape: int) -> Value:
        check_size(x, shape)
        return self._layer("reshape", _Apply(_reshape, shape=shape), shape, x)

    def permute(self, x: Value, *axes: int) -> Value:
        shape = tuple(x.shape[axis] for axis in axes)
        dims = (0, *(axis + 1 for axis in axes))
        return self._layer("permute", _Apply(torch.permute, dims=dims), shape, x)


def _concat(*values: torch.Tensor, dim: int) -> torch.Tensor:
    return torch.cat(values, dim)


def _reshape(x: torch.Tensor, shape: Dims) -> torch.Tensor:
    return x.reshape(x.shape[0], *shape)


def _prepend(tokens: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return torch.cat([tokens.expand(x.shape[0], -1, -1), x], 1)


def _unfold(x: torch.Tensor, window: int) -> torch.Tensor:
    before = (window - 1) // 2
    return F.pad(x, (0, 0, before, window - 1 - before)).unfold(1, window, 1)


def _attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, causal: bool
) -> torch.Tensor:
    parts = [x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v)]
    seen = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=causal)
    return seen.transpose(1, 2).flatten(2)
