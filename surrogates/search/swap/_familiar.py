"""How well a forecaster's prior knows networks like these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from archcast._familiarity import familiarity as _of_task
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.tabular import tabular
from archcast.forecast import Familiarity, Word
from archcast.predictors import Predictor
from archcast.predictors._cloud import Cloud, nearest
from archcast.predictors._experts import Experts
from archcast.predictors._kernel import distances
from archcast.predictors.tabular_predictor import TabularPredictor
from archcast.predictors.universal import UniversalPredictor

__all__ = ["UnfamiliarWarning", "familiarity"]

_WORDS: tuple[tuple[float, Word], ...] = (
    (0.5, "familiar"),
    (0.1, "near"),
    (0.001, "far"),
    (0.0, "alien"),
)
#: Share of a known space's own networks that may be farther from it than what counts as inside.
_INSIDE: Final = 0.02
#: Networks that a space has at least if it is to say what is inside.
_FEWEST: Final = 10


@dataclass(frozen=True, slots=True)
class _Clouds:
    """Distances of known networks.

    Attributes:
        inside: to others of their own space.
        outside: to all other spaces.
    """

    inside: Cloud
    outside: Cloud

    def score(self, near: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) from 1 inside a known space, over 0.1 at its rim, to 0 far from all."""
        within = self.inside.score(near)
        return np.where(within >= _INSIDE, 0.1 + 0.9 * within, 0.1 * self.outside.score(near))


#: The last experts asked about, and their clouds.
_last: list[tuple[Experts, _Clouds]] = []


class UnfamiliarWarning(UserWarning):
    """Networks are unlike everything that the predictor has learned from."""


def familiarity(prior: Predictor, graphs: Sequence[ComputeGraph]) -> list[Familiarity] | None:
    """How near architectures lie to what a prior was fitted to.

    Args:
        prior: a task's shipped predictor, or a universal one. There a network is familiar, or
            near, that is as close to a known space as that space's own networks are; far, if only
            other known spaces are as far; alien beyond that.
        graphs: n architectures.

    Returns:
        One answer each; None where a prior of another family cannot tell.
    """
    if not graphs:
        return []
    x = tabular(graphs).values
    if isinstance(prior, TabularPredictor):
        found = prior.distribution(x)
        return [
            _of_task(graph, x[i], float(found.near[i]), int(found.neighbour[i]), prior)
            for i, graph in enumerate(graphs)
        ]
    if isinstance(prior, UniversalPredictor) and len(set(prior.experts_.spaces)) > 1:
        return _of_experts(prior.experts_, graphs, x)
    return None


def _of_experts(
    experts: Experts, graphs: Sequence[ComputeGraph], x: NDArray[np.float32]
) -> list[Familiarity]:
    near = experts.ask(x)[1]
    scores = _clouds(experts).score(near.min(1))
    found = []
    for graph, score, at in zip(graphs, scores.tolist(), near.argmin(1).tolist(), strict=True):
        word: Word = next(word for least, word in _WORDS if score >= least)
        strange = sorted(set(graph.labels.values()))
        reason = (
            f"operators never seen: {', '.join(strange[:3])}"
            if strange
            else f"nearest known space: {experts.spaces[at]}"
        )
        found.append(Familiarity(score, word, experts.spaces[at], reason))
    return found


def _clouds(experts: Experts) -> _Clouds:
    """Distances of every known space's networks to each other, and to all other spaces."""
    if _last and _last[0][0] is experts:
        return _last[0][1]
    support = experts.support.astype(np.float64)
    owners = np.unique(experts.owner).tolist()
    inside, outside = [], []
    for owner in owners:
        mine = experts.owner == owner
        apart = distances(support[mine], support)
        own = apart[:, mine]
        np.fill_diagonal(own, np.inf)
        if mine.sum() > _FEWEST:
            inside.append(nearest(own))
        others = [nearest(apart[:, experts.owner == other]) for other in owners if other != owner]
        outside.append(np.min(others, axis=0))
    found = _Clouds(_pooled(inside or outside), _pooled(outside))
    _last[:] = [(experts, found)]
    return found


def _pooled(parts: Sequence[NDArray[np.float64]]) -> Cloud:
    """Every space counts alike, however many of its networks were kept."""
    levels = np.linspace(0, 1, 101)
    return Cloud(
        (), np.quantile(np.concatenate([np.quantile(part, levels) for part in parts]), levels)
    )
