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
        mean: (n,) mean of the known devices.
        single: (n, T) known devices, measured or forecast.
        added: (n, T) their additive parts.
        costs: (n, K) costs.
    """

    mean: FloatArray
    single: FloatArray
    added: FloatArray
    costs: FloatArray

    def covariances(self, other: Basis) -> tuple[FloatArray, FloatArray]:
        """(n, m) prior covariance of what is shared with known devices, and of own costs."""
        shared = (
            _LEVEL
            + _MEAN * np.multiply.outer(self.mean, other.mean)
            + _SINGLE * _inner(self.single, other.single)
            + _ADDED * _inner(self.added, other.added)
        )
        return shared, _inner(self.costs, other.costs)

    def variances(self) -> tuple[FloatArray, FloatArray]:
        """The diagonals of :meth:`covariances` with itself, each (n,)."""
        single, added, own = (
            (part**2).sum(1) / max(part.shape[1], 1)
            for part in (self.single, self.added, self.costs)
        )
        return _LEVEL + _MEAN * self.mean**2 + _SINGLE * single + _ADDED * added, own


@dataclass(frozen=True, slots=True)
class Transfer:
    """``y(x) = mean(x) + Σ_t w_t known_t(x) + Σ_t v_t added_t(x) + Σ_c u_c cost_c(x) + b``.

    Bayesian linear regression; the variance of ``u`` and of the noise are integrated out.

    Attributes:
        basis: of the k labelled architectures.
        target: (k,) labels, standardised.
        belief: (G,) posterior probabilities of the pairs of variances.
        inverse: (G, k, k) of each pair's covariance.
        unit: (G,) posterior unit of each pair's variances.
    """

    basis: Basis
    target: FloatArray
    belief: FloatArray
    inverse: FloatArray
    unit: FloatArray

    @classmethod
    def fit(cls, basis: Basis, target: FloatArray) -> Transfer:
        """Solve for every pair of variances, and weigh them by their marginal likelihood."""
        shared, own = basis.covariances(basis)
        rest, count = target - basis.mean, len(target)
        inverses, evidences, units = [], [], []
        for scale, noise in product(_OWN, _NOISES):
            covariance = shared + scale * own + noise * np.eye(count)
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
        rest = self.target - self.basis.mean
        first, second = np.zeros(len(basis.mean)), np.zeros(len(basis.mean))
        for at, (scale, noise) in enumerate(product(_OWN, _NOISES)):
            cross = shared + scale * own
            told = cross @ self.inverse[at]
            mean = basis.mean + told @ rest
            variance = diagonal + scale * own_diagonal + noise - (told * cross).sum(1)
            first += self.belief[at] * mean
            second += self.belief[at] * (self.unit[at] * np.maximum(variance, 0) + mean**2)
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
