"""Fuzzy C-means: clusters that every point belongs to, more or less."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast.encoders.errors import InvalidSettingError

FloatArray = NDArray[np.float64]
#: A point this near to a centre belongs to it alone.
_TOUCH = 1e-12


@dataclass(frozen=True, slots=True)
class FuzzyCMeans:
    """``u_ic = 1 / Σ_k (‖x_i - v_c‖ / ‖x_i - v_k‖)^(2 / (m - 1))``, ``v_c = Σ u^m x / Σ u^m``.

    Attributes:
        centres: (C, d) centres of the clusters, ``v``.
        fuzziness: ``m`` above 1; near 1 every point has one cluster, large all of them alike.

    Reference:
        Bezdek, "Pattern Recognition with Fuzzy Objective Function Algorithms", 1981.
    """

    centres: FloatArray
    fuzziness: float = 2.0

    @classmethod
    def fit(
        cls,
        x: ArrayLike,
        clusters: int,
        fuzziness: float = 2.0,
        *,
        seed: int = 0,
        iterations: int = 200,
        tolerance: float = 1e-6,
    ) -> FuzzyCMeans:
        """Alternate between memberships and centres until the centres rest.

        Args:
            x: (n, d) points.
            clusters: ``C``; no more than there are different points are made.
            fuzziness: ``m``, above 1.
            seed: draws the first centres, far from each other (k-means++).
            iterations: at most so many rounds.
            tolerance: stop when no centre moves farther, in standard deviations of the points.

        Raises:
            InvalidSettingError: no cluster, or a fuzziness of at most 1.
        """
        if clusters < 1:
            raise InvalidSettingError(f"{clusters} clusters cannot be made; give one at least")
        if not fuzziness > 1:
            raise InvalidSettingError(f"fuzziness is above 1, not {fuzziness}")
        points = np.asarray(x, np.float64)
        made = cls(_far_apart(points, clusters, np.random.default_rng(seed)), float(fuzziness))
        rest = tolerance * float(points.std() + _TOUCH)
        for _ in range(iterations):
            weight = made.membership(points) ** fuzziness
            centres = (weight.T @ points) / weight.sum(0)[:, None]
            moved = float(np.abs(centres - made.centres).max())
            made = cls(centres, float(fuzziness))
            if moved <= rest:
                break
        return made

    def membership(self, x: ArrayLike) -> FloatArray:
        """(n, C) shares of the clusters in (n, d) points; every row sums to one."""
        gap = np.asarray(x, np.float64)[:, None, :] - self.centres
        distance = np.maximum(np.sqrt((gap**2).sum(2)), _TOUCH)
        log = -2 / (self.fuzziness - 1) * np.log(distance)
        share = np.exp(log - log.max(1, keepdims=True))
        return share / share.sum(1, keepdims=True)


def _far_apart(points: FloatArray, count: int, random: np.random.Generator) -> FloatArray:
    """(C, d) points drawn with a chance that grows with the squared distance to those drawn."""
    drawn = [points[random.integers(len(points))]]
    nearest = ((points - drawn[0]) ** 2).sum(1)
    while len(drawn) < count and nearest.max() > _TOUCH**2:
        drawn.append(points[random.choice(len(points), p=nearest / nearest.sum())])
        nearest = np.minimum(nearest, ((points - drawn[-1]) ** 2).sum(1))
    return np.array(drawn)
