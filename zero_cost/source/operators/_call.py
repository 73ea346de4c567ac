"""What a function that runs one ONNX operator is given, and the table of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import torch

from archcast.encoders.errors import UnreadableModelError
from archcast.zero_cost.source._batching import Reshapes

#: A tensor; a list of them for a sequence; None for an operand that is left out.
Value = Any
Function = Callable[..., Any]
_F = TypeVar("_F", bound=Function)

#: (domain, operator) -> the function that runs it: ``function(call, *operands)``.
TABLE: Final[dict[tuple[str, str], Function]] = {}

#: ``TensorProto.DataType`` -> torch's type; where torch has no arithmetic, the next wider one.
DTYPES: Final[dict[int, torch.dtype]] = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    4: torch.int32,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    12: torch.int64,
    13: torch.int64,
    14: torch.complex64,
    15: torch.complex128,
    16: torch.bfloat16,
    17: torch.float8_e4m3fn,
    18: torch.float8_e4m3fnuz,
    19: torch.float8_e5m2,
    20: torch.float8_e5m2fnuz,
    21: torch.uint8,
    22: torch.int8,
}


@dataclass(slots=True)
class Call:
    """One operator's call.

    Attributes:
        op: the operator's name.
        attributes: its attributes as Python values, torch tensors and sub-graphs.
        opset: version of the standard operators.
        outputs: how many results are asked for.
        training: whether norms take their statistics from the batch.
        device: where the network's inputs are.
        reshapes: how reshapes with a fixed batch are made to fit another.
        run: runs a sub-graph with some operands.
    """

    op: str
    attributes: Mapping[str, Any]
    opset: int
    outputs: int = 1
    training: bool = False
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    reshapes: Reshapes = field(default_factory=Reshapes)
    run: Callable[[Any, Sequence[Value]], list[Value]] | None = None

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or what the standard says it is when left out."""
        value = self.attributes.get(name)
        return default if value is None else value


def operator(*names: str, domain: str = "") -> Callable[[_F], _F]:
    """Put a function into the table under some operators' names."""

    def put(function: _F) -> _F:
        for name in names:
            TABLE[domain, name] = function
        return function

    return put


def ints(value: Value) -> list[int]:
    """Whole numbers that an operand or an attribute holds."""
    if value is None:
        return []
    if isinstance(value, torch.Tensor):
        return [int(v) for v in value.reshape(-1).tolist()]
    return [int(v) for v in value] if isinstance(value, (list, tuple)) else [int(value)]


def number(value: Value, default: float) -> float:
    """The one number an operand or an attribute holds."""
    if value is None:
        return default
    if isinstance(value, torch.Tensor):
        return value.reshape(-1)[0].item() if value.numel() else default
    return value


def axes_of(call: Call, operand: Value, rank: int) -> list[int]:
    """Axes that moved from an attribute to an operand in a later version, from 0 upwards."""
    given = operand if operand is not None else call.get("axes")
    return [axis % rank if rank else 0 for axis in ints(given)]


def unsupported(call: Call, what: str) -> UnreadableModelError:
    """The error for a form of an operator that is not run."""
    return UnreadableModelError(f"operator {call.op}: {what} is not supported")
