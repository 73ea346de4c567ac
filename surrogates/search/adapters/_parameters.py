"""``Parameters``: a search space as the list of categorical parameters that optimizers know."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from math import prod
from typing import Any, Final

import numpy as np

from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSettingError, InvalidSpecError
from archcast.encoders.spaces import FieldSpace, Space

__all__ = ["Label", "Parameters"]

#: What a choice is called; every optimizer can store these.
Label = str | int | float | bool
Place = tuple[int, ...]
#: Architectures drawn to learn a space's choices, and those after which none may be new.
_DRAWN: Final = 1024
#: Combinations at random, of which one at least must be an architecture.
_TRIED: Final = 256
_WORD: Final = re.compile(r"[\w.]+")
_VERTICES: Final = 7
_OPERATORS_101: Final = ("conv3x3", "conv1x1", "maxpool3x3")


class Parameters(ABC):
    """Categorical parameters whose combinations are the architectures of a space.

    Some combinations may be no architecture (two edges of a node that must differ), and several
    may be the same one (choices without effect): the space decides.

    Attributes:
        space: the space.
        names: of the P parameters.
        options: for each parameter, what its choices are called.
    """

    space: Space[Any]
    names: tuple[str, ...]
    options: tuple[tuple[Label, ...], ...]

    @staticmethod
    def of(space: Space[Any]) -> Parameters:
        """The parameters of a space with fixed choices, or of NAS-Bench-101.

        Raises:
            InvalidSettingError: the architectures of the space are no lists of choices.
        """
        if isinstance(space, FieldSpace):
            return _Fields(space)
        example = space.parse(space.sample(1, seed=0)[0])
        if hasattr(example, "matrix"):
            return _Matrix(space)
        return _Places(space)

    @property
    def combinations(self) -> int:
        """Number of combinations, those that are no architecture included."""
        return prod(len(labels) for labels in self.options)

    @cached_property
    def partial(self) -> bool:
        """Whether combinations at random were seen to be no architecture."""
        return not all(self._random())

    def spec(self, chosen: Sequence[int]) -> str | None:
        """The architecture of a combination.

        Args:
            chosen: (P,) positions in :attr:`options`.

        Returns:
            Its canonical text; None if the combination is no architecture.
        """
        try:
            return self.space.text(self.space.parse(self._cell([int(at) for at in chosen])))
        except InvalidSpecError:
            return None

    def positions(self, spec: Any) -> tuple[int, ...]:
        """A combination, (P,) positions, that gives an architecture: the inverse of :meth:`spec`.

        Raises:
            InvalidSpecError: it is not of this space, or makes a choice that is not known.
        """
        found = self._values(self.space.parse(spec))
        for name, at in zip(self.names, found, strict=True):
            if at < 0:
                raise InvalidSpecError(f"{self.space.name}: {name} of {spec} is no known choice")
        return tuple(found)

    def choose(self, labels: Mapping[str, Any]) -> str | None:
        """The architecture of named choices, such as an optimizer's ``params``.

        Raises:
            InvalidSettingError: a parameter is missing, or has no such choice.
        """
        chosen = []
        for name, options in zip(self.names, self.options, strict=True):
            if labels.get(name) not in options:
                known = ", ".join(map(str, options))
                raise InvalidSettingError(
                    f"parameter {name!r} is {shown(labels.get(name))}, not one of {known}"
                )
            chosen.append(options.index(labels[name]))
        return self.spec(chosen)

    def labels(self, spec: Any) -> dict[str, Label]:
        """Named choices that give an architecture: the inverse of :meth:`choose`."""
        parts = zip(self.names, self.options, self.positions(spec), strict=True)
        return {name: options[at] for name, options, at in parts}

    def _random(self) -> Iterator[bool]:
        """Whether combinations at random are architectures."""
        rng = np.random.default_rng(0)
        sizes = [len(labels) for labels in self.options]
        return (self.spec(rng.integers(sizes).tolist()) is not None for _ in range(_TRIED))

    @abstractmethod
    def _cell(self, chosen: list[int]) -> Any:
        """Something that the space parses."""

    @abstractmethod
    def _values(self, cell: Any) -> list[int]:
        """Positions of what a parsed architecture chose, -1 where it is unknown."""


class _Fields(Parameters):
    """A space that declares its choices."""

    def __init__(self, space: FieldSpace) -> None:
        self.space = space
        self._fields = space.fields
        self.names = tuple(
            f.name if f.length == 1 else f"{f.name}.{at}"
            for f in self._fields
            for at in range(f.length)
        )
        self._texts = [[str(option) for option in f.options] for f in self._fields]
        self.options = tuple(
            tuple(map(_label, f.options)) for f in self._fields for _ in range(f.length)
        )

    def _cell(self, chosen: list[int]) -> Any:
        left = iter(chosen)
        return tuple(
            tuple(field.options[next(left)] for _ in range(field.length)) for field in self._fields
        )

    def _values(self, cell: Any) -> list[int]:
        pairs = zip(self._texts, cell, strict=True)
        return [_index(texts, str(value)) for texts, values in pairs for value in values]


class _Places(Parameters):
    """A space whose parsed architectures are nested tuples of one shape; its choices are seen."""

    def __init__(self, space: Space[Any]) -> None:
        self.space = space
        seen = _choices(space)
        self._template = space.parse(space.sample(1, seed=0)[0])
        self._places = [place for place, values in seen.items() if len(values) > 1]
        self._options = [seen[place] for place in self._places]
        self.names = tuple(_place_name(self._template, place) for place in self._places)
        self.options = tuple(
            self._words(place, values)
            for place, values in zip(self._places, self._options, strict=True)
        )
        if not any(self._random()):
            raise InvalidSettingError(
                f"{space.name}: random choices exclude each other; {_INSTEAD}"
            )

    def _cell(self, chosen: list[int]) -> Any:
        pairs = zip(self._places, self._options, chosen, strict=True)
        cell = _replaced(self._template, {place: values[at] for place, values, at in pairs})
        return self.space.text(cell)  # which is checked in full when it is read

    def _values(self, cell: Any) -> list[int]:
        made = dict(_flat(cell))
        pairs = zip(self._places, self._options, strict=True)
        return [_index(values, made.get(place)) for place, values in pairs]

    def _words(self, place: Place, values: list[Any]) -> tuple[Label, ...]:
        """Values as the space's text writes them, where that is one word of their own."""
        plain = tuple(map(_label, values))
        try:
            texts = [self.space.text(_replaced(self._template, {place: v})) for v in values]
        except InvalidSpecError:
            return plain
        lines = [_WORD.findall(text) for text in texts]
        if len({len(line) for line in lines}) != 1:
            return plain
        changed = [words for words in zip(*lines, strict=True) if len(set(words)) > 1]
        if len(changed) != 1 or len(set(changed[0])) != len(values):
            return plain
        return changed[0]


