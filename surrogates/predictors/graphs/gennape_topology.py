"""How alike two networks are by their wiring alone: the target of contrastive learning."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.graph import ComputeGraph

FloatArray = NDArray[np.float64]

#: No eigenvalue of a normalised Laplacian is larger; what a small graph lacks counts as that.
_TOP: Final = 2.0
#: Up to here all eigenvalues are computed; beyond, the low end by Lanczos' method.
_DENSE: Final = 1000
_LANCZOS: Final = 120
#: Numbers of the matrices that are decomposed at once.
_CELLS: Final = 4_000_000


def spectra(graphs: Sequence[ComputeGraph], count: int = 21) -> FloatArray:
    """Low end of the spectrum of ``L = I - D^(-1/2) A D^(-1/2)``, edges undirected.

    Args:
        graphs: n graphs.
        count: how many eigenvalues.

    Returns:
        (n, count) eigenvalues, ascending, between 0 and 2; graphs of fewer operators are padded
        with 2. An operator without edges has eigenvalue 0. Beyond 1,000 operators they are Ritz
        values, upper bounds.

    Reference:
        Chung, "Spectral Graph Theory", 1997, chapter 1.
    """
    found = np.full((len(graphs), count), _TOP)
    by_size: dict[int, list[int]] = defaultdict(list)
    for at, graph in enumerate(graphs):
        by_size[len(graph)].append(at)
    for size, rows in by_size.items():
        if size > _DENSE:
            for at in rows:
                found[at] = _lanczos(graphs[at], count)
            continue
        chunk = max(1, _CELLS // size**2)
        for start in range(0, len(rows), chunk):
            part = rows[start : start + chunk]
            stack = np.stack([_laplacian(graphs[at]) for at in part])
            values = np.linalg.eigvalsh(stack)[:, :count]
            found[part, : values.shape[1]] = values
    return np.clip(found, 0, _TOP)


def target_similarity(spectrum: FloatArray, temperature: float) -> FloatArray:
    """``a_ij ∝ exp(-‖λ_i - λ_j‖ / (temperature * median))`` for j ≠ i: what contrast aims at.

    Args:
        spectrum: (n, k) eigenvalues of a batch of graphs.
        temperature: small: only the nearest is alike; large: all are.

    Returns:
        (n, n) rows that sum to one, zero on the diagonal.
    """
    gap = spectrum[:, None, :] - spectrum
    distance = np.sqrt((gap**2).sum(2))
    off = ~np.eye(len(spectrum), dtype=bool)
    unit = float(np.median(distance[off])) if off.any() else 1.0
    weight = np.where(off, np.exp(-distance / (temperature * max(unit, 1e-9))), 0.0)
    return weight / np.maximum(weight.sum(1, keepdims=True), 1e-300)


def _pairs(graph: ComputeGraph) -> tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]:
    """Ends of every different undirected edge, and D^(-1/2)."""
    edges = np.unique(np.sort(graph.edges.astype(np.intp), 1), axis=0).reshape(-1, 2)
    degree = np.bincount(edges.ravel(), minlength=len(graph)).astype(np.float64)
    return edges[:, 0], edges[:, 1], np.where(degree > 0, degree, 1.0) ** -0.5


def _laplacian(graph: ComputeGraph) -> FloatArray:
    """(N, N); rows of operators without edges are zero."""
    a, b, scale = _pairs(graph)
    matrix = np.zeros((len(graph), len(graph)))
    matrix[a, b] = matrix[b, a] = -scale[a] * scale[b]
    joined = np.unique(np.concatenate([a, b]))
    matrix[joined, joined] = 1.0
    return matrix


def _lanczos(graph: ComputeGraph, count: int) -> FloatArray:
    """(count,) smallest Ritz values of the Laplacian of a large graph."""
    a, b, scale = _pairs(graph)
    joined = np.zeros(len(graph))
    joined[np.concatenate([a, b])] = 1.0

    def times(v: FloatArray) -> FloatArray:
        w = scale * v
        spread = np.bincount(a, w[b], len(v)) + np.bincount(b, w[a], len(v))
        return joined * v - scale * spread

    basis = np.zeros((_LANCZOS, len(graph)))
    start = np.random.default_rng(0).standard_normal(len(graph))
    basis[0] = start / np.linalg.norm(start)
    for at in range(1, _LANCZOS):
        rest = times(basis[at - 1])
        for _ in range(2):  # twice, or rounding makes copies of eigenvalues
            rest -= basis[:at].T @ (basis[:at] @ rest)
        size = np.linalg.norm(rest)
        if size < 1e-10:  # an invariant subspace: all different eigenvalues are found
            basis = basis[:at]
            break
        basis[at] = rest / size
    projected = basis @ np.stack([times(v) for v in basis]).T
    values = np.linalg.eigvalsh((projected + projected.T) / 2)[:count]
    return np.concatenate([values, np.full(count - len(values), _TOP)])
