"""Search spaces made smaller by what their choices contribute to forecasts.

>>> from archcast.encoders.spaces import get_space
>>> space = get_space("nats_size")
>>> choices = Choices.of(space, space.sample(200))
>>> choices.names[:2]
('0.0=8', '0.0=16')
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast.encoders.errors import InvalidSettingError, InvalidSpecError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces import Net, Space
from archcast.predictors.trees.gbdt_nas import GBDTNASPredictor

__all__ = ["Choice", "Choices", "PrunedSpace", "choice_effects", "prune"]

FloatArray = NDArray[np.float64]
_TRIES = 200


class Choice(NamedTuple):
    """One value at one place of a parsed specification.

    Attributes:
        place: indices that lead to it through the nested tuples of ``space.parse(spec)``.
        value: what stands there.
    """

    place: tuple[int, ...]
    value: Any


@dataclass(frozen=True)
class Choices:
    """The choices of a space as columns, 1 where an architecture has made them (one-hot).

    Any space whose parsed specifications are nested tuples has them: fields, cells, genotypes.

    Attributes:
        space: the space.
        columns: the choices, ordered by place.
    """

    space: Space[Any]
    columns: tuple[Choice, ...]

    @classmethod
    def of(cls, space: Space[Any], specs: Iterable[Any]) -> Choices:
        """All choices that the specifications make.

        Raises:
            InvalidSpecError: a specification is not well formed.
        """
        found = {choice for spec in specs for choice in _flat(space.parse(spec))}
        return cls(space, tuple(sorted(found, key=lambda c: (c.place, _rank(c.value)))))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, ``place=value``."""
        return tuple(f"{'.'.join(map(str, c.place))}={c.value}" for c in self.columns)

    def encode(self, specs: Sequence[Any]) -> NDArray[np.float32]:
        """(n, F) ones and zeros; a choice that has no column leaves its place at zero.

        Raises:
            InvalidSpecError: a specification is not well formed.
        """
        at = {choice: index for index, choice in enumerate(self.columns)}
        table = np.zeros((len(specs), len(at)), np.float32)
        for row, spec in enumerate(specs):
            made = (at.get(choice) for choice in _flat(self.space.parse(spec)))
            table[row, [index for index in made if index is not None]] = 1
        return table

    def places(self) -> NDArray[np.intp]:
        """(F,) number of every column's place."""
        number: dict[tuple[int, ...], int] = {}
        return np.array([number.setdefault(c.place, len(number)) for c in self.columns], np.intp)


def choice_effects(
    predictor: GBDTNASPredictor, choices: Choices, specs: Sequence[Any]
) -> FloatArray:
    """What each choice contributes to the forecasts of the architectures that make it.

    The SHAP values of all columns of a place are added up, because choosing one value there is
    not choosing the others; the mean is over the architectures that make the choice.

    Args:
        predictor: fitted to ``choices.encode(...)`` of architectures with labels.
        choices: the columns it was fitted to.
        specs: n architectures to ask it about; labels are not needed.

    Returns:
        (F,) effects in the unit of the transformed labels; NaN for choices that none of them makes.

    Raises:
        NotFittedError: the predictor has learned nothing yet.
        MissingExtraError: LightGBM is not installed.
    """
    made = choices.encode(specs)
    values = predictor.contributions(made)[:, :-1]
    place = choices.places()
    by_place = np.zeros((len(specs), place.max() + 1))
    np.add.at(by_place.T, place, values.T)
    count = made.sum(0)
    total = (made * by_place[:, place]).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def prune(
    space: Space[Any],
    specs: Sequence[Any],
    labels: ArrayLike,
    *,
    drop: float = 0.3,
    predictor: GBDTNASPredictor | None = None,
    asked: int = 2000,
    seed: int = 0,
) -> PrunedSpace:
    """Drop the choices that lower forecasts most.

    Args:
        space: the space.
        specs: n architectures of it.
        labels: (n,) their labels, higher is better.
        drop: share of all choices to drop, at most; only those that lower forecasts go, and one
            choice of every place stays.
        predictor: settings to learn with; by default those of GBDT-NAS.
        asked: architectures drawn at random to ask the predictor about.
        seed: of the draw.

    Returns:
        The space without these choices.

    Raises:
        InvalidSettingError: the share is not in [0, 1).
        InvalidLabelsError: labels that teach nothing.
        MissingExtraError: LightGBM is not installed.

    Reference:
        Luo et al., "Accuracy Prediction with Non-neural Model for Neural Architecture Search",
        2020: pruning by SHAP values, here of single choices (first order).
    """
    if not 0 <= drop < 1:
        raise InvalidSettingError(f"drop is a share in [0, 1), not {drop}")
    choices = Choices.of(space, specs)
    learned = GBDTNASPredictor(seed=seed) if predictor is None else predictor
    learned.fit(choices.encode(specs), labels)
    drawn = space.sample(min(asked, space.size or asked), seed)
    effect = choice_effects(learned, choices, drawn)
    left = np.bincount(choices.places())[choices.places()]
    removed: list[Choice] = []
    for column in np.argsort(np.where(np.isnan(effect), np.inf, effect), kind="stable").tolist():
        if len(removed) >= int(drop * len(effect)) or not effect[column] < 0:
            break
        if left[column] > 1:
            removed.append(choices.columns[column])
            left[choices.places() == choices.places()[column]] -= 1
    return PrunedSpace(space, choices, removed)


