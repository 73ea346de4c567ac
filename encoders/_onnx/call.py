"""One ONNX operator with its operands looked up: what every rule is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archcast.encoders._geometry import Dims
from archcast.encoders._trace import Tensor, Tracer, merge_sources
from archcast.encoders.errors import ShapeError

#: A tensor, or an ONNX sequence of them.
Value = Tensor | list[Tensor]


def first_tensor(value: Value | None) -> Tensor:
    """A tensor where a sequence or nothing may stand."""
    if isinstance(value, list):
        return value[0] if value else Tensor(())
    return value if value is not None else Tensor(())


def dim_of(dim: Any) -> int | str | None:
    """A dimension's number, its symbol, or None where the file says neither."""
    if dim.dim_param:
        return str(dim.dim_param)
    return int(dim.dim_value) if dim.dim_value > 0 else None


class Hints:
    """Shapes that a file states for inner tensors; looked at only where no rule tells them."""

    def __init__(self, infos: Sequence[Any] = (), symbols: Mapping[str, int] | None = None) -> None:
        self._infos = infos
        self._symbols = symbols or {}
        self._shapes: dict[str, Dims] | None = None

    def get(self, name: str) -> Dims | None:
        """The stated shape of a tensor, unknown dimensions taken for 1."""
        if self._shapes is None:
            stated = (value for group in self._infos for value in group)
            self._shapes = {
                value.name: tuple(self._bind(d) for d in value.type.tensor_type.shape.dim)
                for value in stated
                if value.type.tensor_type.HasField("shape")
            }
        return self._shapes.get(name)

    def _bind(self, dim: Any) -> int:
        size = dim_of(dim)
        return self._symbols.get(size, 1) if isinstance(size, str) else size or 1


@dataclass(slots=True)
class Call:
    """An operator's name, operands and attributes, and where its result goes."""

    op: str
    inputs: list[Value | None]
    attributes: Mapping[str, Any]
    trace: Tracer
    opset: int
    outputs: Sequence[str]
    hints: Hints
    node: Any

    def x(self, index: int = 0) -> Tensor:
        """An operand that must be there."""
        if index >= len(self.inputs) or self.inputs[index] is None:
            raise ShapeError(f"operator {self.op} lacks its operand {index + 1}; export it again")
        return first_tensor(self.inputs[index])

    def maybe(self, index: int) -> Tensor | None:
        """An operand that may be absent."""
        if index >= len(self.inputs) or self.inputs[index] is None:
            return None
        return first_tensor(self.inputs[index])

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        value = self.attributes.get(name)
        return default if value is None else value

    def tensors(self) -> list[Tensor]:
        """All operands that are there."""
        return [first_tensor(v) for v in self.inputs if v is not None]

    def known(self) -> list[Any] | None:
        """The operands' numbers if every operand is a constant with known numbers."""
        numbers = []
        for value in self.inputs:
            if value is None:
                numbers.append(None)
            elif isinstance(value, list) or value.node >= 0 or value.data is None:
                return None
            else:
                numbers.append(value.data)
        return numbers

    def operand_sources(self) -> tuple[tuple[str, int], ...]:
        """The weights among the operands."""
        return merge_sources(self.tensors())

    def integers(self, attribute: str, index: int) -> list[int] | None:
        """Integers from an attribute (old opsets) or an operand (new ones), if they are known."""
        if attribute in self.attributes:
            return [int(i) for i in self.attributes[attribute]]
        operand = self.maybe(index)
        if operand is None or operand.data is None:
            return None
        return [int(i) for i in operand.data.reshape(-1)]

    def hint(self, index: int = 0) -> Dims | None:
        """The shape that the file itself states for a result."""
        return self.hints.get(self.outputs[index]) if index < len(self.outputs) else None


#: What turns an operator into its results.
Rule = Callable[[Call], Value | list[Any]]


def broadcast(a: Dims, b: Dims) -> Dims:
    """NumPy's broadcasting of two shapes.

    Raises:
        ShapeError: they do not fit.
    """
    if a == b:
        return a
    if len(a) < len(b):
        a, b = b, a
    result = list(a)
    for k in range(1, len(b) + 1):
        x, y = a[-k], b[-k]
        if x != y and 1 not in (x, y):
            raise ShapeError(f"operands of shapes {a} and {b} do not fit; check the input shape")
        result[-k] = y if x == 1 else x
    return tuple(result)


def axis_of(axis: int, rank: int) -> int:
    """A non-negative axis.

    Raises:
        ShapeError: the tensor has no such axis.
    """
    if not -rank <= axis < max(rank, 1):
        raise ShapeError(f"axis {axis} of a tensor with {rank} dimensions; check the input shape")
    return axis % rank if rank else 0


def reshaped(shape: Dims, target: Sequence[int], allow_zero: bool = False) -> Dims:
    """The result of reshaping to a target with -1 (the rest) and 0 (as before).

    Raises:
        ShapeError: the numbers of elements differ.
    """
    copied = set() if allow_zero else {i for i, d in enumerate(target) if d == 0 and i < len(shape)}
    dims = [shape[i] if i in copied else d for i, d in enumerate(target)]
    size = math.prod(shape)
    known = math.prod(d for d in dims if d != -1)
    if -1 in dims:
        dims[dims.index(-1)] = size // known if known else 0
    if math.prod(dims) != size or -1 in dims:
        raise ShapeError(
            f"cannot reshape {shape} to {tuple(target)}; give the input shape that the model was "
            "made for"
        )
    return tuple(dims)


def positive(op: str, shape: Sequence[int]) -> Dims:
    """The shape, if every dimension has room.

    Raises:
        ShapeError: the input is too small.
    """
    if min(shape, default=1) < 1:
        raise ShapeError(
            f"the input is too small for {op}: a result would have shape {tuple(shape)}; "
            "give a larger --input-shape"
        )
    return tuple(shape)
