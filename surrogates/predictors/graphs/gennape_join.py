"""How GENNAPE's members become one forecast, how sure it is, and how few labels correct it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Labels that the prior belief is worth: that the heads' forecast alone is right.
_PRIOR_WEIGHTS: Final = 10.0
#: Labels that the prior belief is worth: that a new space differs by an offset only.
_PRIOR_SLOPE: Final = 5.0
#: Variance of a forecast's error where nothing could be held out, in variances of the labels.
_UNKNOWN: Final = 0.25
_LEAST: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Join:
    """``shift + slope * (Σ_k w_k (m_k - centre_k) / scale_k)`` with variance ``a + b spread²``.

    Attributes:
        centre: (M,) of each member; 0 for the heads.
        scale: (M,) of each member; 1 for the heads.
        weights: (M,) not negative.
        shift: offset of the space.
        slope: how far its labels spread, compared with what was learned.
        noise: ``a``, variance that no member sees.
        trust: ``b``, how much of the members' spread is error.
    """

    centre: FloatArray
    scale: FloatArray
    weights: FloatArray
    shift: float = 0.0
    slope: float = 1.0
    noise: float = _UNKNOWN
    trust: float = 1.0

    @classmethod
    def of(cls, members: FloatArray) -> Join:
        """The heads alone, the other members on their scale; from the architectures learned."""
        centre, scale = members.mean(0), members.std(0) + 1e-9
        centre[0], scale[0] = 0.0, 1.0
        return cls(centre, scale, np.eye(members.shape[1])[0])

    def weighted(self, members: FloatArray, y: FloatArray) -> Join:
        """With weights by ridge regression towards the heads alone.

        Args:
            members: (n, M) forecasts of held-out architectures.
            y: (n,) their labels.
        """
        z = self._alike(members)
        gram = z.T @ z + _PRIOR_WEIGHTS * np.eye(z.shape[1])
        prior = np.eye(z.shape[1])[0]
        weights = prior + np.linalg.solve(gram, z.T @ (y - z @ prior))
        return replace(self, weights=np.maximum(weights, 0.0))

    def calibrated(self, members: FloatArray, spread: FloatArray, y: FloatArray) -> Join:
        """With the variance under which the errors of held-out architectures are likeliest."""
        error = (self.value(members) - y) ** 2
        best = (-np.inf, self.noise, self.trust)
        for trust in (0.0, 0.25, 1.0, 4.0):
            noise = max(float((error - trust * spread**2).mean()), _LEAST)
            variance = noise + trust * spread**2
            likelihood = float(-(np.log(variance) + error / variance).sum())
            best = max(best, (likelihood, noise, trust))
        return replace(self, noise=best[1], trust=best[2])

    def moved(self, members: FloatArray, y: FloatArray) -> Join:
        """For a new space: offset and slope by ridge regression, the slope's prior at 1.

        Args:
            members: (n, M) forecasts of a few labelled architectures of the new space.
            y: (n,) their labels.
        """
        plain = replace(self, shift=0.0, slope=1.0)
        value = plain.value(members)
        gap, rest = value - value.mean(), y - y.mean()
        extra = _PRIOR_SLOPE * max(float(gap @ gap) / len(y), _LEAST)
        slope = max((float(gap @ rest) + extra) / (float(gap @ gap) + extra), 0.05)
        moved = replace(plain, shift=float(y.mean() - slope * value.mean()), slope=slope)
        error = float(((moved.value(members) - y) ** 2).sum())
        # The offset itself is known from n labels only.
        noise = (_PRIOR_SLOPE * self.noise * slope**2 + error) / (_PRIOR_SLOPE + len(y))
        return replace(moved, noise=noise * (1 + 1 / len(y)) / slope**2)

    def rescaled(self, members: FloatArray) -> Join:
        """With the members but the heads on their scale in these (n, M) forecasts."""
        fresh = Join.of(members)
        # Of a handful of networks the scale says little: it shrinks by a factor of 4 at most.
        scale = np.maximum(fresh.scale, self.scale / 4)
        return replace(self, centre=fresh.centre, scale=scale)

    def before(self, y: FloatArray) -> FloatArray:
        """Labels of this space on the scale that the members were trained on."""
        return (y - self.shift) / self.slope

    def value(self, members: FloatArray) -> FloatArray:
        """(n, M) forecasts of the members to (n,) forecasts."""
        return self.shift + self.slope * (self._alike(members) @ self.weights)

    def std(self, spread: FloatArray) -> FloatArray:
        """(n,) spreads of the members to (n,) standard deviations."""
        return self.slope * np.sqrt(self.noise + self.trust * spread**2)

    def facts(self) -> dict[str, Any]:
        """Everything, as JSON."""
        numbers = {k: getattr(self, k) for k in ("shift", "slope", "noise", "trust")}
        arrays = {k: getattr(self, k).tolist() for k in ("centre", "scale", "weights")}
        return numbers | arrays

    @classmethod
    def restored(cls, facts: dict[str, Any]) -> Join:
        """The inverse of :meth:`facts`."""
        arrays = {k: np.array(facts[k], np.float64) for k in ("centre", "scale", "weights")}
        numbers = {k: float(facts[k]) for k in ("shift", "slope", "noise", "trust")}
        return cls(arrays["centre"], arrays["scale"], arrays["weights"], **numbers)

    def _alike(self, members: FloatArray) -> FloatArray:
        return (members - self.centre) / self.scale
