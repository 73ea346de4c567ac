"""Architectures as the choices they make, where a space has fixed ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archcast.predictors.trees.pruning import Choices
from archcast.search.domain import Domain

__all__ = ["choices_of", "encoded"]

#: Architectures drawn to see which choices there are.
_DRAWN = 1000


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


def encoded(domain: Domain, choices: Choices | None, specs: Sequence[str]) -> NDArray[np.float32]:
    """(n, F) choices as ones and zeros, or tabular features where there are none."""
    return domain.features(specs) if choices is None else choices.encode(specs)
