"""A small exact Gaussian process: what a few queries say about everything else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
#: Length scales in units of the median distance between inputs, noise in units of the signal's
#: variance, and the first block's part of squared distances.
_LENGTHS: Final = (0.35, 0.7, 1.4, 2.8)
_NOISES: Final = (1e-4, 1e-2, 0.1, 0.5)
_SHARES: Final = (0.1, 0.5, 0.9, 1.0)
#: Widths, in logarithms, of the priors that keep three labels from choosing an extreme.
_PRIOR_LENGTH, _PRIOR_NOISE, _USUAL_NOISE = 1.0, 3.0, 0.03


class GaussianProcess:
    """Matérn-5/2 kernel plus a linear one, constant mean, settings by their posterior on a grid.

    Made for at most a few hundred labels and any number of inputs to forecast. The signal's
    variance has a closed form; length scale, noise and the balance of two blocks of inputs are
    the best of a grid, so that a fit is deterministic and has no optimiser to fail.

    Args:
        linear: the linear kernel's part of the prior variance, 0 to 1, where inputs have mean
            square one.

    Reference:
        Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, chapters 2 and 5.
    """

    def __init__(self, linear: float = 0.0) -> None:
        self.linear = linear

    def fit(self, blocks: Sequence[FloatArray], y: FloatArray) -> GaussianProcess:
        """Learn from labels.

        Args:
            blocks: one or two tables (n, d) of inputs, n ≥ 1; how much each counts is learned.
            y: (n,) finite labels.

        Returns:
            itself.
        """
        self._blocks = list(blocks)
        self._offset, spread = float(y.mean()), float(y.std())
        self._scale = spread if spread > 0 else 1.0
        target = (y - self._offset) / self._scale
        squares, products = self._compared(self._blocks)
        best, chosen = -np.inf, np.eye(len(y))
        for weights in [(1.0,)] if len(blocks) == 1 else [(a, 1 - a) for a in _SHARES]:
            gaps = np.sqrt(_weighted(weights, squares))
            unit = float(np.median(gaps[gaps > 0])) if (gaps > 0).any() else 1.0
            linear = _weighted(weights, products)
            for length, noise in product(_LENGTHS, _NOISES):
                kernel = self._kernel(gaps / (length * unit), linear)
                factor = np.linalg.cholesky(kernel + (noise + 1e-9) * np.eye(len(y)))
                half = np.linalg.solve(factor, target)
                # One pseudo-observation of variance one keeps a constant label from none.
                variance = (half @ half + 1) / (len(y) + 1)
                score = -0.5 * (len(y) + 1) * np.log(variance) - np.log(np.diag(factor)).sum()
                score -= 0.5 * (np.log(length) / _PRIOR_LENGTH) ** 2
                score -= 0.5 * (np.log(noise / _USUAL_NOISE) / _PRIOR_NOISE) ** 2
                if score > best:
                    best, self._weights, self._reach = score, weights, length * unit
                    self._variance, self._half, chosen = variance, half, factor
        # Many inputs are forecast by one product, for which the factor's inverse is exact enough.
        self._whiten = np.linalg.inv(chosen)
        return self

    def predict(self, blocks: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Forecast the noise-free value.

        Args:
            blocks: the tables (m, d) of inputs, as in :meth:`fit`.

        Returns:
            (m,) means and (m,) standard deviations, in the labels' unit.
        """
        squares, products = self._compared(blocks)
        gaps = np.sqrt(_weighted(self._weights, squares)) / self._reach
        half = self._whiten @ self._kernel(gaps, _weighted(self._weights, products))
        norms = _weighted(self._weights, [(block**2).sum(1) for block in blocks])
        prior = 1 - self.linear + self.linear * norms
        left = np.maximum(prior - (half**2).sum(0), 0)
        mean = self._offset + self._scale * (self._half @ half)
        return mean, self._scale * np.sqrt(self._variance * left)

    def _kernel(self, gaps: FloatArray, products: FloatArray) -> FloatArray:
        z = np.sqrt(5) * gaps
        return (1 - self.linear) * (1 + z + z * z / 3) * np.exp(-z) + self.linear * products

    def _compared(self, blocks: Sequence[FloatArray]) -> tuple[list[FloatArray], list[FloatArray]]:
        """Squared distances and products of the labelled inputs with others, a block each."""
        pairs = list(zip(self._blocks, blocks, strict=True))
        products = [mine @ other.T for mine, other in pairs]
        squares = [
            np.maximum((mine**2).sum(1)[:, None] + (other**2).sum(1) - 2 * inner, 0)
            for (mine, other), inner in zip(pairs, products, strict=True)
        ]
        return squares, products


def _weighted(weights: Sequence[float], parts: Sequence[FloatArray]) -> FloatArray:
    total = weights[0] * parts[0]
    for weight, part in zip(weights[1:], parts[1:], strict=True):
        total = total + weight * part
    return total