class PrunedSpace(Space[Any]):
    """A space without some of its choices; search algorithms take it like any other.

    Args:
        space: the whole space.
        choices: its choices; others are left alone.
        removed: those that no architecture may make any more.

    Raises:
        InvalidSettingError: all choices of a place are removed.
    """

    size = None

    def __init__(self, space: Space[Any], choices: Choices, removed: Iterable[Choice]) -> None:
        self.name = space.name  # type: ignore[misc]  (texts stay those of the whole space)
        self.space = space
        self.removed = frozenset(removed)
        self.num_classes, self.image_size = space.num_classes, space.image_size
        self._kept: dict[tuple[int, ...], list[Any]] = {c.place: [] for c in choices.columns}
        for choice in choices.columns:
            if choice not in self.removed:
                self._kept[choice.place].append(choice.value)
        bare = [place for place, values in self._kept.items() if not values]
        if bare:
            raise InvalidSettingError(f"nothing is left to choose at place {bare[0]}")

    def __contains__(self, spec: Any) -> bool:
        """Whether an architecture makes none of the removed choices."""
        return self._allowed(self.space.parse(spec))

    def parse(self, spec: Any) -> Any:
        """Read a specification.

        Raises:
            InvalidSpecError: not well formed, or it makes a removed choice.
        """
        cell = self.space.parse(spec)
        for choice in _flat(cell):
            if choice in self.removed:
                raise InvalidSpecError(
                    f"{self.name}: {choice.value!r} at place {choice.place} was pruned"
                )
        return cell

    def text(self, cell: Any) -> str:
        """Write a parsed specification as the whole space does."""
        return self.space.text(cell)

    def sample(self, n: int, seed: int = 0) -> list[str]:
        """Draw from the whole space, removed choices replaced at random by kept ones.

        Raises:
            ValueError: there are not so many.
        """
        rng = np.random.default_rng(seed)
        found: dict[str, None] = {}
        for attempt in range(_TRIES):
            count = min(2 * (n - len(found)) + 8, self.space.size or n + 8)
            for text in self.space.sample(count, int(rng.integers(1 << 30)) + attempt):
                mended = self._mend(text, rng)
                if mended is not None:
                    found.setdefault(mended)
            if len(found) >= n:
                return list(found)[:n]
        raise ValueError(f"{self.name}, pruned, has about {len(found):,} networks, not {n:,}")

    def neighbours(self, spec: Any) -> list[str]:
        """The specifications one change away that make no removed choice."""
        return [text for text in self.space.neighbours(spec) if text in self]

    def crossover(self, first: Any, second: Any, seed: int = 0) -> str:
        """A child of two specifications; removed choices of theirs are replaced."""
        rng = np.random.default_rng(seed)
        for attempt in range(_TRIES):
            child = self._mend(self.space.crossover(first, second, seed + attempt), rng)
            if child is not None:
                return child
        return self.sample(1, seed)[0]

    def enumerate(self) -> Iterator[str]:
        """All specifications that make no removed choice, in the order of the whole space.

        Raises:
            InvalidSpecError: the space has no end.
        """
        return (text for text in self.space.enumerate() if text in self)

    def build(self, net: Net, cell: Any, num_classes: int, image_size: int) -> None:
        """The network of the whole space; see :meth:`Space.build`."""
        self.space.build(net, cell, num_classes, image_size)

    def graphs(
        self, specs: Sequence[Any], num_classes: int | None = None, image_size: int | None = None
    ) -> list[ComputeGraph]:
        """The full networks as canonical graphs; see :meth:`Space.graphs`."""
        cells = [self.parse(spec) for spec in specs]
        return self.space.graphs([self.text(cell) for cell in cells], num_classes, image_size)

    def _allowed(self, cell: Any) -> bool:
        return self.removed.isdisjoint(_flat(cell))

    def _mend(self, text: str, rng: np.random.Generator) -> str | None:
        """The nearest text without removed choices; None where the space does not allow it."""
        cell = self.space.parse(text)
        bad = {choice.place for choice in _flat(cell) if choice in self.removed}
        if not bad:
            return text
        new = {
            place: self._kept[place][rng.integers(len(self._kept[place]))] for place in sorted(bad)
        }
        try:
            mended = self.space.parse(self.space.text(_replaced(cell, new)))
        except InvalidSpecError:
            return None
        return self.space.text(mended) if self._allowed(mended) else None


def _flat(cell: Any, place: tuple[int, ...] = ()) -> Iterator[Choice]:
    """The choices of a parsed specification, through all its tuples."""
    if isinstance(cell, tuple):
        for index, part in enumerate(cell):
            yield from _flat(part, (*place, index))
    else:
        yield Choice(place, cell)


def _replaced(cell: Any, new: dict[tuple[int, ...], Any], place: tuple[int, ...] = ()) -> Any:
    if not isinstance(cell, tuple):
        return new.get(place, cell)
    parts = [_replaced(part, new, (*place, index)) for index, part in enumerate(cell)]
    return type(cell)(*parts) if hasattr(cell, "_fields") else tuple(parts)


def _rank(value: Any) -> tuple[int, Any]:
    """Numbers before texts, each in its own order."""
    return (0, value) if isinstance(value, (int, float)) else (1, str(value))