class _Matrix(Parameters):
    """NAS-Bench-101: an edge or none between any two of seven vertices, and five operators.

    A quarter of random combinations are no architecture: more than nine edges, or no path from
    input to output.
    """

    def __init__(self, space: Space[Any]) -> None:
        self.space = space
        self._pairs = [(i, j) for i in range(_VERTICES) for j in range(i + 1, _VERTICES)]
        inner = range(1, _VERTICES - 1)
        self.names = (*(f"edge.{i}.{j}" for i, j in self._pairs), *(f"op.{i}" for i in inner))
        self.options = ((0, 1),) * len(self._pairs) + (_OPERATORS_101,) * len(inner)

    def _cell(self, chosen: list[int]) -> Any:
        matrix = np.zeros((_VERTICES, _VERTICES), int)
        for pair, bit in zip(self._pairs, chosen, strict=False):
            matrix[pair] = bit
        inner = [_OPERATORS_101[at] for at in chosen[len(self._pairs) :]]
        return matrix.tolist(), ["input", *inner, "output"]

    def _values(self, cell: Any) -> list[int]:
        last = len(cell.matrix) - 1
        where = [*range(last), _VERTICES - 1]  # the output is always the last of the seven
        edges = {
            (where[i], where[j])
            for i, row in enumerate(cell.matrix)
            for j, b in enumerate(row)
            if b
        }
        idle = [0] * (_VERTICES - 2 - len(cell.operators))
        return [int(pair in edges) for pair in self._pairs] + [*cell.operators, *idle]


_INSTEAD: Final = (
    "it has no fixed choices to give to this optimizer; those that take architectures as they are "
    "can search it: archcast.search strategies, ask_tell, ray_tune.StrategySearcher, pymoo moves"
)


def _choices(space: Space[Any]) -> dict[Place, list[Any]]:
    """Place -> the values seen there, in order.

    Raises:
        InvalidSettingError: architectures differ in shape, or ever new values turn up.
    """
    count = min(_DRAWN, space.size or _DRAWN)
    try:
        half = [space.parse(spec) for spec in space.sample(count, seed=1)]
        rest = [space.parse(spec) for spec in space.sample(count, seed=2)]
    except ValueError as error:
        raise InvalidSettingError(f"{space.name}: {error}; {_INSTEAD}") from error
    shapes = {tuple(place for place, _ in _flat(cell)) for cell in (*half, *rest)}
    known = {choice for cell in half for choice in _flat(cell)}
    new = {choice for cell in rest for choice in _flat(cell)} - known
    if len(shapes) != 1 or new:
        raise InvalidSettingError(f"{space.name}: {_INSTEAD}")
    found: dict[Place, list[Any]] = {place: [] for place in next(iter(shapes))}
    for place, value in sorted(known, key=lambda choice: (choice[0], _rank(choice[1]))):
        found[place].append(value)
    return found


def _flat(cell: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    if isinstance(cell, tuple):
        for index, part in enumerate(cell):
            yield from _flat(part, (*place, index))
    else:
        yield place, cell


def _replaced(cell: Any, new: dict[Place, Any], place: Place = ()) -> Any:
    if not isinstance(cell, tuple):
        return new.get(place, cell)
    parts = [_replaced(part, new, (*place, index)) for index, part in enumerate(cell)]
    return type(cell)(*parts) if hasattr(cell, "_fields") else tuple(parts)


def _place_name(cell: Any, place: Place) -> str:
    parts = []
    for index in place:
        fields = getattr(cell, "_fields", None)
        parts.append(fields[index] if fields else str(index))
        cell = cell[index]
    return ".".join(parts)


def _index(values: Sequence[Any], value: Any) -> int:
    return values.index(value) if value in values else -1


def _label(value: Any) -> Label:
    return value if isinstance(value, (str, int, float, bool)) else str(value)


def _rank(value: Any) -> tuple[int, Any]:
    """Numbers before texts, each in its own order."""
    return (0, value) if isinstance(value, (int, float)) else (1, str(value))
