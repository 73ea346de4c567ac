"""What graph networks learn: values or ranks of architectures, with the noise of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from archcast.predictors.graphs._data import NODE_BUDGET, GraphData, cut
from archcast.predictors.losses import ON_SCALE, loss_named

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

#: Fewer held-out labels than these say nothing about noise or scale.
ENOUGH = 10
#: 80 % of normal numbers are within so many standard deviations.
_NORMAL_80 = 1.2816
#: Rows of the validation part that its loss is computed over at once.
_AT_ONCE = 1024


@dataclass(frozen=True)
class Regression:
    """Labels of architectures; see :class:`archcast.predictors.graphs._training.Objective`.

    Attributes:
        data: the graphs, N rows of them.
        target: (N, T) standardised labels, NaN where missing.
        rows: those that are learned from.
        held: those that are validated on; may be empty.
        loss_name: one of :data:`archcast.predictors.losses.LOSSES`.
        batch: rows of a step, at most.
    """

    data: GraphData
    target: FloatArray
    rows: IntArray
    held: IntArray
    loss_name: str
    batch: int

    def steps(self, rng: np.random.Generator) -> Sequence[IntArray]:
        """All rows in a new order, cut by number and by nodes."""
        order = rng.permutation(self.rows)
        steps = list(cut(order, self.data.sizes[self.data.of], self.batch))
        # A lone row at the end has nothing to be compared with.
        return steps[:-1] if len(steps) > 1 and len(steps[-1]) == 1 else steps

    def loss(self, model: Any, rows: IntArray) -> torch.Tensor:
        """The named loss of the scores, and the likelihood of the noise beside it."""
        score, noise, target = self._outputs(model, rows)
        loss = loss_named(self.loss_name)(score, target)
        with torch.no_grad():
            error = (target - on_scale(score, target, self.loss_name)) ** 2
        known = ~error.isnan()
        each = (error.nan_to_num() * (-noise).exp() + noise) / 2
        return loss + (each * known).sum() / known.sum().clamp(min=1)

    def validate(self, model: Any) -> float | None:
        """The named loss of the part held out."""
        if not len(self.held):
            return None
        sizes = self.data.sizes[self.data.of]
        parts, weights = [], []
        for rows in cut(np.sort(self.held), sizes, _AT_ONCE, 4 * NODE_BUDGET):
            torch.manual_seed(0)  # pairs of a ranking loss are the same every time
            score, _, target = self._outputs(model, rows)
            parts.append(float(loss_named(self.loss_name)(score, target)))
            weights.append(len(rows))
        return float(np.average(parts, weights=weights))

    def fingerprint(self) -> str:
        """Of graphs, labels and loss."""
        digest = blake2b(digest_size=16)
        for array in (self.data.of, self.data.op, self.data.numbers, self.target, self.rows):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(np.ascontiguousarray(self.held).tobytes())
        return f"{digest.hexdigest()} {self.loss_name} {self.batch}"

    def _outputs(
        self, model: Any, rows: IntArray
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Scores, log variances and targets of some rows; equal graphs are computed once."""
        device = next(model.parameters()).device
        which, back = np.unique(self.data.of[rows], return_inverse=True)
        score, noise = model(self.data.batch(which, device))
        index = torch.from_numpy(back.reshape(-1)).to(device)
        target = torch.from_numpy(self.target[rows]).to(device, torch.float32)
        return score.float()[index], noise.float()[index], target


def on_scale(score: torch.Tensor, target: torch.Tensor, loss_name: str) -> torch.Tensor:
    """(B, T) scores on the targets' scale: what ranks only is first fitted to them by a line."""
    if loss_name in ON_SCALE:
        return score
    known = ~target.isnan()
    count = known.sum(0).clamp(min=1)
    s_mean = (score * known).sum(0) / count
    t_mean = target.nan_to_num().sum(0) / count
    s, t = (score - s_mean) * known, (target.nan_to_num() - t_mean) * known
    slope = (s * t).sum(0) / (s * s).sum(0).clamp(min=1e-9)
    return (score - s_mean) * slope.clamp(min=0) + t_mean


def line(score: FloatArray, target: FloatArray, loss_name: str) -> FloatArray:
    """(2, T) slope and offset that bring scores onto the targets' scale.

    Args:
        score: (n, T) scores.
        target: (n, T) targets, NaN where missing.
        loss_name: what the scores come from; losses on the scale need no line.
    """
    found = np.zeros((2, target.shape[1]))
    found[0] = 1.0
    if loss_name in ON_SCALE:
        return found
    for task in range(target.shape[1]):
        known = np.isfinite(target[:, task])
        s, t = score[known, task], target[known, task]
        spread = ((s - s.mean()) ** 2).sum() if len(s) else 0.0
        slope = float(((s - s.mean()) * (t - t.mean())).sum() / spread) if spread > 1e-12 else 0.0
        # Ranks must survive, however little the labels say about the scale.
        found[0, task] = slope = max(slope, 1e-3)
        found[1, task] = t.mean() - slope * s.mean() if len(s) else 0.0
    return found


def widening(error: FloatArray) -> FloatArray:
    """(T,) factor by which deviations must grow so that 80 % of held-out errors are where due.

    A quantile, not a mean square: one network that does not train at all must not widen all others.

    Args:
        error: (n, T) held-out errors in units of the predicted deviations, NaN where there is none.
    """
    factor = np.ones(error.shape[1])
    for task, column in enumerate(error.T):
        size = np.abs(column[np.isfinite(column)])
        if len(size) >= ENOUGH:
            factor[task] = max(float(np.quantile(size, 0.8)) / _NORMAL_80, 0.1)
    return factor
