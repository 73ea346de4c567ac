"""One ATen operator with its operands looked up: what every rule is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from archcast.encoders._torch.capture import Ref, Shape, Step
from archcast.encoders._trace import Tensor, Tracer
from archcast.encoders.errors import UnreadableModelError


@dataclass
class Lowering:
    """The trace so far, and the value of every name in the recording."""

    trace: Tracer = field(default_factory=Tracer)
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Call:
    """One step with its operands looked up."""

    lowering: Lowering
    step: Step
    op: str

    @property
    def trace(self) -> Tracer:
        return self.lowering.trace

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the (first) result."""
        result = self.step.result
        while isinstance(result, list):
            result = next((r for r in result if r is not None), Shape((), True))
        return result.dims if result is not None else ()

    def get(self, index: int, name: str = "", default: Any = None) -> Any:
        """An argument as it stands."""
        if index < len(self.step.args):
            return self.step.args[index]
        return self.step.kwargs.get(name, default)

    def tensor(self, index: int, name: str = "") -> Tensor | None:
        """An argument as a tensor, None where it is absent."""
        return self.lookup(self.get(index, name))

    def lookup(self, value: Any) -> Tensor | None:
        """A reference or number as a tensor."""
        if isinstance(value, Ref):
            found = self.lowering.values.get(value.name)
            return found[0] if isinstance(found, list) else found
        if isinstance(value, (bool, int, float)):
            return Tensor((), data=np.array(value), floating=isinstance(value, float))
        return None

    def need(self, index: int, name: str = "") -> Tensor:
        """An argument that must be a tensor.

        Raises:
            UnreadableModelError: it is something else.
        """
        found = self.tensor(index, name)
        if found is None:
            raise UnreadableModelError(f"operator {self.op} lacks its operand {index + 1}")
        return found

    def x(self) -> Tensor:
        """The first argument, which every rule needs."""
        return self.need(0)

    def tensors(self) -> list[Tensor]:
        """Every tensor among the arguments, lists of them opened."""
        found: list[Tensor] = []
        for value in [*self.step.args, *self.step.kwargs.values()]:
            for item in value if isinstance(value, list) else [value]:
                tensor = self.lookup(item) if isinstance(item, Ref) else None
                if tensor is not None:
                    found.append(tensor)
        return found

    def numbers(self, index: int, name: str, rank: int, default: int = 1) -> list[int]:
        """A list of integers, one number standing for all; empty means the default."""
        value = self.get(index, name)
        items = [value] if isinstance(value, int) else list(value or [])
        items = [int(i) for i in items] or [default]
        return items * rank if len(items) == 1 else items
