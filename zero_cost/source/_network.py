"""``SourceNetwork``: what every source becomes, and how it takes any batch."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from archcast.encoders._torch.capture import evaluating
from archcast.encoders.errors import ShapeError
from archcast.zero_cost.source._batching import Reshapes

Result = Tensor | tuple[Tensor, ...]


class SourceNetwork(nn.Module):
    """The network that a source describes, as a module with parameters of its own.

    A new one is in training mode: batch norms take their statistics from the batch.

    Attributes:
        input_names: names of the inputs, in call order.
        input_shapes: their shapes, batch first, as the source has them; unknown dimensions bound.
        input_types: their element types.
        batching: how another batch than the source's own is run: ``together``; ``fitted``, with
            reshapes that hold the batch changed; ``one by one``, in parts of the source's own
            batch; None while it is not settled.
    """

    def __init__(self) -> None:
        super().__init__()
        self.input_names: list[str] = []
        self.input_shapes: list[tuple[int, ...]] = []
        self.input_types: list[torch.dtype] = []
        self.batching: Literal["together", "fitted", "one by one"] | None = None
        self._notes: Reshapes | None = None

    @abstractmethod
    def run(self, inputs: tuple[Tensor, ...], reshapes: Reshapes) -> Result:
        """Run the source once.

        Args:
            inputs: in the order of :attr:`input_names`.
            reshapes: how reshapes are carried out.
        """

    @abstractmethod
    def mixes_samples(self) -> bool:
        """Whether a sample's result depends on the others' in the mode the network is in."""

    def always_mixes(self) -> bool:
        """Whether it does so in evaluation mode, too; then shapes alone are compared."""
        return False

    def forward(self, *inputs: Tensor) -> Result:
        """The network's output, or a tuple of several.

        Args:
            *inputs: (batch, ...) tensors in the order of :attr:`input_names`.

        Raises:
            ShapeError: too few inputs, shapes that do not fit, or a batch that cannot be run.
            UnreadableModelError: an operator that is not known.
        """
        if len(inputs) != len(self.input_names):
            names = ", ".join(self.input_names)
            raise ShapeError(f"the network has {len(self.input_names)} inputs: {names}")
        if not self._another_batch(inputs):
            return self.run(inputs, Reshapes())
        if self.batching is None:
            self.settle()
        if self.batching == "fitted":
            assert self._notes is not None
            return self.run(inputs, Reshapes("fit", self._notes.notes))
        return (
            self._in_parts(inputs)
            if self.batching == "one by one"
            else self.run(inputs, Reshapes())
        )

    def example(self, batch: int | None = None, seed: int = 0) -> tuple[Tensor, ...]:
        """Random inputs: standard normal numbers, and zeros and ones where they are whole.

        Args:
            batch: the source's own if None.
            seed: of the random numbers.
        """
        generator = torch.Generator().manual_seed(seed)
        found = []
        for shape, kind in zip(self.input_shapes, self.input_types, strict=True):
            dims = (batch, *shape[1:]) if batch is not None and shape else shape
            if kind.is_floating_point:
                made = torch.randn(dims, generator=generator).to(kind)
            else:
                made = torch.randint(0, 2, dims, generator=generator).to(kind)
            found.append(made.to(self._device()))
        return tuple(found)

    def settle(self) -> None:
        """Find out how other batches are run, by comparing two samples together with each alone.

        It is done when first needed; inside ``torch.func`` transforms it must be done before.
        """
        own = self.input_shapes[0][0] if self.input_shapes and self.input_shapes[0] else 1
        inputs = self.example(2 * own)
        with evaluating(self), torch.no_grad():
            notes = Reshapes("note")
            self.run(tuple(x[:own] for x in inputs), notes)
            self._notes = notes
            wanted = () if self.always_mixes() else _tuple(self._in_parts(inputs))
            for way, reshapes in (
                ("together", Reshapes()),
                ("fitted", Reshapes("fit", notes.notes)),
            ):
                found = self._attempt(inputs, reshapes)
                grown = bool(found) and all(x.shape[:1] == (2 * own,) for x in found)
                if _same(found, wanted) if wanted else grown:
                    self.batching = way  # type: ignore[assignment]
                    return
        self.batching = "one by one"

    def _attempt(self, inputs: tuple[Tensor, ...], reshapes: Reshapes) -> tuple[Tensor, ...]:
        try:
            return _tuple(self.run(inputs, reshapes))
        except (RuntimeError, ValueError, IndexError):
            return ()

    def _another_batch(self, inputs: tuple[Tensor, ...]) -> bool:
        """Whether inputs are as the source has them but for their first dimension."""
        pairs = [(tuple(x.shape), own) for x, own in zip(inputs, self.input_shapes, strict=True)]
        if not pairs or any(len(now) != len(own) or not own for now, own in pairs):
            return False
        (now, *_), (own, *_) = pairs[0]
        return now != own and all(a[0] * own == b[0] * now and a[1:] == b[1:] for a, b in pairs)

    def _in_parts(self, inputs: tuple[Tensor, ...]) -> Result:
        """Parts of the source's own batch, one after another; the last is filled up."""
        own, batch = self.input_shapes[0][0], inputs[0].shape[0]
        if self.mixes_samples():
            raise ShapeError(
                f"the source holds a batch of {own}, and its batch norms need all samples at once: "
                "export it with a free batch dimension, or use evaluation mode"
            )
        found = []
        for start in range(0, batch, own):
            places = torch.arange(start, start + own).clamp(max=batch - 1)
            found.append(_tuple(self.run(tuple(x[places] for x in inputs), Reshapes())))
        joined = tuple(
            torch.cat(parts)[:batch] if parts[0].dim() else torch.stack(parts)
            for parts in zip(*found, strict=True)
        )
        return joined[0] if len(joined) == 1 else joined

    def _device(self) -> torch.device:
        tensor = next(self.parameters(), None)
        tensor = tensor if tensor is not None else next(self.buffers(), None)
        return torch.device("cpu") if tensor is None else tensor.device


def _tuple(result: Any) -> tuple[Tensor, ...]:
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)


def _same(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> bool:
    return len(found) == len(wanted) and all(
        a.shape == b.shape and torch.allclose(a, b, 1e-3, 1e-3 * _size(b), equal_nan=True)
        for a, b in zip(found, wanted, strict=True)
    )


def _size(x: Tensor) -> float:
    finite = x[torch.isfinite(x)].double().abs() if x.is_floating_point() else x.double().abs()
    return float(finite.max()) if finite.numel() else 0.0
