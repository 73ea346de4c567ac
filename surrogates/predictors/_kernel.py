"""The smooth member of the ensemble: kernel ridge regression, with additive recipe effects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Standardised features are cut off here: beyond, farther is only "far".
_CLIP = 5.0
_RATES = (0.15, 0.3, 0.6)
_NOISES = (0.01, 0.03, 0.1)
#: Prior variance of a recipe effect, relative to the architecture's.
_RECIPE_VARIANCE = 0.05
_HABIT_NOISE = 0.3


@dataclass(frozen=True, slots=True)
class Scaler:
    """Brings features to a common scale.

    Attributes:
        centre: (F,) subtracted.
        scale: (F,) divided by.
    """

    centre: FloatArray
    scale: FloatArray

    @classmethod
    def fit(cls, x: NDArray[np.float32]) -> Scaler:
        """Mean and standard deviation; a column that never varies counts from its constant."""
        spread = x.std(0, dtype=np.float64)
        constant = spread < 1e-5 * (1 + np.abs(x).max(0))
        return cls(x.mean(0, dtype=np.float64), np.where(constant, 1.0, spread))

    def apply(self, x: NDArray[np.float32]) -> FloatArray:
        """(n, F) features to the common scale, cut off and rounded as they are stored."""
        z = np.clip((x - self.centre) / self.scale, -_CLIP, _CLIP)
        return z.astype(np.float16).astype(np.float64)


def distances(a: FloatArray, b: FloatArray) -> FloatArray:
    """Root-mean-square differences: (n, F) and (m, F) to (n, m)."""
    square = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * (a @ b.T)
    return np.sqrt(np.maximum(square, 0) / a.shape[1])


def matern(distance: FloatArray, rate: float) -> FloatArray:
    """Matérn kernel of smoothness 3/2."""
    r = np.sqrt(3.0) * rate * distance
    return (1 + r) * np.exp(-r)


@dataclass(frozen=True, slots=True)
class KernelRidge:
    """``mean + kernel(x, support) @ weights + recipe effect``.

    The effect of a recipe is linear in its fields. Where the recipe is unknown, the effect is the
    one expected of networks like this: a second ridge regression on the same support.

    Attributes:
        rate: inverse length scale of the kernel.
        noise: variance of the noise, relative to the architecture's.
        mean: level of the targets.
        weights: (m,) of the support.
        habit: (m,) weights of the expected recipe effect.
        effect: (R,) effect of each recipe field.
        usual: (R,) mean recipe of the target rows.
    """

    rate: float
    noise: float
    mean: float
    weights: FloatArray
    habit: FloatArray
    effect: FloatArray
    usual: FloatArray

    def predict(self, distance: FloatArray) -> FloatArray:
        """(n, m) distances to the support to (n,) predictions under the usual recipe."""
        return self.mean + matern(distance, self.rate) @ self.weights

    def offset(self, distance: FloatArray, recipe: FloatArray | None = None) -> FloatArray:
        """What the recipe adds.

        Args:
            distance: (n, m) distances to the support.
            recipe: (n, R) fields, NaN where unknown; all unknown if None.

        Returns:
            (n,) effects.
        """
        expected = matern(distance, self.rate) @ self.habit
        if recipe is None:
            return expected
        known = np.isfinite(recipe)
        given = np.where(known, recipe - self.usual, 0.0) @ self.effect
        return np.where(known.any(1), given, expected)


def choose(
    z: FloatArray, y: FloatArray, groups: NDArray[np.integer], recipe: FloatArray, target: BoolArray
) -> tuple[float, float]:
    """Rate and noise of least leave-one-group-out error, which has a closed form.

    Args:
        z: (m, F) scaled features.
        y: (m,) targets.
        groups: (m,) rows of one group are left out together.
        recipe: (m, R) recipe fields.
        target: (m,) rows whose errors count.

    Reference:
        Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, chapter 5.
    """
    excess, level = recipe - recipe[target].mean(0), y[target].mean()
    distance = distances(z, z)
    linear = _RECIPE_VARIANCE * excess @ excess.T
    errors = {}
    for rate, noise in product(_RATES, _NOISES):
        inverse = np.linalg.inv(matern(distance, rate) + linear + noise * np.eye(len(y)))
        residual = _left_out(inverse, inverse @ (y - level), groups)
        errors[rate, noise] = float(np.abs(residual[target]).mean())
    return min(errors, key=lambda k: errors[k])


def fit_kernel(
    z: FloatArray, y: FloatArray, recipe: FloatArray, target: BoolArray, rate: float, noise: float
) -> KernelRidge:
    """Solve for the weights, the recipe effects and the recipe to expect.

    Args:
        z: (m, F) scaled features of the support.
        y: (m,) targets.
        recipe: (m, R) recipe fields.
        target: (m,) rows of the population that is forecast; the others only help.
        rate: inverse length scale.
        noise: variance of the noise.

    Reference:
        Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, chapter 2.
    """
    usual = recipe[target].mean(0)
    excess, mean = recipe - usual, float(y[target].mean())
    kernel = matern(distances(z, z), rate)
    system = kernel + _RECIPE_VARIANCE * excess @ excess.T + noise * np.eye(len(y))
    weights = np.linalg.solve(system, y - mean)
    effect = _RECIPE_VARIANCE * excess.T @ weights
    habit = np.zeros(len(y))
    # A recipe is a habit of a neighbourhood, not a function of the graph: smooth it strongly.
    smooth = kernel[np.ix_(target, target)] + _HABIT_NOISE * np.eye(int(target.sum()))
    habit[target] = np.linalg.solve(smooth, (excess @ effect)[target])
    return KernelRidge(rate, noise, mean, weights, habit, effect, usual)


def _left_out(inverse: FloatArray, weights: FloatArray, groups: NDArray[np.integer]) -> FloatArray:
    """Residual of every row when its whole group is left out."""
    residual = np.empty(len(weights))
    for rows in group_rows(groups):
        residual[rows] = np.linalg.solve(inverse[np.ix_(rows, rows)], weights[rows])
    return residual


def group_rows(groups: NDArray[np.integer]) -> Iterator[NDArray[np.intp]]:
    """Row numbers of each group."""
    order = np.argsort(groups, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
