"""Stationary kernels with one length scale a family of columns, fitted by marginal likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import InvalidSettingError, MissingExtraError

FloatArray = NDArray[np.float64]
Kernel = Literal["matern", "rbf"]

#: Logarithms of the parameters are held near these by normal priors of this width.
_RATE, _NOISE, _WIDTH = np.log(0.3), np.log(0.03), 1.5
_BOUND: Final = 7.0


@dataclass(frozen=True, slots=True)
class Tuned:
    """What makes the labels likeliest.

    Attributes:
        rates: (G,) squared inverse length scale of each family, its columns averaged.
        noise: variance of the noise, relative to the signal's.
        variance: variance of the signal.
    """

    rates: FloatArray
    noise: float
    variance: float


def covariance(square: FloatArray, kernel: Kernel) -> FloatArray:
    """The kernel of scaled squared distances, of any shape; 1 at distance 0."""
    if kernel == "rbf":
        return np.exp(-0.5 * square)
    r = np.sqrt(3 * square)
    return (1 + r) * np.exp(-r)


def _slope(square: FloatArray, kernel: Kernel) -> FloatArray:
    """Derivative of :func:`covariance` by the squared distance."""
    if kernel == "rbf":
        return -0.5 * np.exp(-0.5 * square)
    return -1.5 * np.exp(-np.sqrt(3 * square))


def squares(z: FloatArray, families: NDArray[np.intp]) -> FloatArray:
    """(G, n, n) mean squared differences over the columns of each family that vary.

    Args:
        z: (n, F) scaled columns.
        families: (F,) number of each column's family.
    """
    varies = z.std(0) > 0
    found = np.zeros((int(families.max(initial=-1)) + 1, len(z), len(z)))
    for family in range(len(found)):
        part = z[:, (families == family) & varies]
        if part.shape[1]:
            norm = (part**2).sum(1)
            found[family] = norm[:, None] + norm - 2 * part @ part.T
            found[family] = np.maximum(found[family], 0) / part.shape[1]
    return found


def tune(square: FloatArray, target: FloatArray, kernel: Kernel) -> Tuned:
    """Maximise the log marginal likelihood by L-BFGS, the signal's variance in closed form.

    Args:
        square: (G, n, n) squared distances by family.
        target: (n,) targets.
        kernel: ``matern`` (3/2) or ``rbf``.

    Raises:
        MissingExtraError: SciPy, a part of the extra ``train``, is not installed.
        InvalidSettingError: no such kernel.

    Reference:
        Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, section 5.4.1.
    """
    if kernel not in ("matern", "rbf"):
        raise InvalidSettingError(f"kernel {kernel!r} is neither 'matern' nor 'rbf'")
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise MissingExtraError(
            "Gaussian processes are tuned by SciPy: pip install 'archcast[train]'"
        ) from error
    # A family counts as much as the square root of how many there are makes it, to begin with.
    centre = np.append(np.full(len(square), _RATE - 0.5 * np.log(len(square))), _NOISE)
    found: Any = minimize(
        _loss,
        centre,
        (square, target, kernel, centre),
        jac=True,
        method="L-BFGS-B",
        bounds=[(c - _BOUND, c + _BOUND) for c in centre],
        options={"maxiter": 60},
    )
    best = np.exp(np.asarray(found.x, np.float64))
    rates, noise = best[:-1], float(best[-1])
    total = covariance(_weighted(rates, square), kernel) + noise * np.eye(len(target))
    power = target @ np.linalg.solve(total, target)
    return Tuned(rates, noise, float((power + 1) / (len(target) + 1)))


def _loss(
    theta: FloatArray, square: FloatArray, target: FloatArray, kernel: Kernel, centre: FloatArray
) -> tuple[float, FloatArray]:
    """Negative log posterior of the logarithms of rates and noise, and its gradient."""
    rates, noise, count = np.exp(theta[:-1]), np.exp(theta[-1]), len(target)
    scaled = _weighted(rates, square)
    inverse = np.linalg.inv(covariance(scaled, kernel) + noise * np.eye(count))
    sign, logdet = np.linalg.slogdet(inverse)
    weights = inverse @ target
    power = float(target @ weights) + 1
    excess = (theta - centre) / _WIDTH
    value = -0.5 * logdet + 0.5 * (count + 1) * np.log(power / (count + 1))
    # d value / d K, whose entries all parameters act through.
    outer = 0.5 * inverse - 0.5 * (count + 1) / power * np.multiply.outer(weights, weights)
    by_square = outer * _slope(scaled, kernel)
    by_rate = np.array([(family * by_square).sum() for family in square])
    gradient = np.append(rates * by_rate, noise * np.trace(outer))
    penalty = 0.5 * float(excess @ excess)
    if sign <= 0 or not np.isfinite(value):
        return 1e10, excess / _WIDTH
    return float(value) + penalty, gradient + excess / _WIDTH


def _weighted(rates: FloatArray, square: FloatArray) -> FloatArray:
    """(n, n) sum of the families' squared distances."""
    return np.einsum("g,gij->ij", rates, square)
