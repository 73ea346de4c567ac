"""Architectures as rows of small whole numbers: drawn, written and read many at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.spaces import Space
from archcast.encoders.spaces._fields import Choices, FieldSpace
from archcast.encoders.spaces._layers import LayerSpace
from archcast.encoders.spaces._two_cells import TwoCellSpace

Codes = NDArray[np.int32]
#: Spaces up to this size are listed.
LISTED: Final = 100_000


class Coder(ABC):
    """The architectures of a space as (n, P) codes.

    Attributes:
        offsets: (P,) what is added to a code to have its column; positions whose order does not
            matter share theirs.
        columns: how many columns there are.
    """

    offsets: NDArray[np.int32]
    columns: int

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator) -> Codes:
        """(n, P) codes of architectures at random, each drawn anew."""

    @abstractmethod
    def encode(self, specs: Sequence[str]) -> Codes:
        """(n, P) codes of architectures.

        Raises:
            InvalidSpecError: a text is not of this space.
        """

    @abstractmethod
    def decode(self, codes: Codes) -> list[str]:
        """The canonical texts of (n, P) codes."""

    @abstractmethod
    def mixed(self, first: Codes, second: Codes, share: float, rng: np.random.Generator) -> Codes:
        """Children of (n, P) and (n, P) codes, those that are no architecture left out.

        Args:
            first: where most choices come from.
            second: where the others come from, one of each child at least.
            share: of choices, on average, that come from the second.
            rng: draws them.
        """


def _taken(
    children: int, choices: int, share: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """(children, choices) what comes from the second parent; one of each child at least."""
    taken = rng.random((children, choices)) < share
    taken[np.arange(children), rng.integers(choices, size=children)] = True
    return taken


def coder(space: Space[Any], few: int = 0) -> Coder | None:
    """How a space's architectures become codes; None if neither small nor lists of choices.

    Args:
        space: of the library, or of one's own.
        few: size up to which a space of one's own is listed, whose graphs may take long.
    """
    listed = LISTED if of_the_library(space) else few
    if space.size is not None and space.size <= listed:
        return ListCoder(space)
    if isinstance(space, TwoCellSpace):
        return CellCoder(space)
    if isinstance(space, FieldSpace):
        return FieldCoder(space)
    return None


def of_the_library(space: Space[Any]) -> bool:
    """Whether a space's code is the library's, so that it is known when it changes."""
    return type(space).__module__.startswith("archcast.encoders.")


class ListCoder(Coder):
    """A small space: one code, the place in the list of all its texts."""

    def __init__(self, space: Space[Any]) -> None:
        self.texts = list(space.enumerate())
        self._space = space
        self._place = {text: at for at, text in enumerate(self.texts)}
        self.offsets, self.columns = np.zeros(1, np.int32), len(self.texts)

    def sample(self, n: int, rng: np.random.Generator) -> Codes:
        """(n, 1) places in the list."""
        return rng.integers(len(self.texts), size=(n, 1), dtype=np.int32)

    def encode(self, specs: Sequence[str]) -> Codes:
        """(n, 1) places in the list."""
        try:
            found = [self._place[spec] for spec in specs]
        except KeyError:  # not written as the space writes it
            parse, text = self._space.parse, self._space.text
            found = [self._place[text(parse(spec))] for spec in specs]
        return np.array(found, np.int32).reshape(-1, 1)

    def decode(self, codes: Codes) -> list[str]:
        """The texts at these places."""
        return [self.texts[at] for at in codes[:, 0].tolist()]

    def mixed(self, first: Codes, second: Codes, share: float, rng: np.random.Generator) -> Codes:
        """The second: a place in a list cannot be mixed."""
        del first, share, rng
        return second


class CellCoder(Coder):
    """Two cells: for each node two edges, each a state times the number of operators, plus one."""

    def __init__(self, space: TwoCellSpace) -> None:
        self._space, count = space, len(space.operators)
        self._names = [
            f"{name}~{state}" for state in range(space.nodes + 1) for name in space.operators
        ]
        self._code = {name: code for code, name in enumerate(self._names)}
        self._options = [
            np.array([[s * count + op for op, s in pair] for pair in pairs], np.int32)
            for pairs in space._options
        ]
        widths = [count * (node + 2) for _ in range(2) for node in range(space.nodes)]
        starts = [0, *accumulate(widths)]
        self.offsets = np.repeat(np.array(starts[:-1], np.int32), 2)
        self.columns = starts[-1]

    def sample(self, n: int, rng: np.random.Generator) -> Codes:
        """Genotypes, all equally likely."""
        parts = [
            options[rng.integers(len(options), size=n)]
            for _ in range(2)
            for options in self._options
        ]
        return np.concatenate(parts, 1)

    def encode(self, specs: Sequence[str]) -> Codes:
        """Codes in the order of the text."""
        try:
            return self._read(specs)
        except (KeyError, ValueError):  # not written as the space writes it
            return self._read([self._space.text(self._space.parse(spec)) for spec in specs])

    def decode(self, codes: Codes) -> list[str]:
        """Texts, the edges of a node in the space's order."""
        half, names, found = codes.shape[1] // 2, self._names, []
        ordered: Any = np.sort(codes.reshape(len(codes), -1, 2), 2).reshape(codes.shape)
        for row in ordered.tolist():
            normal, reduce = (",".join([names[c] for c in r]) for r in (row[:half], row[half:]))
            found.append(f"normal={normal};reduce={reduce}")
        return found

    def mixed(self, first: Codes, second: Codes, share: float, rng: np.random.Generator) -> Codes:
        """Both edges of a node come from one parent."""
        taken = _taken(len(first), first.shape[1] // 2, share, rng)
        return np.where(np.repeat(taken, 2, axis=1), second, first)

    def _read(self, specs: Sequence[str]) -> Codes:
        code, start = self._code, len("normal=")
        rows = [
            [code[edge] for edge in spec[start:].replace(";reduce=", ",").split(",")]
            for spec in specs
        ]
        return np.array(rows, np.int32).reshape(-1, len(self.offsets))


class FieldCoder(Coder):
    """Lists of choices: for each the number of the option."""

    def __init__(self, space: FieldSpace) -> None:
        self._space = space
        places = [field for field in space.fields for _ in range(field.length)]
        starts = [0, *accumulate([len(field.options) for field in places])]
        self._counts = np.array([len(field.options) for field in places])
        self._code = [{value: k for k, value in enumerate(field.options)} for field in places]
        self.offsets, self.columns = np.array(starts[:-1], np.int32), starts[-1]
        # Where no choice is ever without effect, drawn codes are canonical as they are.
        self._plain = type(space).canonical is FieldSpace.canonical

    def sample(self, n: int, rng: np.random.Generator) -> Codes:
        """Every choice equally likely, those without effect set as the space sets them."""
        found = self._draw(n, rng)
        while len(found) < n:
            found = np.concatenate([found, self._draw(n, rng)])[:n]
        return found

    def encode(self, specs: Sequence[str]) -> Codes:
        """The options' numbers."""
        rows = [self._row(self._space.parse(spec)) for spec in specs]
        return np.array(rows, np.int32).reshape(-1, len(self.offsets))

    def decode(self, codes: Codes) -> list[str]:
        """Canonical texts."""
        return [self._space.text(cell) for cell in self._cells(codes) if cell is not None]

    def mixed(self, first: Codes, second: Codes, share: float, rng: np.random.Generator) -> Codes:
        """Every choice from one parent or the other, those without effect set as the space does."""
        taken = _taken(len(first), first.shape[1], share, rng)
        return self._set(np.where(taken, second, first))

    def _draw(self, n: int, rng: np.random.Generator) -> Codes:
        return self._set(rng.integers(self._counts, size=(n, len(self._counts)), dtype=np.int32))

    def _set(self, codes: Codes) -> Codes:
        """Canonical codes, those that are no architecture left out."""
        if self._plain:
            return codes
        if type(self._space).canonical is LayerSpace.canonical:
            return self._cut(codes)
        rows = [self._row(cell) for cell in self._cells(codes) if cell is not None]
        return np.array(rows, np.int32).reshape(-1, len(self.offsets))

    def _cut(self, codes: Codes) -> Codes:
        """What :meth:`LayerSpace.canonical` does: layers that are not there have option 0."""
        space: Any = self._space
        start, depths, layered = 0, np.zeros(len(codes), int), []
        for field in space.fields:
            if field.name == space.depth:
                depths = np.array(field.options)[codes[:, start]]
            elif field.name in space.layered:
                layered.append((start, field.length))
            start += field.length
        for first, length in layered:
            codes[:, first : first + length] *= np.arange(length) < depths[:, None]
        return codes

    def _cells(self, codes: Codes) -> list[Choices | None]:
        fields, found = self._space.fields, []
        ends = list(accumulate(field.length for field in fields))
        for row in codes.tolist():
            parts = zip(fields, ends, strict=True)
            chosen = (tuple(f.options[k] for k in row[e - f.length : e]) for f, e in parts)
            found.append(self._space._valid(tuple(chosen)))
        return found

    def _row(self, cell: Choices) -> list[int]:
        flat = (value for values in cell for value in values)
        return [code[value] for code, value in zip(self._code, flat, strict=True)]
