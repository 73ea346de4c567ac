"""A :class:`~archcast.encoders.spaces.Net` that becomes the source of a torch module.

Layers are called and counted as in the module that ``Space.module`` gives, whose ``layers.3_conv``
is ``conv_3`` here and whose ``shared.0`` is ``shared_0``, so that weights can be carried over.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import ShapeError
from archcast.encoders.spaces import Net, Parameter, Value
from archcast.encoders.spaces._net import (
    Dims,
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
from archcast.search.exports._source_text import HELPERS, MODULE

__all__ = ["SourceNet"]

_ACTIVATIONS: Final = {
    "relu": "F.relu({})",
    "relu6": "F.relu6({})",
    "gelu": "F.gelu({})",
    "silu": "F.silu({})",
    "hard_swish": "F.hardswish({})",
    "hard_sigmoid": "F.hardsigmoid({})",
    "sigmoid": "torch.sigmoid({})",
    "tanh": "torch.tanh({})",
    "elu": "F.elu({})",
    "mish": "F.mish({})",
    "softplus": "F.softplus({})",
    "softmax": "torch.softmax({}, -1)",
}
#: Constants of at most this many numbers are written out.
_FEW: Final = 16
_LINE: Final = 80


class SourceNet(Net):
    """Collects lines of ``__init__`` and ``forward``; :meth:`source` hands the file out."""

    def __init__(self) -> None:
        self._init: list[str] = []
        self._forward: list[str] = []
        self._inputs: list[tuple[str, Dims, bool]] = []
        self._outputs: tuple[Value, ...] = ()
        self._helpers: dict[str, None] = {}
        self._layers = 0
        self._shared = 0

    def source(self, space: str, spec: str) -> str:
        """The file: a module without any import but torch; the net is used up.

        Raises:
            ShapeError: no output was declared.
        """
        if not self._outputs:
            raise ShapeError("no output was declared: build() ends with net.output(...)")
        names = [value.handle for value in self._outputs]
        example = [
            f"torch.zeros(batch, {', '.join(map(str, shape))}"
            f"{', dtype=torch.int64' if tokens else ''})"
            for _, shape, tokens in self._inputs
        ]
        body = "".join(self._forward)
        used = [HELPERS[name] for name in self._helpers]
        return MODULE.format(
            space=space,
            spec=repr(spec),
            imports="".join(
                line
                for line, needed in (
                    ("import base64\nimport zlib\n\n", "numbers" in self._helpers),
                    ("import torch\n", True),
                    (
                        "import torch.nn.functional as F\n",
                        "F." in body or any("F." in helper for helper in used),
                    ),
                    ("from torch import nn\n", True),
                )
                if needed
            ),
            helpers="".join(f"{helper}\n\n" for helper in used),
            init="".join(f"        {line}\n" for line in self._init),
            arguments=", ".join(f"{name}: torch.Tensor" for name, _, _ in self._inputs),
            returns="torch.Tensor" if len(names) == 1 else "tuple[torch.Tensor, ...]",
            forward=body,
            result=", ".join(names),
            example=", ".join(example),
        )

    # ---------------------------------------------------------------------- lines
    def _next(self, kind: str) -> str:
        name = f"{kind}_{self._layers}"
        self._layers += 1
        return name

    def _call(self, kind: str, shape: Dims, expression: str) -> Value:
        """A line of ``forward`` that gives a value."""
        name = self._next(kind)
        self._forward.append(f"        {name} = {expression}  # {_dims(shape)}\n")
        return Value(shape, name)

    def _layer(self, kind: str, shape: Dims, made: str, x: Value) -> Value:
        """A layer with weights, and the line that calls it."""
        self._init.append(f"self.{kind}_{self._layers} = {made}")
        return self._call(kind, shape, f"self.{kind}_{self._layers}({x.handle})")

    def _buffer(self, name: str, expression: str) -> None:
        self._init.append(f'self.register_buffer("{name}", {expression}, persistent=False)')

    def _help(self, name: str) -> str:
        self._helpers[name] = None
        return name

    def _numbers(self, values: NDArray[Any]) -> str:
        """An expression that gives fixed numbers."""
        whole = np.issubdtype(values.dtype, np.integer)
        if values.ndim == 1 and whole and np.array_equal(values, np.arange(len(values))):
            return f"torch.arange({len(values)})"
        if values.size <= _FEW:
            numbers = values.astype(np.int64 if whole else np.float32).tolist()
            return f"torch.tensor({numbers!r}, dtype=torch.{'int64' if whole else 'float32'})"
        kind = "int32" if whole else "float32"
        data = zlib.compress(values.astype(f"<{kind[0]}4").tobytes(), 9)
        text = base64.b64encode(data).decode()
        parts = (text[start : start + _LINE] for start in range(0, len(text), _LINE))
        lines = "\n".join(f'            "{part}"' for part in parts)
        helper = self._help("numbers")
        return f"{helper}(\n{lines},\n            torch.{kind}, {_tuple(values.shape)})"

    # ----------------------------------------------------------------------- ends
    def input(self, shape: Dims, *, tokens: bool = False) -> Value:
        name = f"input_{len(self._inputs)}"
        self._inputs.append((name, shape, tokens))
        return Value(shape, name)

    def output(self, *values: Value) -> None:
        self._outputs = values

    def parameter(self, *shape: int) -> Parameter:
        name = f"shared_{self._shared}"
        self._shared += 1
        size = ", ".join(map(str, shape))
        self._init.append(f"self.{name} = nn.Parameter(0.02 * torch.randn({size}))")
        return Parameter(shape, f"self.{name}")

    def constant(self, values: NDArray[Any]) -> Parameter:
        name = self._next("constant")
        self._buffer(name, self._numbers(np.asarray(values, np.float32)))
        return Parameter(values.shape, f"self.{name}")

    def excerpt(
        self, table: Parameter, rows: NDArray[Any] | None = None, columns: int | None = None
    ) -> Parameter:
        shape = excerpt_shape(table, rows, columns)
        if rows is None:
            return Parameter(*self._call("excerpt", shape, f"{table.handle}[:, :{shape[-1]}]"))
        name = f"excerpt_{self._layers}_rows"
        self._buffer(name, f"{self._numbers(np.asarray(rows, np.int64))}.long()")
        chosen = f"{table.handle}[self.{name}, :{shape[-1]}]"
        return Parameter(*self._call("excerpt", shape, chosen))

    # ---------------------------------------------------------- weighted operators
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
        made = f"nn.Conv{len(kernels)}d({x.shape[0]}, {out}, {_one(kernels)}"
        options = {
            "stride": (_one(strides), "1"),
            "padding": (_one(pads), "0"),
            "dilation": (str(dilation), "1"),
            "groups": (str(groups), "1"),
            "bias": (str(bias), "True"),
        }
        made += "".join(f", {k}={v}" for k, (v, usual) in options.items() if v != usual)
        return self._layer("conv", (out, *extent), f"{made})", x)

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
        made = (
            f"nn.ConvTranspose{len(extent)}d({x.shape[0]}, {out}, {kernel}, stride={stride}, "
            f"padding={padding}, output_padding={output_padding}, bias={bias})"
        )
        return self._layer("conv_transpose", (out, *extent), made, x)

    def linear(
        self, x: Value, out: int, *, bias: bool = True, weight: Parameter | None = None
    ) -> Value:
        shape = (*x.shape[:-1], out)
        if weight is None:
            usual = "" if bias else ", bias=False"
            return self._layer("linear", shape, f"nn.Linear({x.shape[-1]}, {out}{usual})", x)
        reads = [x, weight, *([self.parameter(out)] if bias else [])]
        return self._call("linear", shape, f"F.linear({_names(*reads)})")

    def embedding(self, ids: Value, table: Parameter) -> Value:
        shape = (*ids.shape, table.shape[1])
        return self._call("embedding", shape, f"F.embedding({_names(ids, table)})")

    def batch_norm(self, x: Value) -> Value:
        axes = max(len(x.shape) - 1, 1)
        return self._layer("batch_norm", x.shape, f"nn.BatchNorm{axes}d({x.shape[0]})", x)

    def layer_norm(self, x: Value, *, bias: bool = True) -> Value:
        usual = "" if bias else ", bias=False"
        return self._layer("layer_norm", x.shape, f"nn.LayerNorm({x.shape[-1]}{usual})", x)

    def rms_norm(self, x: Value) -> Value:
        return self._layer("rms_norm", x.shape, f"nn.RMSNorm({x.shape[-1]})", x)

    # ----------------------------------------------------------------- no weights
    def act(self, name: str, x: Value, *, slope: float = 0.01) -> Value:
        check_act(name)
        if name == "leaky_relu":
            return self._call(name, x.shape, f"F.leaky_relu({x.handle}, {slope!r})")
        return self._call(name, x.shape, _ACTIVATIONS[name].format(x.handle))

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
        most = kind == "max"
        text = f"F.{'max' if most else 'avg'}_pool{len(kernels)}d({x.handle}, {_one(kernels)}"
        text += f", stride={_one(strides)}, padding={_one(pads)}"
        text += ", ceil_mode=True" if ceil else ""
        text += ")" if most else ", count_include_pad=False)"
        return self._call("max_pool" if most else "avg_pool", (x.shape[0], *extent), text)

    def global_pool(self, x: Value) -> Value:
        dims = tuple(range(-len(x.shape) + 1, 0))
        return self._call("global_pool", (x.shape[0],), f"{x.handle}.mean({_tuple(dims)})")

    def mean(self, x: Value, axis: int = 0) -> Value:
        shape = (*x.shape[:axis], *x.shape[axis + 1 :])
        return self._call("mean", shape, f"{x.handle}.mean({axis + 1})")

    def resize(self, x: Value, extent: Sequence[int]) -> Value:
        shape = (x.shape[0], *extent)
        if shape == x.shape:
            return x
        text = f"F.interpolate({x.handle}, size={_tuple(extent)})"
        return self._call("resize", shape, text)

    def add(self, first: Value | Parameter, *others: Value | Parameter) -> Value:
        total = Value(*first)
        for other in others:
            shape = broadcast(total.shape, other.shape)
            total = self._call("add", shape, f"{total.handle} + {other.handle}")
        return total

    def sub(self, a: Value, b: Value) -> Value:
        return self._call("sub", broadcast(a.shape, b.shape), f"{a.handle} - {b.handle}")

    def mul(self, a: Value, b: Value | Parameter) -> Value:
        return self._call("mul", broadcast(a.shape, b.shape), f"{a.handle} * {b.handle}")

    def scale(self, x: Value, number: float) -> Value:
        return self._call("scale", x.shape, f"{x.handle} * {_number(number)}")

    def power(self, x: Value, exponent: float) -> Value:
        return self._call("power", x.shape, f"torch.pow({x.handle}, {_number(exponent)})")

    def at_least(self, x: Value, number: float) -> Value:
        return self._call("at_least", x.shape, f"torch.clamp({x.handle}, min={_number(number)})")

    def concat(self, values: Sequence[Value], axis: int = 0) -> Value:
        shape = joined_shape(values, axis)
        return self._call("concat", shape, f"torch.cat([{_names(*values)}], {axis + 1})")

    def prepend(self, tokens: Parameter, x: Value) -> Value:
        shape = (tokens.shape[0] + x.shape[0], x.shape[1])
        before = f"{tokens.handle}.expand({x.handle}.shape[0], -1, -1)"
        return self._call("prepend", shape, f"torch.cat([{before}, {x.handle}], 1)")

    def matmul(self, a: Value | Parameter, b: Value | Parameter) -> Value:
        shape = product_shape(a.shape, b.shape)
        return self._call("matmul", shape, f"torch.matmul({_names(a, b)})")

    def rotary(self, x: Value, heads: int, share: float = 1.0) -> Value:
        turned = int(x.shape[1] // heads * share)
        made = f"{self._help('Rotary')}({x.shape[0]}, {heads}, {turned})"
        return self._layer("rotary", x.shape, made, x)

    def unfold(self, x: Value, window: int) -> Value:
        text = f"{self._help('unfold')}({x.handle}, {window})"
        return self._call("unfold", (*x.shape, window), text)

    def attention(self, q: Value, k: Value, v: Value, heads: int, *, causal: bool = False) -> Value:
        check_heads(heads, q, k, v)
        text = f"{self._help('attention')}({_names(q, k, v)}, {heads}, causal={causal})"
        return self._call("attention", (q.shape[0], v.shape[1]), text)

    def slice(self, x: Value, start: int, stop: int, axis: int = 0) -> Value:
        shape = (*x.shape[:axis], stop - start, *x.shape[axis + 1 :])
        text = f"{x.handle}.narrow({axis + 1}, {start}, {stop - start})"
        return self._call("slice", shape, text)

    def pad(self, x: Value, ends: Sequence[tuple[int, int]]) -> Value:
        # torch wants the last axis first.
        numbers = [number for pair in reversed(ends) for number in pair]
        return self._call("pad", padded(x, ends), f"F.pad({x.handle}, {numbers})")

    def reshape(self, x: Value, *shape: int) -> Value:
        check_size(x, shape)
        sizes = ", ".join(map(str, shape))
        return self._call("reshape", shape, f"{x.handle}.reshape({x.handle}.shape[0], {sizes})")

    def permute(self, x: Value, *axes: int) -> Value:
        shape = tuple(x.shape[axis] for axis in axes)
        dims = ", ".join(str(axis + 1) for axis in axes)
        return self._call("permute", shape, f"{x.handle}.permute(0, {dims})")


def _names(*values: Value | Parameter) -> str:
    return ", ".join(value.handle for value in values)


def _one(sizes: Dims) -> str:
    """A number where all axes agree, else a tuple."""
    return str(sizes[0]) if len(set(sizes)) == 1 else _tuple(sizes)


def _tuple(sizes: Sequence[int]) -> str:
    return repr(tuple(int(size) for size in sizes))


def _number(value: float) -> str:
    return repr(float(value))


def _dims(shape: Dims) -> str:
    return "x".join(map(str, shape)) or "scalar"
