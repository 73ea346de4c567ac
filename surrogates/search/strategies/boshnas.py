"""BOSHNAS: upper confidence bounds that tell noise from ignorance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import InvalidSettingError
from archcast.search.domain import Domain
from archcast.search.strategies._guided import GuidedSearch
from archcast.search.strategy import Measured

__all__ = ["Boshnas"]

FloatArray = NDArray[np.float64]


class Boshnas(GuidedSearch):
    """``mean + k1 * noise + k2 * ignorance``, now and then the most unknown, now and then any.

    As published but for how the bound is maximised: there a gradient is climbed in an embedding
    and the nearest architecture taken, here the bounds of all candidates are compared, which
    finds at least as good a one among them and never an input that no architecture has.

    Args:
        domain: the architectures to choose from.
        start: measurements at random before the first model.
        refit: measurements from one model to the next.
        pool: candidates in a space too large to be looked at as a whole.
        k1: weight of the noise.
        k2: weight of the ignorance.
        unknown: probability that the architecture of greatest doubt is taken.
        chance: probability that any is.
        epochs: most passes over the labels.
        seed: of the random numbers.
        objectives: 1.

    Raises:
        InvalidSettingError: a setting makes no sense.

    Reference:
        Tuli et al., "FlexiBERT: Are Current Transformer Architectures too Homogeneous and Rigid?",
        JAIR 2023 (BOSHNAS, section 3.3).
    """

    name = "boshnas"

    def __init__(
        self,
        domain: Domain,
        *,
        start: int = 10,
        refit: int = 10,
        pool: int = 1000,
        k1: float = 0.5,
        k2: float = 0.5,
        unknown: float = 0.1,
        chance: float = 0.1,
        epochs: int = 300,
        seed: int = 0,
        objectives: int = 1,
    ) -> None:
        super().__init__(
            domain, start=start, refit=refit, pool=pool, acquisition="mean", seed=seed,
            objectives=objectives,
        )  # fmt: skip
        if min(unknown, chance) < 0 or unknown + chance > 1:
            raise InvalidSettingError(
                f"unknown and chance are probabilities of 1 at most together, not "
                f"{unknown} and {chance}"
            )
        self.k1, self.k2, self.epochs = float(k1), float(k2), int(epochs)
        self.unknown, self.chance = float(unknown), float(chance)

    def _fit(self, measured: Sequence[Measured]) -> None:
        from archcast.predictors.bayes.boshnas import BoshnasPredictor

        self._model = BoshnasPredictor(epochs=self.epochs, seed=self.seed, device="cpu")
        self._model.fit(
            self.domain.features([m.spec for m in measured]), [m.merits[0] for m in measured]
        )

    def _moments(self, specs: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        mean, noise, ignorance = self._model.components(self.domain.features(specs))
        return mean, self.k1 * noise + self.k2 * ignorance

    def _choose(self, pool: list[str], n: int, rng: np.random.Generator) -> list[str]:
        mean, doubt = self._believed(pool)
        ways = rng.random(n)
        least = self._different(pool, doubt, int((ways < self.unknown).sum()))
        most = self._different(pool, mean + doubt, n - len(least))
        found = []
        for way in ways.tolist():
            if way < self.unknown and least:
                found.append(least.pop(0))
            elif way < self.unknown + self.chance or not most:
                found.append(pool[int(rng.integers(len(pool)))])
            else:
                found.append(most.pop(0))
        return found
