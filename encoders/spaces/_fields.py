"""``FieldSpace``: search spaces whose architectures are lists of choices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, product
from math import prod
from typing import Any, ClassVar, NamedTuple

import numpy as np

from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces._base import Space

#: Chosen values, one tuple a field.
Choices = tuple[tuple[Any, ...], ...]


class Field(NamedTuple):
    """A list of choices of one kind.

    Attributes:
        name: what stands before the ``=`` in the text.
        options: the values to choose from; no two are written alike.
        length: how many choices there are.
    """

    name: str
    options: tuple[Any, ...]
    length: int = 1


class FieldSpace(Space[Choices]):
    """A space whose architectures are lists of choices, such as depths, widths and kernels.

    A subclass sets ``name``, ``fields`` and writes :meth:`build`; everything else follows. A
    specification is a text ``depth=2,3;width=16,32``, a mapping ``{"depth": [2, 3], "width":
    [16, 32]}``, or the parsed form: a tuple of chosen values for each field, in the order of
    ``fields``.

    Where some choices have no effect (the kernel of a layer beyond the chosen depth),
    :meth:`canonical` sets them to one value, so that equal networks have equal texts.
    """

    #: The choices.
    fields: ClassVar[tuple[Field, ...]]

    def __init_subclass__(cls, **options: Any) -> None:
        """Count the specifications, those that differ in choices without effect included."""
        super().__init_subclass__(**options)
        if "fields" in vars(cls):
            check_fields(cls.__name__, cls.fields)
        if "fields" in vars(cls) and "size" not in vars(cls):
            cls.size = prod(len(f.options) ** f.length for f in cls.fields)

    def canonical(self, cell: Choices) -> Choices:
        """Set choices without effect to one value.

        Raises:
            InvalidSpecError: choices that exclude each other.
        """
        return cell

    def parse(self, spec: Any) -> Choices:
        """Read a text, a mapping, or a tuple of choices; see the class."""
        if isinstance(spec, str):
            spec = self._split(spec.strip().removeprefix(f"{self.name}:"))
        if isinstance(spec, Mapping):
            unknown = sorted(str(key) for key in set(spec) - {f.name for f in self.fields})
            if unknown:
                known = ", ".join(f.name for f in self.fields)
                raise InvalidSpecError(
                    f"{self.name}: no field {shown(unknown[0])}; fields are {known}"
                )
            missing = [f.name for f in self.fields if f.name not in spec]
            if missing:
                raise InvalidSpecError(f"{self.name}: field {missing[0]!r} is missing")
            spec = tuple(spec[f.name] for f in self.fields)
        if not isinstance(spec, Sequence) or len(spec) != len(self.fields):
            raise InvalidSpecError(
                f"{self.name}: {shown(spec)} is neither text, mapping nor {len(self.fields)} "
                "lists; "
                f"a specification reads {self._example()}"
            )
        return self.canonical(
            tuple(
                self._chosen(field, values) for field, values in zip(self.fields, spec, strict=True)
            )
        )

    def text(self, cell: Choices) -> str:
        """Write ``name=value,value;name=value``."""
        parts = zip(self.fields, cell, strict=True)
        return ";".join(f"{f.name}={','.join(map(str, values))}" for f, values in parts)

    def owns(self, text: str) -> bool:
        """A text that names all the fields of this space in their order."""
        return [part.partition("=")[0] for part in text.split(";")] == [f.name for f in self.fields]

    def sample(self, n: int, seed: int = 0) -> list[str]:
        """Draw different specifications; every choice is equally likely, where none excludes it."""
        if self.size is not None and n > self.size:
            raise ValueError(f"{self.name} has {self.size:,} specifications, not {n:,}")
        rng = np.random.default_rng(seed)
        found: dict[str, None] = {}
        idle = 0
        while len(found) < n and idle < 1000:
            before = len(found)
            for cell in self._draw(rng, n - len(found)):
                found.setdefault(self.text(cell))
            idle = idle + 1 if len(found) == before else 0
        if len(found) < n:
            raise ValueError(f"{self.name} has about {len(found):,} networks, not {n:,}")
        return list(found)[:n]

    def _draw(self, rng: np.random.Generator, n: int) -> Iterator[Choices]:
        drawn = [rng.integers(len(f.options), size=(n, f.length)).tolist() for f in self.fields]
        for positions in zip(*drawn, strict=True):
            cell = self._valid(
                tuple(
                    tuple(field.options[i] for i in row)
                    for field, row in zip(self.fields, positions, strict=True)
                )
            )
            if cell is not None:
                yield cell

    def enumerate(self) -> Iterator[str]:
        """All specifications, the last choice changing fastest; equal networks come once."""
        lengths = [field.length for field in self.fields]
        ends = list(accumulate(lengths))
        for chosen in product(*(f.options for f in self.fields for _ in range(f.length))):
            cell = tuple(
                chosen[end - length : end] for end, length in zip(ends, lengths, strict=True)
            )
            if self._valid(cell) == cell:  # of equal ones the canonical one
                yield self.text(cell)

    def neighbours(self, spec: Any) -> list[str]:
        """The specifications that differ in one choice."""
        cell = self.parse(spec)
        own, found = self.text(cell), {}
        for at, field in enumerate(self.fields):
            for place in range(len(cell[at])):
                for option in field.options:
                    values = (*cell[at][:place], option, *cell[at][place + 1 :])
                    other = self._valid((*cell[:at], values, *cell[at + 1 :]))
                    found.setdefault(own if other is None else self.text(other))
        found.pop(own, None)
        return list(found)

    def crossover(self, first: Any, second: Any, seed: int = 0) -> str:
        """Every choice taken from one of the two, at random."""
        parents = self.parse(first), self.parse(second)
        rng = np.random.default_rng(seed)
        for _ in range(100):
            child = tuple(
                tuple(b if rng.random() < 0.5 else a for a, b in zip(*lists, strict=True))
                for lists in zip(*parents, strict=True)
            )
            cell = self._valid(child)
            if cell is not None:
                return self.text(cell)
        return self.text(parents[0])

    def _valid(self, cell: Choices) -> Choices | None:
        try:
            return self.canonical(cell)
        except InvalidSpecError:
            return None

    def _example(self) -> str:
        return self.text(tuple(field.options[:1] * field.length for field in self.fields))

    def _split(self, text: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for part in text.split(";"):
            name, equals, values = part.partition("=")
            if not equals:
                form = ";".join(f"{f.name}=..." for f in self.fields)
                raise InvalidSpecError(f"{self.name}: {shown(part)} does not read {form}")
            found[name.strip()] = [value.strip() for value in values.split(",")]
        return found

    def _chosen(self, field: Field, values: Any) -> tuple[Any, ...]:
        if not isinstance(values, (list, tuple)):
            values = [values]
        if len(values) != field.length:
            raise InvalidSpecError(
                f"{self.name}: {field.name} has {len(values)} values, not {field.length}; "
                f"a specification reads {self._example()}"
            )
        known = {str(option): option for option in field.options}
        for value in values:
            if str(value) not in known:
                raise InvalidSpecError(
                    f"{self.name}: {field.name} cannot be {shown(value)}; "
                    f"it is one of {', '.join(known)}"
                )
        return tuple(known[str(value)] for value in values)


def check_fields(space: str, fields: tuple[Field, ...]) -> None:
    """Refuse fields whose texts could not be read again.

    Raises:
        InvalidSpecError: names or options that repeat, or hold what texts are divided by.
    """
    names = [field.name for field in fields]
    if len(set(names)) < len(names):
        raise InvalidSpecError(f"{space}: two fields have one name ({', '.join(names)})")
    for field in fields:
        texts = [str(option) for option in field.options]
        if not texts or len(set(texts)) < len(texts):
            raise InvalidSpecError(f"{space}: options of {field.name} are missing or repeat")
        wrong = [text for text in (field.name, *texts) if set(text) & set(";,=")]
        if wrong:
            raise InvalidSpecError(f"{space}: {wrong[0]!r} holds one of ; , = which divide a text")
