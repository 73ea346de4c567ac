"""Architectures as the choices they make, where a space has fixed ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archcast.predictors.trees.pruning import Choices
from archcast.search.domain import Domain

__all__ = ["Encoded", "choices_of"]

#: Architectures drawn to see which choices there are.
_DRAWN = 1000
#: Architectures whose columns are remembered.
_REMEMBERED = 100_000


def choices_of(domain: Domain) -> Choices | None:
    """The choices of a space, as columns; None where there are none to speak of.

    A place of a specification is a choice only if every architecture has it. Where the number of
    places differs between architectures (deeper ones have more), or there is but one, a column
    would mean another thing in each, and tabular features of the network are what is left.
    """
    drawn = domain.sample(_DRAWN, np.random.default_rng(0))
    choices = Choices.of(domain.space, drawn)
    places = len(set(choices.places().tolist()))
    made = choices.encode(drawn).sum(1)
    return choices if places > 1 and bool((made == places).all()) else None


class Encoded:
    """Choices as ones and zeros, or tabular features where there are none; computed once.

    Args:
        domain: the architectures.
    """

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.choices = choices_of(domain)
        self._rows: dict[str, NDArray[np.float32]] = {}

    def __call__(self, specs: Sequence[str]) -> NDArray[np.float32]:
        """(n, F) columns of n architectures."""
        if self.choices is None:
            return self.domain.features(specs)
        if len(self._rows) + len(specs) > _REMEMBERED:
            self._rows.clear()
        missing = [spec for spec in dict.fromkeys(specs) if spec not in self._rows]
        self._rows.update(zip(missing, self.choices.encode(missing), strict=True))
        return np.stack([self._rows[spec] for spec in specs])
