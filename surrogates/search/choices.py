"""``ChoiceSpace``: a person's own search space, as a mapping from names to options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from archcast.encoders import read
from archcast.encoders._words import shown
from archcast.encoders.errors import (
    ArchcastError,
    EvaluationError,
    InvalidSpecError,
    NotANetworkError,
)
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces import Field, FieldSpace
from archcast.encoders.spaces._base import building
from archcast.encoders.spaces._fields import Choices, check_fields

__all__ = ["ChoiceSpace"]


class ChoiceSpace(FieldSpace):
    """Architectures that are one option for each of several names, and a function to build them.

    With it every strategy, adapter and command searches a space of one's own:

    >>> space = ChoiceSpace("mine", {"depth": [2, 3, 4], "width": [16, 32]}, build)
    ... # doctest: +SKIP

    A text reads ``depth=2;width=16``; mappings are read, too. What is not of the network, such as
    a learning rate, may be among the names; a surrogate heeds it as a number beside the features.

    Args:
        name: of the space: letters, digits, - and _.
        choices: name -> its options, numbers or texts.
        to_network: from a mapping name -> option to a torch module, ONNX file or graph. It runs in
            this process.
        input_shape: of modules, batch first.
        num_classes: outputs, for those who ask.
        image_size: height and width of the input, for those who ask.

    Raises:
        InvalidSpecError: no choices, options that repeat or are missing, or names and options
            that hold one of ``; , =``.
    """

    def __init__(
        self,
        name: str,
        choices: Mapping[str, Sequence[Any]],
        to_network: Callable[[dict[str, Any]], Any],
        *,
        input_shape: Any = None,
        num_classes: int = 10,
        image_size: int = 32,
    ) -> None:
        if not choices:
            raise InvalidSpecError(f"{name}: there is nothing to choose from")
        # What other spaces say once for their class, each of these says for itself.
        fields = tuple(Field(key, tuple(options)) for key, options in choices.items())
        self.name = name  # pyright: ignore[reportAttributeAccessIssue]
        self.fields = fields  # pyright: ignore[reportAttributeAccessIssue]
        check_fields(name, fields)
        size = prod(len(field.options) for field in fields)
        self.size = size  # pyright: ignore[reportAttributeAccessIssue]
        self.to_network, self.input_shape = to_network, input_shape
        self.num_classes, self.image_size = num_classes, image_size
        self._graphs: dict[Choices, ComputeGraph] = {}

    def choices(self, spec: Any) -> dict[str, Any]:
        """The mapping that a specification stands for.

        Raises:
            InvalidSpecError: it is not of this space.
        """
        cell = self.parse(spec)
        return {field.name: value[0] for field, value in zip(self.fields, cell, strict=True)}

    def graphs(
        self, specs: Sequence[Any], num_classes: int | None = None, image_size: int | None = None
    ) -> list[ComputeGraph]:
        """The networks that ``to_network`` builds, as canonical graphs; each is built once.

        Args:
            specs: specifications: texts or mappings.
            num_classes: not used: the function knows.
            image_size: not used.

        Raises:
            EvaluationError: ``to_network`` raised, or gave no network.
        """
        cells = [self.parse(spec) for spec in specs]
        for cell in dict.fromkeys(cells):
            if cell not in self._graphs:
                self._graphs[cell] = self._built(cell)
        return [self._graphs[cell] for cell in cells]

    def module(
        self, spec: Any, num_classes: int | None = None, image_size: int | None = None
    ) -> Any:
        """What ``to_network`` builds, anew.

        Args:
            spec: text or mapping.
            num_classes: not used: the function knows.
            image_size: not used.

        Raises:
            InvalidSpecError: it is not of this space.
            NotANetworkError: ``to_network`` makes a graph, a text or a file, and no torch module.
            EvaluationError: ``to_network`` raised.
        """
        network = self._called(self.parse(spec))
        if not hasattr(network, "named_parameters"):
            raise NotANetworkError(
                f"{self.name}: {self._function}() gives a {type(network).__name__}, and no torch "
                "module"
            )
        return network

    @property
    def _function(self) -> str:
        return getattr(self.to_network, "__name__", type(self.to_network).__name__)

    def _called(self, cell: Choices) -> Any:
        with building(self.name, self.text(cell), f"{self._function}()"):
            return self.to_network(self.choices(cell))

    def _built(self, cell: Choices) -> ComputeGraph:
        network = self._called(cell)
        try:
            return read(network, self.input_shape)
        except ArchcastError as error:
            raise EvaluationError(
                f"{self.name}: {self._function}() turned {self.text(cell)} into {shown(network)}, "
                f"which cannot be read as a network: {error}"
            ) from error
