"""Proxies that compare samples by the derivatives of the network's outputs by its inputs.

All of them read :attr:`Lab.jacobians`: one backward pass of the sum of all outputs, norms seeing
the whole mini-batch, as in the published code. Of token ids, what counts are derivatives by their
embeddings.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from archcast.zero_cost._lab import Lab

_EPS = 1e-5
_ROUNDING = 1e-6
#: With more classes, differences between classes count instead of their sizes.
_MANY_CLASSES = 100


def jacov(lab: Lab) -> Tensor:
    """(G,) −Σ [log(v + ε) + 1/(v + ε)], v the eigenvalues of the samples' correlations.

    High where samples are told apart: all eigenvalues are 1 where Jacobians are uncorrelated.

    Reference:
        Mellor et al., "Neural Architecture Search without Training", first version, 2020.
    """
    kept, matrices = _alike(lab, correlation)
    values = torch.linalg.eigvalsh(matrices) + _EPS
    return _placed(lab, kept, -(values.log() + 1 / values).sum(1))


def epe_nas(lab: Lab) -> Tensor:
    """(G,) Σ over classes of |Σ log(|correlation| + ε)| among the class's samples.

    For more than 100 classes, sums are divided by the class's samples, and the mean over classes
    of the sum of absolute differences to all classes counts. No score where no class has two
    samples, or, for so many classes, where all samples are of one: nothing is compared then.

    Reference:
        Lopes et al., "EPE-NAS: Efficient Performance Estimation Without Training for Neural
        Architecture Search", ICANN 2021.
    """
    kept, matrices = _alike(lab, correlation)
    logs = (matrices.abs() + _EPS).log()
    found = [_classwise(lab, a, rows) for a, rows in zip(kept, logs, strict=True)]
    return _placed(lab, kept, torch.stack(found) if found else logs.new_zeros(0))


def _classwise(lab: Lab, architecture: int, logs: Tensor) -> Tensor:
    """() EPE-NAS of one architecture from (B, B) logarithms."""
    classes = lab.outputs[architecture][0].shape[1]
    same = one_hot(lab.data.labels(max(classes, 2))).to(logs.dtype)
    counts = same.sum(0)
    if counts.max() < 2:
        lab.refuse(architecture, "no two samples of one class: give more samples, or labels")
        return logs.new_tensor(float("nan"))
    sums = (same * (logs @ same)).sum(0)[counts > 0]
    if classes <= _MANY_CLASSES:
        return sums.abs().sum()
    if len(sums) < 2:
        lab.refuse(architecture, "all samples are of one class: give more samples, or labels")
        return logs.new_tensor(float("nan"))
    sums = sums / counts[counts > 0]
    return (sums[:, None] - sums).abs().sum() / len(sums)


def jacobian_cosine(lab: Lab) -> Tensor:
    """(G,) 1 − ½ mean over pairs i ≠ j of |cos(J_i, J_j)|^(1/20).

    Reference:
        Celotti et al., "Improving Zero-Shot Neural Architecture Search with Parameters Scoring",
        2020; as computed by Serianni & Kalita, ACL 2023.
    """
    kept, matrices = _alike(lab, cosines, samples=2)
    powers = matrices.abs() ** (1 / 20)
    n = matrices.shape[1]
    pairs = powers.sum((1, 2)) - powers.diagonal(dim1=1, dim2=2).sum(1)
    return _placed(lab, kept, 1 - pairs / max(2 * n * (n - 1), 1))


def correlation(rows: Tensor) -> Tensor:
    """(B, B) Pearson correlations of rows (B, D), in float64.

    NaN where a row differs from its mean by no more than float32 rounds.
    """
    rows = rows.double()
    size = rows.norm(dim=1, keepdim=True)
    rows = rows - rows.mean(1, keepdim=True)
    spread = rows.norm(dim=1, keepdim=True)
    unit = torch.where(spread > _ROUNDING * size, rows / spread, float("nan"))
    return (unit @ unit.T).clamp(-1, 1)


def cosines(rows: Tensor) -> Tensor:
    """(B, B) cosines of the angles between rows (B, D), in float64; NaN with a row of zeros."""
    unit = rows.double()
    unit = unit / unit.norm(dim=1, keepdim=True)
    return unit @ unit.T


def _alike(
    lab: Lab, compare: Callable[[Tensor], Tensor], samples: int = 1
) -> tuple[list[int], Tensor]:
    """How alike samples' Jacobians are: which architectures have them, (n, B, B) numbers."""
    size = lab.data.samples
    kept, found = [], [torch.zeros(0, size, size, dtype=torch.float64, device=lab.data.device)]
    for a, rows in enumerate(lab.jacobians):
        if rows is None:
            lab.refuse(a, "no input that outputs could be differentiated by")
        elif size < samples:
            lab.refuse(a, f"compares samples: give at least {samples}")
        else:
            kept.append(a)
            found.append(compare(rows.detach())[None])
    matrices = torch.cat(found)
    defined = matrices.isfinite().all(2).all(1).tolist()
    for a, good in zip(kept, defined, strict=True):
        if not good:
            lab.refuse(a, "outputs do not depend on the input, or on all of it alike")
    places = [k for k, good in enumerate(defined) if good]
    return [kept[k] for k in places], matrices[places]


def _placed(lab: Lab, kept: list[int], scores: Tensor) -> Tensor:
    """(G,) scores of some architectures; NaN for the others."""
    found = torch.full((len(lab),), float("nan"), dtype=torch.float64)
    found[kept] = scores.cpu()
    return found
