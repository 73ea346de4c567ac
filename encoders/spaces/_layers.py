"""``LayerSpace``: lists of choices of which a chosen depth says how long they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, ClassVar

from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces._fields import Choices, FieldSpace


class LayerSpace(FieldSpace):
    """A space where some fields have one choice for each layer, and another says how many layers.

    Texts and mappings hold the choices of the layers that are there; the parsed form holds the
    first option for those beyond.
    """

    #: Name of the field that holds the number of layers.
    depth: ClassVar[str]
    #: Names of the fields with one choice for each layer; each as long as the greatest depth.
    layered: ClassVar[frozenset[str]]

    def __init_subclass__(cls, **options: Any) -> None:
        """Count the specifications, without those that differ in layers that are not there."""
        super().__init_subclass__(**options)
        if "fields" in vars(cls):
            fields = {field.name: field for field in cls.fields}
            once = prod(
                len(f.options) ** f.length
                for f in cls.fields
                if f.name not in cls.layered and f.name != cls.depth
            )
            layer = prod(len(fields[name].options) for name in cls.layered)
            cls.size = once * sum(layer**depth for depth in fields[cls.depth].options)

    def parse(self, spec: Any) -> Choices:
        """Read a text, a mapping, or a tuple of choices; see the class."""
        if isinstance(spec, str):
            spec = self._split(spec.strip().removeprefix(f"{self.name}:"))
        if isinstance(spec, Mapping):
            spec = self._filled(spec)
        return super().parse(spec)

    def text(self, cell: Choices) -> str:
        """Write ``name=value,value;name=value``, for the layers that are there."""
        depth = self.chosen(cell, self.depth)[0]
        parts = (
            (f.name, values[:depth] if f.name in self.layered else values)
            for f, values in zip(self.fields, cell, strict=True)
        )
        return ";".join(f"{name}={','.join(map(str, values))}" for name, values in parts)

    def canonical(self, cell: Choices) -> Choices:
        """Set the choices of layers that are not there to the first option."""
        depth = self.chosen(cell, self.depth)[0]
        return tuple(
            (*values[:depth], *(f.options[:1] * (f.length - depth)))
            if f.name in self.layered
            else values
            for f, values in zip(self.fields, cell, strict=True)
        )

    def owns(self, text: str) -> bool:
        """A text that names all the fields in their order, with options only this space has."""
        if not super().owns(text):
            return False
        try:
            self.parse(text)
        except InvalidSpecError:
            return False
        return True

    def chosen(self, cell: Choices, name: str) -> tuple[Any, ...]:
        """The choices of one field."""
        return next(v for f, v in zip(self.fields, cell, strict=True) if f.name == name)

    def layers(self, cell: Choices, *names: str) -> Iterator[tuple[Any, ...]]:
        """For each layer that is there, its choices in the named fields."""
        lists = [self.chosen(cell, name) for name in names]
        return iter(list(zip(*lists, strict=True))[: self.chosen(cell, self.depth)[0]])

    def _filled(self, spec: Mapping[Any, Any]) -> dict[Any, Any]:
        """The mapping with lists of full length; what is not well formed is left as it is."""
        depths = next(f.options for f in self.fields if f.name == self.depth)
        depth = spec.get(self.depth)
        depth = depth[0] if isinstance(depth, (list, tuple)) and depth else depth
        depth = next((d for d in depths if str(d) == str(depth)), None)
        filled = dict(spec)
        for field in self.fields:
            values = spec.get(field.name)
            if field.name in self.layered and isinstance(values, (list, tuple)):
                if depth and len(values) not in (depth, field.length):
                    raise InvalidSpecError(
                        f"{self.name}: {field.name} has {len(values)} values, not {depth} "
                        f"as {self.depth} says"
                    )
                missing = field.length - depth if depth and len(values) == depth else 0
                filled[field.name] = [*values, *(field.options[:1] * missing)]
        return filled
