"""A new device, as a mixture of known ones."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Prior variances: of the level, of how far the new device follows the mean of the known ones,
#: of the weights of single known devices, and of their additive parts. Chosen by leaving known
#: devices of NAS-Bench-201 out; see ``benchmarks/unseen_devices.py --develop``.
_LEVEL: Final = 4.0
_MEAN: Final = 0.1
_SINGLE: Final = 0.2
_ADDED: Final = 0.2
#: Variance of costs of the new device's own, and of the noise: all pairs are averaged over.
_OWN: Final = (0.0, 0.03, 0.1, 0.3)
_NOISES: Final = (0.03, 0.1, 0.3, 1.0)
#: Weight, in labels, of the prior belief that the unit of the variances is 1.
_PRIOR: Final = 2.0


@dataclass(frozen=True, slots=True)
class Basis:
    """What a new device's latency is made of, for n architectures.

    Attributes:
        means: (n, P) opinions of the known devices' mean: as measured, and halfway to what is
            forecast, which has less noise.
        single: (n, T) known devices, measured or forecast.
        added: (n, T) their additive parts.
        costs: (n, K) costs.
    """

    means: FloatArray
    single: FloatArray
    added: FloatArray
    costs: FloatArray

    def covariances(self, other: Basis) -> tuple[FloatArray, FloatArray]:
        """Prior covariances of what is shared with known devices, and of own costs.

        Returns:
            (P, n, m), one for each opinion of the mean, and (n, m).
        """
        shared = (
            _LEVEL
            + _SINGLE * _inner(self.single, other.single)
            + _ADDED * _inner(self.added, other.added)
        )
        means = np.einsum("np,mp->pnm", self.means, other.means)
        return shared + _MEAN * means, _inner(self.costs, other.costs)

    def variances(self) -> tuple[FloatArray, FloatArray]:
        """The diagonals of :meth:`covariances` with itself, (P, n) and (n,)."""
        single, added, own = (
            (part**2).sum(1) / max(part.shape[1], 1)
            for part in (self.single, self.added, self.costs)
        )
        return _LEVEL + _MEAN * self.means.T**2 + _SINGLE * single + _ADDED * added, own


@dataclass(frozen=True, slots=True)
class Transfer:
    """``y(x) = mean(x) + Σ_t w_t known_t(x) + Σ_t v_t added_t(x) + Σ_c u_c cost_c(x) + b``.

    Bayesian linear regression; the opinion of the mean, the variance of ``u`` and that of the noise
    are averaged over, weighted by their marginal likelihood.

    Attributes:
        basis: of the k labelled architectures.
        target: (k,) labels, standardised.
        belief: (G,) posterior probabilities of the combinations.
        inverse: (G, k, k) of each one's covariance.
        unit: (G,) posterior unit of each one's variances.
    """

    basis: Basis
    target: FloatArray
    belief: FloatArray
    inverse: FloatArray
    unit: FloatArray

    @classmethod
    def fit(cls, basis: Basis, target: FloatArray) -> Transfer:
        """Solve for every combination, and weigh them."""
        shared, own = basis.covariances(basis)
        count = len(target)
        inverses, evidences, units = [], [], []
        for at, scale, noise in _combinations(basis):
            rest = target - basis.means[:, at]
            covariance = shared[at] + scale * own + noise * np.eye(count)
            inverse = np.linalg.inv(covariance)
            unit = (rest @ inverse @ rest + _PRIOR) / (count + _PRIOR)
            half = np.linalg.slogdet(covariance)[1] / 2
            evidences.append(-half - (count + _PRIOR) / 2 * np.log(unit))
            inverses.append(inverse)
            units.append(unit)
        likely = np.exp(np.array(evidences) - max(evidences))
        return cls(basis, target, likely / likely.sum(), np.array(inverses), np.array(units))

    def predict(self, basis: Basis) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation, each (n,)."""
        shared, own = basis.covariances(self.basis)
        diagonal, own_diagonal = basis.variances()
        first, second = np.zeros(len(basis.means)), np.zeros(len(basis.means))
        for number, (at, scale, noise) in enumerate(_combinations(basis)):
            cross = shared[at] + scale * own
            told = cross @ self.inverse[number]
            mean = basis.means[:, at] + told @ (self.target - self.basis.means[:, at])
            variance = diagonal[at] + scale * own_diagonal + noise - (told * cross).sum(1)
            first += self.belief[number] * mean
            second += self.belief[number] * (self.unit[number] * np.maximum(variance, 0) + mean**2)
        return first, np.sqrt(np.maximum(second - first**2, 0))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What :meth:`fit` needs to do it again."""
        parts = {name: getattr(self.basis, name) for name in Basis.__slots__}
        return {**parts, "target": self.target}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Transfer:
        """The inverse of :meth:`arrays`."""
        return cls.fit(Basis(*(arrays[name] for name in Basis.__slots__)), arrays["target"])


def _inner(a: FloatArray, b: FloatArray) -> FloatArray:
    """(n, m) mean products of columns."""
    return a @ b.T / max(a.shape[1], 1)


def _combinations(basis: Basis) -> list[tuple[int, float, float]]:
    """Opinion of the mean, variance of own costs, variance of the noise."""
    return list(product(range(basis.means.shape[1]), _OWN, _NOISES))
