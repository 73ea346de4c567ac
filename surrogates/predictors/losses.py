"""Losses of predictors over batches of architectures; NaN is a missing label.

Each takes (B, T) scores and (B, T) targets (torch tensors, targets on one scale a task) and gives
a scalar. Ranking losses compare within a task only; where nothing can be compared, the loss is 0
and its gradient, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from archcast.encoders.errors import InvalidSettingError

if TYPE_CHECKING:
    from torch import Tensor

#: The margin of the pairwise losses, in standard deviations of the targets.
MARGIN: Final = 0.1
#: Pairs that a batch of B architectures is compared in, at most, a task.
PAIRS_PER_ROW: Final = 4


def mse(score: Tensor, target: Tensor) -> Tensor:
    """``mean (s - t)²`` over the labels there are."""
    return _mean((score - target.nan_to_num()) ** 2, ~target.isnan())


def huber(score: Tensor, target: Tensor) -> Tensor:
    """``mean h(s - t)``, ``h`` quadratic within one standard deviation and linear beyond.

    Reference:
        Huber, "Robust estimation of a location parameter", 1964.
    """
    error = (score - target.nan_to_num()).abs()
    each = (error < 1) * error**2 / 2 + (error >= 1) * (error - 0.5)
    return _mean(each, ~target.isnan())


def hinge(score: Tensor, target: Tensor) -> Tensor:
    """``mean max(0, 0.1 - sign(t_i - t_j) (s_i - s_j))`` over random pairs of different targets.

    A batch of B architectures is compared in at most 4·B pairs a task.
    """
    first, second, task = _pairs(target)
    gap = score[first, task] - score[second, task]  # the first is the better one
    return _mean((MARGIN - gap).clamp(min=0))


def weighted(score: Tensor, target: Tensor) -> Tensor:
    """The pairwise hinge, each pair weighted by ``q²``, q the standing of its better one.

    ``q`` in (0, 1] is the share of the batch that is no better. Mistakes among the best cost most,
    those among the worst next to nothing. (Our choice of weights; the literature has several.)

    Reference:
        Weston, Bengio and Usunier, "WSABIE: Scaling up to large vocabulary image annotation", 2011.
    """
    first, second, task = _pairs(target)
    gap = score[first, task] - score[second, task]
    known = ~target.isnan()
    below = (target[None] <= target[:, None]).sum(1) / known.sum(0).clamp(min=1)
    weight = below[first, task] ** 2
    return ((MARGIN - gap).clamp(min=0) * weight).sum() / weight.sum().clamp(min=1e-9)


def listmle(score: Tensor, target: Tensor) -> Tensor:
    """``-log P(order)``, a step: ``mean_i logsumexp_{j>=i} s_j - s_i``, best targets first.

    Reference:
        Xia et al., "Listwise approach to learning to rank", ICML 2008.
    """
    parts = []
    for task in range(target.shape[1]):
        known = ~target[:, task].isnan()
        if known.sum() > 1:
            s = score[known, task][target[known, task].argsort(descending=True)]
            parts.append((s.flip(0).logcumsumexp(0).flip(0) - s).mean())
    return sum(parts[1:], parts[0]) / len(parts) if parts else score.sum() * 0


def mse_hinge(score: Tensor, target: Tensor) -> Tensor:
    """``mse + hinge``: ranks without losing the scale."""
    return mse(score, target) + hinge(score, target)


LOSSES: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "mse": mse,
    "huber": huber,
    "hinge": hinge,
    "weighted": weighted,
    "listmle": listmle,
    "mse+hinge": mse_hinge,
}
#: Those whose scores are on the scale of the targets; the others only rank.
ON_SCALE: Final = frozenset({"mse", "huber", "mse+hinge"})


def loss_named(name: str) -> Callable[[Any, Any], Any]:
    """The loss of that name.

    Raises:
        InvalidSettingError: no such loss.
    """
    if name not in LOSSES:
        raise InvalidSettingError(f"unknown loss {name!r}; known: {', '.join(LOSSES)}")
    return LOSSES[name]


def _mean(each: Tensor, known: Tensor | None = None) -> Tensor:
    if known is None:
        return each.sum() / max(each.numel(), 1)
    return (each * known).sum() / known.sum().clamp(min=1)


def _pairs(target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Better row, worse row and task of random pairs, at most 4·B a task on average."""
    import torch

    first, second, task = (target[:, None] > target[None]).nonzero(as_tuple=True)
    most = PAIRS_PER_ROW * target.numel()
    if len(first) > most:
        drawn = torch.randperm(len(first))[:most].to(first.device)
        first, second, task = first[drawn], second[drawn], task[drawn]
    return first, second, task
