"""Proxies that compare samples by the derivatives of the network's outputs by its inputs.

All of them read :attr:`Lab.jacobians`: one backward pass of the sum of all outputs, norms seeing
the whole mini-batch, as in the published code. Of token ids, what counts are derivatives by their
embeddings.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from archcast.zero_cost._lab import Lab

_EPS = 1e-5
#: With more classes, differences between classes count instead of their sizes.
_MANY_CLASSES = 100


def jacov(lab: Lab) -> Tensor:
    """(G,) −Σ [log(v + ε) + 1/(v + ε)], v the eigenvalues of the samples' correlations.

    High where samples are told apart: all eigenvalues are 1 where Jacobians are uncorrelated.

    Reference:
        Mellor et al., "Neural Architecture Search without Training", first version, 2020.
    """

    def score(_: int, rows: Tensor) -> Tensor:
        values = torch.linalg.eigvalsh(correlation(rows)) + _EPS
        return -(values.log() + 1 / values).sum()

    return _each(lab, score)


def epe_nas(lab: Lab) -> Tensor:
    """(G,) Σ over classes of |Σ log(|correlation| + ε)| among the class's samples.

    For more than 100 classes, sums are divided by the class's samples, and the mean over classes
    of the sum of absolute differences to all classes counts.

    Reference:
        Lopes et al., "EPE-NAS: Efficient Performance Estimation Without Training for Neural
        Architecture Search", ICANN 2021.
    """

    def score(a: int, rows: Tensor) -> Tensor:
        classes = lab.outputs[a][0].shape[1]
        labels = lab.data.labels(max(classes, 2))
        logs = (correlation(rows).abs() + _EPS).log()
        same = torch.nn.functional.one_hot(labels).to(logs.dtype)
        counts = same.sum(0)
        sums = (same * (logs @ same)).sum(0)[counts > 0]
        if classes <= _MANY_CLASSES:
            return sums.abs().sum()
        sums = sums / counts[counts > 0]
        return (sums[:, None] - sums).abs().sum() / len(sums)

    return _each(lab, score)


def jacobian_cosine(lab: Lab) -> Tensor:
    """(G,) 1 − ½ mean over pairs i ≠ j of |cos(J_i, J_j)|^(1/20).

    Reference:
        Celotti et al., "Improving Zero-Shot Neural Architecture Search with Parameters Scoring",
        2020; as computed by Serianni & Kalita, ACL 2023.
    """

    def score(_: int, rows: Tensor) -> Tensor:
        unit = _normalised(rows.double())
        powers = (unit @ unit.T).abs() ** (1 / 20)
        n = len(rows)
        return 1 - (powers.sum() - powers.diagonal().sum()) / (2 * n * (n - 1))

    return _each(lab, score, samples=2)


def correlation(rows: Tensor) -> Tensor:
    """(B, B) Pearson correlations of rows (B, D), in float64; NaN where a row is constant."""
    rows = rows.double()
    unit = _normalised(rows - rows.mean(1, keepdim=True))
    return (unit @ unit.T).clamp(-1, 1)


def _normalised(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=1, keepdim=True)


def _each(lab: Lab, score: Callable[[int, Tensor], Tensor], samples: int = 1) -> Tensor:
    """Scores of all architectures that have a Jacobian other than zero."""
    found = torch.full((len(lab),), float("nan"), dtype=torch.float64)
    for a, rows in enumerate(lab.jacobians):
        if rows is None:
            lab.refuse(a, "no input that outputs could be differentiated by")
        elif len(rows) < samples:
            lab.refuse(a, f"compares samples: give at least {samples}")
        elif not bool((rows.std(1, correction=0) > 0).all()):
            lab.refuse(a, "outputs do not depend on the input, or on all of it alike")
        else:
            found[a] = score(a, rows).cpu()
    return found
