"""Random search, the baseline that every strategy has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from archcast.search.strategy import Proposal, Strategy

__all__ = ["RandomSearch"]


class RandomSearch(Strategy):
    """Architectures drawn from the space at random, none twice.

    Reference:
        Li and Talwalkar, "Random Search and Reproducibility for Neural Architecture Search",
        UAI 2019.
    """

    name = "random"
    multi_objective = True

    def _propose(self, n: int, rng: np.random.Generator) -> Sequence[Proposal]:
        return self._fresh(n, rng)
