"""Which of several objectives are looked up, and which have to be forecast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import InvalidSettingError
from archcast.search.domain import Domain
from archcast.search.objectives import Objective

__all__ = ["known", "named"]

FloatArray = NDArray[np.float64]


def named(objective: Objective | Sequence[Objective] | None, told: int) -> tuple[Objective, ...]:
    """All objectives in the order they are told; those without a name are merits.

    Raises:
        InvalidSettingError: more are named than told.
    """
    given = [objective] if isinstance(objective, Objective) else list(objective or [])
    if len(given) > told:
        raise InvalidSettingError(f"{len(given)} objectives are named, but {told} are told")
    return tuple(given + [Objective(f"objective {at + 1}") for at in range(len(given), told)])


def known(domain: Domain, target: Objective, specs: Sequence[str]) -> FloatArray | None:
    """(n,) merits of an objective that is a cost of the domain; None if it is none.

    An architecture without that cost is worth nothing.
    """
    if target.name not in domain.costs:
        return None
    return np.nan_to_num(target.merit(domain.cost(target.name, specs)), nan=-np.inf)
