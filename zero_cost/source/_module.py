"""A torch module as a source: a copy of its own, with its own or with fresh weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from archcast.encoders._read_types import InputShape
from archcast.encoders.errors import ShapeError, UnreadableModelError
from archcast.zero_cost.source._batching import Reshapes
from archcast.zero_cost.source._network import Result, SourceNetwork
from archcast.zero_cost.source._weights import Draw


class ModuleNetwork(SourceNetwork):
    """A deep copy of a module in training mode.

    Args:
        module: any module that takes tensors.
        input_shape: shape of its input, batch first; input name -> shape for several, given by
            keyword. Modules of search spaces know theirs.
        fresh: whether weights are drawn anew (:func:`refresh`).
        seed: of the drawing.

    Raises:
        ShapeError: no input shape.
        UnreadableModelError: the module cannot be copied, or has no weights yet.
    """

    def __init__(
        self, module: nn.Module, input_shape: InputShape | None, *, fresh: bool, seed: int
    ) -> None:
        super().__init__()
        self._keywords = hasattr(input_shape, "keys")
        self._declare(module, input_shape)
        on_meta = any(p.is_meta for p in module.parameters())
        if on_meta and not fresh:
            raise UnreadableModelError("the module is on the meta device: use weights='fresh'")
        try:
            self.module = copy.deepcopy(module).train()
        except Exception as error:  # a module may refuse in any way
            raise UnreadableModelError(f"the module cannot be copied: {error}") from error
        if on_meta:
            self.module = self.module.to_empty(device="cpu")
        for parameter in self.module.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        if fresh:
            refresh(self.module, seed, blank=on_meta)
        self.batching = "together"

    def _declare(self, module: nn.Module, shape: Any) -> None:
        own: Any = getattr(module, "input_shapes", None)
        if shape is None and own is None:
            raise ShapeError("a torch module does not say what it takes: give input_shape")
        if shape is None:
            tokens: Any = getattr(module, "token_inputs", [False] * len(own))
            self.input_shapes = [(1, *dims) for dims in own]
            self.input_types = [torch.int64 if t else torch.float32 for t in tokens]
        elif self._keywords:
            self.input_shapes = [tuple(dims) for dims in shape.values()]
        else:
            self.input_shapes = [tuple(shape)]
        self.input_types = self.input_types or [torch.float32] * len(self.input_shapes)
        names = list(shape or ()) if self._keywords else range(len(self.input_shapes))
        self.input_names = [n if isinstance(n, str) else f"input_{n}" for n in names]

    def mixes_samples(self) -> bool:
        """Whether there is a batch norm in training mode."""
        norm = nn.modules.batchnorm._BatchNorm  # what all batch norms are
        return any(isinstance(part, norm) and part.training for part in self.module.modules())

    def run(self, inputs: tuple[Tensor, ...], reshapes: Reshapes) -> Result:
        """Call the module; see :meth:`SourceNetwork.run`."""
        del reshapes
        if self._keywords:
            result = self.module(**dict(zip(self.input_names, inputs, strict=True)))
        else:
            result = self.module(*inputs)
        tensors = _leaves(result)
        if not tensors:
            raise UnreadableModelError(f"the module gives {type(result).__name__}, not a tensor")
        return tensors[0] if len(tensors) == 1 else tuple(tensors)


def refresh(module: nn.Module, seed: int, *, blank: bool = False) -> None:
    """Draw a module's weights anew, the same for the same seed.

    Layers draw theirs as torch does when it makes them (``reset_parameters``). Parameters that
    belong to no such layer stay if they are all one number (a layer's scale), else they become
    normal with their own mean and deviation.

    Args:
        module: changed in place.
        seed: of the random numbers; torch's own generator is left as it was.
        blank: whether there are no numbers to go by; then the deviation is 0.02.
    """
    own: set[int] = set()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for part in module.modules():
            reset = getattr(part, "reset_parameters", None)
            if callable(reset):
                reset()
                own.update(id(p) for p in part.parameters(recurse=False))
        draw = Draw(seed)
        for parameter in module.parameters():
            if id(parameter) in own or not parameter.is_floating_point():
                continue
            numbers = draw.normal(tuple(parameter.shape)).to(parameter)
            if blank:
                parameter.copy_(numbers * 0.02)
            elif parameter.numel() > 1 and float(parameter.std()) > 0:
                parameter.copy_(numbers * parameter.std() + parameter.mean())


def _leaves(value: Any) -> Sequence[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in _leaves(item)]
    return []
