"""By how much one more architecture is expected to enlarge the dominated hypervolume."""

from __future__ import annotations

from itertools import product
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast.encoders.errors import ShapeError
from archcast.search._normal import excess
from archcast.search.pareto import non_dominated

FloatArray = NDArray[np.float64]
#: Boxes up to which the hypervolume is summed exactly, and draws it is estimated by beyond.
_BOXES: Final = 20_000
_DRAWS: Final = 1024
#: Elements of a work array.
_BLOCK: Final = 4_000_000


def expected_hypervolume_improvement(
    mean: ArrayLike, std: ArrayLike, front: ArrayLike, reference: ArrayLike, seed: int = 0
) -> FloatArray:
    """By how much one more architecture is expected to enlarge the dominated hypervolume.

    Objectives are independent and normal. What no point of the front dominates is cut into boxes,
    each the product of strips, so that an expectation is a product of one-dimensional ones: exact
    for any number of objectives. A front of k points has (k + 1)^(m - 1) boxes at most; where
    these are more than 20,000, the volume is estimated instead, by 1,024 draws that all
    architectures share, so that much of the noise cancels where they are compared.

    Args:
        mean: (n, m) expected merits.
        std: (n, m) standard deviations, 0 for what is known exactly, a cost for instance.
        front: (k, m) merits so far; dominated ones do no harm.
        reference: (m,) merits that count for nothing, the corner that volumes are measured from.
        seed: of the draws of an estimate.

    Returns:
        (n,) volumes, never negative.

    Raises:
        ShapeError: shapes that do not fit each other.

    Reference:
        Emmerich, Giannakoglou and Naujoks, "Single- and Multiobjective Evolutionary Optimization
        Assisted by Gaussian Random Field Metamodels", IEEE Transactions on Evolutionary
        Computation 2006; Daulton, Balandat and Bakshy, "Differentiable Expected Hypervolume
        Improvement for Parallel Multi-Objective Bayesian Optimization", NeurIPS 2020.
    """
    mu, sigma, known, corner = _shapes(mean, std, front, reference)
    known = known[(known > corner).all(1)]
    known = np.unique(known[non_dominated(known)], axis=0)
    if mu.shape[1] == 1:
        best = max(float(known.max(initial=-np.inf)), float(corner[0]))
        return excess(mu[:, 0], sigma[:, 0], np.array([best]))[:, 0]
    if (len(known) + 1) ** (mu.shape[1] - 1) > _BOXES:
        return _estimated(mu, sigma, known, corner, np.random.default_rng(seed))
    return _summed(mu, sigma, known, corner)


def _summed(mu: FloatArray, sigma: FloatArray, front: FloatArray, corner: FloatArray) -> FloatArray:
    """Over all boxes of the first objectives: product of strips times what is above the front."""
    last = mu.shape[1] - 1
    edges = [np.concatenate([[corner[j]], np.unique(front[:, j])]) for j in range(last)]
    strips = []
    for j, edge in enumerate(edges):
        beyond = excess(mu[:, j], sigma[:, j], edge)
        strips.append(beyond - np.concatenate([beyond[:, 1:], np.zeros((len(mu), 1))], 1))
    levels, of_box = _floors(edges, front, float(corner[last]))
    above = excess(mu[:, last], sigma[:, last], levels)
    total = np.zeros(len(mu))
    for box, level in zip(product(*map(range, map(len, edges))), of_box, strict=True):
        part = above[:, level].copy()
        for strip, at in zip(strips, box, strict=True):
            part *= strip[:, at]
        total += part
    return total


def _floors(
    edges: list[FloatArray], front: FloatArray, bottom: float
) -> tuple[FloatArray, NDArray[np.intp]]:
    """Heights in the last objective that the front reaches, and which of them above each box."""
    # A box ends, in each objective, at the next edge; points at that edge or beyond cover it.
    ends = [np.append(edge[1:], np.inf) for edge in edges]
    floors = []
    for end in product(*ends):
        over = front[(front[:, :-1] >= np.array(end)).all(1), -1]
        floors.append(float(over.max(initial=bottom)))
    levels, of_box = np.unique(floors, return_inverse=True)
    return levels, of_box.reshape(-1)


def _estimated(
    mu: FloatArray,
    sigma: FloatArray,
    front: FloatArray,
    corner: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    """Mean over draws f of the volume below f, where a random point of it is not dominated."""
    shape = (_DRAWS, mu.shape[1])
    normal, uniform = rng.standard_normal(shape), rng.random(shape)
    total = np.zeros(len(mu))
    rows = max(_BLOCK // normal.size, 1)
    for start in range(0, len(mu), rows):
        some = slice(start, start + rows)
        drawn = mu[some, None] + sigma[some, None] * normal
        sides = np.maximum(drawn - corner, 0.0)
        points = corner + uniform * sides
        covered = np.zeros(points.shape[:2], bool)
        for row in front:
            covered |= (points <= row).all(2)
        total[some] = np.where(covered, 0.0, sides.prod(2)).mean(1)
    return total


def _shapes(
    mean: ArrayLike, std: ArrayLike, front: ArrayLike, reference: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    mu, sigma, known, corner = (
        np.asarray(part, np.float64) for part in (mean, std, front, reference)
    )
    if mu.ndim != 2 or mu.shape != sigma.shape:
        raise ShapeError(f"means {mu.shape} and deviations {sigma.shape} are not both (n, m)")
    known = known.reshape(-1, mu.shape[1]) if not known.size else known
    if known.ndim != 2 or corner.shape != mu.shape[1:] or known.shape[1:] != corner.shape:
        raise ShapeError(
            f"a front {known.shape} and a reference {corner.shape} do not fit means {mu.shape}"
        )
    return mu, sigma, known, corner
