"""How good forecasts are: their ranks, their errors, and the honesty of their uncertainty."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast.evaluation import _numeric

__all__ = [
    "LEVELS",
    "calibration_curve",
    "coverage",
    "crps_gaussian",
    "crps_quantiles",
    "gaussian_nll",
    "gaussian_quantiles",
    "isotonic_mae",
    "kendall",
    "mae",
    "ndcg",
    "rmsce",
    "spearman",
    "width",
]

FloatArray = NDArray[np.float64]

#: Levels of quantiles that :func:`rmsce` and :func:`crps_quantiles` see by default: 1/40 … 39/40,
#: so that both ends of the central intervals of .05, .10, … .95 are among them.
LEVELS: Final = np.arange(1, 40) / 40
_CENTRAL: Final = np.arange(1, 20) / 20


# ------------------------------------------------------------------------ ranks
def kendall(truth: ArrayLike, value: ArrayLike) -> float:
    """Kendall's tau-b, ``(C - D) / sqrt((C + D + T_x)(C + D + T_y))``, in O(n log² n).

    Args:
        truth: (n,) measured values; rows that are NaN are left out.
        value: (n,) forecasts.

    Returns:
        -1 to 1; NaN where one side is constant or a forecast is not finite.

    Raises:
        ShapeError: the two do not belong together.

    Reference:
        Kendall, "The treatment of ties in ranking problems", Biometrika 1945; Knight, "A computer
        method for calculating Kendall's tau with ungrouped data", JASA 1966.
    """
    y, f = _numeric.pair(truth, value)
    if not np.isfinite(f).all():
        return math.nan
    order = np.lexsort((f, y))
    a, b = _numeric.codes(y)[order], _numeric.codes(f)[order]
    pairs = len(a) * (len(a) - 1) // 2
    tied_a, tied_b, tied = _numeric.tied(a), _numeric.tied(b), _numeric.tied(a * len(b) + b)
    if pairs in (tied_a, tied_b):
        return math.nan
    difference = pairs - tied_a - tied_b + tied - 2 * _numeric.inversions(b)
    return difference / math.sqrt((pairs - tied_a) * (pairs - tied_b))


def spearman(truth: ArrayLike, value: ArrayLike) -> float:
    """Spearman's rho: Pearson's correlation of the ranks, tied rows sharing their mean rank.

    Args:
        truth: (n,) measured values; rows that are NaN are left out.
        value: (n,) forecasts.

    Returns:
        -1 to 1; NaN where one side is constant or a forecast is not finite.

    Raises:
        ShapeError: the two do not belong together.
    """
    y, f = _numeric.pair(truth, value)
    a, b = (_numeric.ranks(side) - (len(y) - 1) / 2 for side in (y, f))
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale > 0 and np.isfinite(f).all() else math.nan


def ndcg(truth: ArrayLike, value: ArrayLike, share: float = 0.1) -> float:
    """``DCG / ideal DCG`` over the best share, ``DCG = Σ_i relevance_i / log2(i + 1)``.

    The relevance of a row is ``20 (y - min) / (max - min)``. Tied forecasts share their places.

    Args:
        truth: (n,) measured values, higher is better; rows that are NaN are left out.
        value: (n,) forecasts.
        share: of the rows that count, from the best forecast on.

    Returns:
        0 to 1; NaN where the truth is constant or a forecast is not finite.

    Raises:
        ShapeError: the two do not belong together.

    Reference:
        Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002;
        relevance as in Mills et al., "GENNAPE", AAAI 2023; ties as in McSherry and Najork, 2008.
    """
    y, f = _numeric.pair(truth, value)
    if not len(y) or y.max() == y.min() or not np.isfinite(f).all():
        return math.nan
    relevance = 20 * (y - y.min()) / (y.max() - y.min())
    places = np.arange(len(y))
    discount = np.where(places < math.ceil(share * len(y)), 1 / np.log2(places + 2), 0)
    group = _numeric.codes(-f)
    order = np.argsort(group, kind="stable")
    counts = np.bincount(group)
    mean = np.bincount(group, relevance) / counts
    gained = mean[group[order]] @ discount
    return float(gained / (np.sort(relevance)[::-1] @ discount))


# ----------------------------------------------------------------------- errors
def mae(truth: ArrayLike, value: ArrayLike) -> float:
    """Mean absolute error ``mean |y - f|``; rows whose truth is NaN are left out.

    Raises:
        ShapeError: the two do not belong together.
    """
    y, f = _numeric.pair(truth, value)
    return float(np.abs(y - f).mean()) if len(y) else math.nan


def isotonic_mae(
    truth: ArrayLike, value: ArrayLike, labels: int = 20, draws: int = 20, seed: int = 0
) -> float:
    """Mean absolute error once a few labels have brought the forecasts to the right scale.

    An increasing function from forecasts to labels is fitted to ``labels`` random rows (pool
    adjacent violators, straight lines between its steps, constant beyond them) and judged on all
    others.

    Args:
        truth: (n,) measured values; rows that are NaN are left out.
        value: (n,) forecasts.
        labels: rows to fit to; at most half of them.
        draws: how many random choices of these are averaged.
        seed: of the choices.

    Returns:
        The error in the unit of the truth; NaN with fewer than 4 rows.

    Raises:
        ShapeError: the two do not belong together.

    Reference:
        Barlow et al., "Statistical Inference under Order Restrictions", 1972.
    """
    y, f = _numeric.pair(truth, value)
    if len(y) < 4 or not np.isfinite(f).all():
        return math.nan
    rng = np.random.default_rng(seed)
    errors = []
    for _ in range(draws):
        order = rng.permutation(len(y))
        known, rest = np.split(order, [min(labels, len(y) // 2)])
        steps, levels = _numeric.isotonic(f[known], y[known])
        errors.append(np.abs(np.interp(f[rest], steps, levels) - y[rest]).mean())
    return float(np.mean(errors))


# ------------------------------------------------------------------ uncertainty
def gaussian_nll(truth: ArrayLike, mean: ArrayLike, std: ArrayLike) -> float:
    """Negative log-likelihood ``mean(½ log 2πs² + (y - m)² / 2s²)``; NaN truths are left out.

    Raises:
        ShapeError: the three do not belong together.
    """
    y, m, s = _numeric.triple(truth, mean, std)
    terms = 0.5 * np.log(2 * np.pi * s**2) + (y - m) ** 2 / (2 * s**2)
    return float(terms.mean()) if len(y) else math.nan


def crps_gaussian(truth: ArrayLike, mean: ArrayLike, std: ArrayLike) -> float:
    """Continuous ranked probability score of normal distributions, lower is better.

    ``mean s (z (2Φ(z) - 1) + 2φ(z) - 1/√π)`` with ``z = (y - m) / s``, in the unit of the truth.

    Args:
        truth: (n,) measured values; rows that are NaN are left out.
        mean: (n,) means.
        std: (n,) standard deviations; where one is zero, the score is the absolute error.

    Raises:
        ShapeError: the three do not belong together.

    Reference:
        Gneiting and Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation",
        JASA 2007.
    """
    y, m, s = _numeric.triple(truth, mean, std)
    z = (y - m) / np.where(s > 0, s, 1)
    normal = z * _numeric.erf(z / math.sqrt(2)) + 2 * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    scores = np.where(s > 0, s * (normal - 1 / math.sqrt(math.pi)), np.abs(y - m))
    return float(scores.mean()) if len(y) else math.nan


def crps_quantiles(truth: ArrayLike, quantiles: ArrayLike, levels: ArrayLike = LEVELS) -> float:
    """Continuous ranked probability score of quantiles: twice their mean pinball loss.

    ``mean 2 (1{y < q} - level) (q - y)`` over rows and levels, in the unit of the truth; exact as
    evenly spread levels become many.

    Args:
        truth: (n,) measured values; rows that are NaN are left out.
        quantiles: (Q, n) quantiles.
        levels: (Q,) their levels.

    Raises:
        ShapeError: they do not belong together.
    """
    y, q, p = _numeric.with_quantiles(truth, quantiles, levels)
    loss = 2 * ((y < q) - p[:, None]) * (q - y)
    return float(loss.mean()) if len(y) else math.nan


def rmsce(truth: ArrayLike, quantiles: ArrayLike, levels: ArrayLike = LEVELS) -> float:
    """Root-mean-square calibration error ``sqrt(mean_p (coverage(p) - p)²)``, p = .05, .10 … .95.

    ``coverage(p)`` is the share of truths in the central interval of probability p.

    Args:
        truth: (n,) measured values; rows that are NaN are left out.
        quantiles: (Q, n) quantiles.
        levels: (Q,) their levels, ascending; ends of intervals that are none of them lie on
            straight lines between them.

    Raises:
        ShapeError: they do not belong together.

    Reference:
        Kuleshov et al., "Accurate Uncertainties for Deep Learning Using Calibrated Regression",
        ICML 2018, for central intervals.
    """
    return float(np.sqrt(np.mean((calibration_curve(truth, quantiles, levels) - _CENTRAL) ** 2)))


def calibration_curve(
    truth: ArrayLike, quantiles: ArrayLike, levels: ArrayLike = LEVELS
) -> FloatArray:
    """(19,) coverage of the central intervals of .05, .10, … .95; see :func:`rmsce`."""
    y, q, p = _numeric.with_quantiles(truth, quantiles, levels)
    if not len(y):
        return np.full(len(_CENTRAL), np.nan)
    found = []
    for share in _CENTRAL:
        low, high = (_numeric.between(q, p, (1 + sign * share) / 2) for sign in (-1, 1))
        found.append(((low <= y) & (y <= high)).mean())
    return np.array(found)


def coverage(truth: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Share of truths within ``[low, high]``; NaN truths are left out.

    Raises:
        ShapeError: the three do not belong together.
    """
    y, a, b = _numeric.triple(truth, low, high)
    return float(((a <= y) & (y <= b)).mean()) if len(y) else math.nan


def width(low: ArrayLike, high: ArrayLike) -> float:
    """Mean width of intervals, ``mean(high - low)``."""
    return float(np.mean(np.asarray(high, np.float64) - np.asarray(low, np.float64)))


def gaussian_quantiles(mean: ArrayLike, std: ArrayLike, levels: ArrayLike = LEVELS) -> FloatArray:
    """(Q, n) quantiles ``m + s Φ⁻¹(level)`` of normal distributions."""
    z = np.array([NormalDist().inv_cdf(level) for level in np.asarray(levels).tolist()])
    return np.asarray(mean, np.float64) + np.multiply.outer(z, np.asarray(std, np.float64))
