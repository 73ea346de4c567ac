"""Eigenvalues of many small Gram matrices at once, in float64.

A layer's features are a matrix F; its singular values are the roots of the eigenvalues of the
smaller of F Fᵀ and Fᵀ F, which is made in float64 and needs a fraction of the work of a singular
value decomposition. What that costs in precision: an eigenvalue is off by about ε ‖F‖² (ε = 1e-16),
so σ_min / σ_max is off by no more than 1e-7 where it is 0, and by far less where it is larger; the
features, in float32, carry errors of that size already. Tests hold it to 1e-6 of the full SVD.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from archcast.zero_cost._execute import Step
from archcast.zero_cost._lab import Observer
from archcast.zero_cost._program import Program

#: Elements of matrices that wait until their eigenvalues are found together.
_WAITING = 1 << 22


def gram(features: Tensor) -> Tensor:
    """(K, C, P) to (K, n, n) products in float64, n the smaller of C and P."""
    x = features.to(torch.float64)
    x = x if x.shape[1] <= x.shape[2] else x.transpose(1, 2)
    return x @ x.transpose(1, 2)


def correlation(features: Tensor) -> Tensor:
    """(K, C, P) to (K, C, C) Pearson correlations of channels; 0 with a constant channel.

    Constant is what differs from its mean by no more than float32 rounds.
    """
    x = features.to(torch.float64)
    size = x.norm(dim=2, keepdim=True)
    x = x - x.mean(2, keepdim=True)
    spread = x.norm(dim=2, keepdim=True)
    x = torch.where(spread > 1e-6 * size, x / spread, 0)
    return x @ x.transpose(1, 2)


def eigenvalues(matrices: Tensor) -> Tensor:
    """(K, n) ascending eigenvalues of (K, n, n) symmetric matrices; NaN for what is not finite."""
    finite = matrices.isfinite().all(2).all(1)
    found = torch.linalg.eigvalsh(torch.where(finite[:, None, None], matrices, 0))
    return torch.where(finite[:, None], found, float("nan"))


def least_eigenvalue(matrices: Tensor) -> Tensor:
    """(K,) smallest eigenvalues of (K, n, n) positive semidefinite matrices, at least 0."""
    return eigenvalues(matrices)[:, 0].clamp(min=0)


def inverse_condition(matrices: Tensor) -> Tensor:
    """(K,) σ_min / σ_max of what (K, n, n) matrices are the Gram matrices of; 0 for zeros."""
    values = eigenvalues(matrices)
    ratio = values[:, 0].clamp(min=0) / values[:, -1]
    return torch.where(values[:, -1] == 0, 0, ratio).sqrt()


class Pending:
    """Sums over matrices of a number made of their eigenvalues, in batches of equal size.

    Args:
        rows: G, how many sums there are.
        function: (K, n, n) matrices to (K,) numbers.
    """

    def __init__(self, rows: int, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function
        self._sums = torch.zeros(rows, dtype=torch.float64)
        self._waiting: dict[int, list[tuple[Tensor, list[tuple[list[int], float]]]]] = {}
        self._elements = 0

    def add(self, matrices: Tensor, shares: list[tuple[list[int], float]]) -> None:
        """Count each of (K, n, n) matrices for some rows, times a factor."""
        self._waiting.setdefault(matrices.shape[1], []).append((matrices, shares))
        self._elements += matrices.numel()
        if self._elements > _WAITING:
            self._flush()

    def sums(self) -> Tensor:
        """(G,) sums."""
        self._flush()
        return self._sums

    def _flush(self) -> None:
        for parts in self._waiting.values():
            values = self._function(torch.cat([matrices for matrices, _ in parts])).cpu().tolist()
            shares = [share for _, found in parts for share in found]
            for value, (rows, factor) in zip(values, shares, strict=True):
                for row in rows:
                    self._sums[row] += value * factor
        self._waiting, self._elements = {}, 0


class FeatureSum(Observer):
    """A sum over weighted nodes of a number made of the first sample's features.

    Features of one channel or one position have one singular value, and do not count. Subclasses
    give :meth:`see`.

    Args:
        programs: the G architectures.
        function: (K, n, n) matrices to (K,) numbers.
    """

    samples: ClassVar[int | None] = 1

    def __init__(self, programs: Sequence[Program], function: Callable[[Tensor], Tensor]) -> None:
        super().__init__(programs)
        self._pending = Pending(len(programs), function)
        self._seen = torch.zeros(len(programs), dtype=torch.bool)

    def features(self, step: Step, value: Tensor) -> Tensor | None:
        """(K, C, P) features in a value of a call; None if they are no matrix or do not count."""
        if step.instruction.weight is None or step.instruction.op == "embedding":
            return None
        found = step.split(value)[:, 0].flatten(2)
        if min(found.shape[1:]) == 1:
            return None
        for owners in step.owners:
            self._seen[[a for a, _ in owners]] = True
        return found

    def count(self, step: Step, matrices: Tensor, factor: float = 1.0) -> None:
        """Count (K, n, n) matrices of a call's copies."""
        self._pending.add(matrices, [([a for a, _ in some], factor) for some in step.owners])

    def scores(self) -> Tensor:
        """(G,) sums; NaN where no features are a matrix."""
        for a in (~self._seen).nonzero().flatten().tolist():
            self.reasons[a] = "no weighted layer with several channels and positions"
        return torch.where(self._seen, self._pending.sums(), float("nan"))
