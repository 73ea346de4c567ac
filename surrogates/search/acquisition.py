"""Acquisition functions: what is worth measuring next, given what is expected and how surely.

All work on merits: higher is better, whatever the objective's direction.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast.encoders.errors import InvalidSettingError, ShapeError
from archcast.search._hypervolume_gain import expected_hypervolume_improvement
from archcast.search._normal import above, excess, log_excess

__all__ = [
    "Acquisition",
    "expected_hypervolume_improvement",
    "expected_improvement",
    "get_acquisition",
    "independent_thompson",
    "list_acquisitions",
    "log_expected_improvement",
    "probability_of_improvement",
    "upper_confidence_bound",
]

FloatArray = NDArray[np.float64]
#: (n,) means, (n,) standard deviations, best merit so far, random numbers -> (n,) worth.
Acquisition = Callable[[FloatArray, FloatArray, float, np.random.Generator], FloatArray]


# --------------------------------------------------------------------- one objective
def expected_improvement(mean: ArrayLike, std: ArrayLike, best: float) -> FloatArray:
    """``E[max(f - best, 0)]`` of normal ``f``.

    Args:
        mean: (n,) expected merits.
        std: (n,) standard deviations; where 0, the merit is known.
        best: merit to be improved on.

    Returns:
        (n,) improvements in the unit of the merits, never negative.

    Reference:
        Jones, Schonlau and Welch, "Efficient Global Optimization of Expensive Black-Box
        Functions", Journal of Global Optimization 1998.
    """
    mu, sigma = _pair(mean, std)
    return excess(mu, sigma, np.array([best]))[:, 0]


def log_expected_improvement(mean: ArrayLike, std: ArrayLike, best: float) -> FloatArray:
    """Logarithm of :func:`expected_improvement`, exact where that is too small for a number.

    Far below the best all improvements round to zero; their logarithms still have an order.

    Args:
        mean: (n,) expected merits.
        std: (n,) standard deviations.
        best: merit to be improved on.

    Returns:
        (n,) logarithms; minus infinity where no improvement is possible.

    Reference:
        Ament et al., "Unexpected Improvements to Expected Improvement for Bayesian Optimization",
        NeurIPS 2023.
    """
    mu, sigma = _pair(mean, std)
    known = sigma <= 0
    safe = np.where(known, 1.0, sigma)
    found = np.log(safe) + log_excess((mu - best) / safe)
    gain = mu - best
    sure = np.log(np.where(gain > 0, gain, 1.0))
    return np.where(known, np.where(gain > 0, sure, -np.inf), found)


def probability_of_improvement(mean: ArrayLike, std: ArrayLike, best: float) -> FloatArray:
    """``P(f > best)`` of normal ``f``.

    Args:
        mean: (n,) expected merits.
        std: (n,) standard deviations; where 0, the answer is 0 or 1.
        best: merit to be improved on.

    Returns:
        (n,) probabilities.

    Reference:
        Kushner, "A New Method of Locating the Maximum Point of an Arbitrary Multipeak Curve in the
        Presence of Noise", Journal of Basic Engineering 1964.
    """
    mu, sigma = _pair(mean, std)
    return above(mu, sigma, np.array([best]))[:, 0]


def upper_confidence_bound(mean: ArrayLike, std: ArrayLike, kappa: float = 2.0) -> FloatArray:
    """``mean + kappa * std``.

    Args:
        mean: (n,) expected merits.
        std: (n,) standard deviations.
        kappa: how much doubt counts for; negative values shun it.

    Returns:
        (n,) bounds.

    Reference:
        Srinivas et al., "Gaussian Process Optimization in the Bandit Setting: No Regret and
        Experimental Design", ICML 2010.
    """
    mu, sigma = _pair(mean, std)
    return mu + kappa * sigma


def independent_thompson(
    mean: ArrayLike, std: ArrayLike, rng: np.random.Generator, draws: int | None = None
) -> FloatArray:
    """Draws of ``f``, each architecture on its own; a search takes the greatest of a draw.

    Args:
        mean: (n,) expected merits.
        std: (n,) standard deviations.
        rng: random numbers.
        draws: how many for each architecture; a single one if None.

    Returns:
        (n,) draws, or (draws, n).

    Reference:
        White et al., "BANANAS: Bayesian Optimization with Neural Architectures for Neural
        Architecture Search", AAAI 2021, section 4.3.
    """
    mu, sigma = _pair(mean, std)
    shape = mu.shape if draws is None else (draws, *mu.shape)
    return mu + sigma * rng.standard_normal(shape)


_NAMED: Final[dict[str, Acquisition]] = {
    "ei": lambda mean, std, best, _: expected_improvement(mean, std, best),
    "log-ei": lambda mean, std, best, _: log_expected_improvement(mean, std, best),
    "pi": lambda mean, std, best, _: probability_of_improvement(mean, std, best),
    "ucb": lambda mean, std, best, _: upper_confidence_bound(mean, std),
    "its": lambda mean, std, best, rng: independent_thompson(mean, std, rng),
    "mean": lambda mean, std, best, _: np.array(mean, np.float64),
}


def list_acquisitions() -> list[str]:
    """Names that :func:`get_acquisition` knows."""
    return list(_NAMED)


def get_acquisition(name: str) -> Acquisition:
    """An acquisition function for one objective, by name.

    Args:
        name: ``ei``, ``log-ei``, ``pi``, ``ucb`` (2 standard deviations), ``its`` (independent
            Thompson sampling) or ``mean`` (no exploration at all).

    Raises:
        InvalidSettingError: no acquisition of that name; the message has the closest.
    """
    if name not in _NAMED:
        near = get_close_matches(name, _NAMED, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(_NAMED)}"
        raise InvalidSettingError(f"no acquisition is called {name!r}; {hint}")
    return _NAMED[name]


def _pair(mean: ArrayLike, std: ArrayLike) -> tuple[FloatArray, FloatArray]:
    mu, sigma = np.asarray(mean, np.float64), np.asarray(std, np.float64)
    if mu.ndim != 1 or mu.shape != sigma.shape:
        raise ShapeError(f"means {mu.shape} and deviations {sigma.shape} are not both (n,)")
    return mu, sigma
