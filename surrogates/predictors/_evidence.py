"""Bayesian linear regression whose prior and noise are chosen by the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
_STEPS = 200
_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class LinearPosterior:
    """``w ~ N(weights, (noise_precision * XᵀX + precision * I)⁻¹)`` for ``y = X w + noise``.

    Attributes:
        weights: (F,) posterior mean.
        axes: (K, F) directions in which the data says anything.
        shrinkage: (K,) posterior variance along each of them.
        precision: of the prior, along all others.
        noise_precision: of the labels.
    """

    weights: FloatArray
    axes: FloatArray
    shrinkage: FloatArray
    precision: float
    noise_precision: float

    @classmethod
    def fit(cls, x: FloatArray, y: FloatArray) -> LinearPosterior:
        """Maximise the evidence by MacKay's fixed point, in closed form for given precisions.

        Args:
            x: (n, F) centred features.
            y: (n,) centred targets.

        Reference:
            MacKay, "Bayesian Interpolation", Neural Computation 1992; Bishop, "Pattern Recognition
            and Machine Learning", 2006, section 3.5.
        """
        u, d, axes = np.linalg.svd(x, full_matrices=False)
        keep = d > 1e-9 * max(float(d.max(initial=0.0)), 1e-30)
        u, d, axes = u[:, keep], d[keep], axes[keep]
        seen, square = u.T @ y, d**2
        outside = float(y @ y - seen @ seen)  # what no weights can explain
        alpha, beta = 1.0, 1.0 / max(float(y.var()), 1e-6)
        for _ in range(_STEPS):
            weights = beta * d * seen / (alpha + beta * square)
            effective = float((beta * square / (alpha + beta * square)).sum())
            rest = max(outside, 0.0) + float(((seen - d * weights) ** 2).sum())
            new_alpha = float(np.clip(effective / max(float(weights @ weights), 1e-12), 1e-6, 1e9))
            new_beta = float(np.clip((len(y) - effective) / max(rest, 1e-9), 1e-6, 1e6))
            moved = abs(np.log(new_alpha / alpha)) + abs(np.log(new_beta / beta))
            alpha, beta = new_alpha, new_beta
            if moved < _TOLERANCE:
                break
        shrinkage = 1 / (alpha + beta * square)
        return cls((beta * d * seen * shrinkage) @ axes, axes, shrinkage, alpha, beta)

    def predict(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(n, F) features to (n,) means and (n,) standard deviations, noise included."""
        along = x @ self.axes.T
        across = np.maximum((x**2).sum(1) - (along**2).sum(1), 0)
        variance = (along**2) @ self.shrinkage + across / self.precision + 1 / self.noise_precision
        return x @ self.weights, np.sqrt(variance)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The inverse of :meth:`from_arrays`."""
        return {f"posterior.{f.name}": np.asarray(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> LinearPosterior:
        """Rebuild; raises KeyError where an array is missing."""
        weights, axes, shrinkage, precision, noise = (
            np.asarray(arrays[f"posterior.{f.name}"], np.float64) for f in fields(cls)
        )
        return cls(weights, axes, shrinkage, float(precision), float(noise))
