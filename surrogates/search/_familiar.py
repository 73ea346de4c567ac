"""How well a forecaster's prior knows networks like these."""

from __future__ import annotations

from collections.abc import Sequence

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
#: The last experts asked about, and their cloud.
_last: list[tuple[Experts, Cloud]] = []


class UnfamiliarWarning(UserWarning):
    """Networks are unlike everything that the predictor has learned from."""


def familiarity(prior: Predictor, graphs: Sequence[ComputeGraph]) -> list[Familiarity] | None:
    """How near architectures lie to what a prior was fitted to.

    Args:
        prior: a task's shipped predictor, or a universal one: that compares the distance to the
            nearest known space with the distances of its own spaces to each other.
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
    scores = _cloud(experts).score(near.min(1))
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


def _cloud(experts: Experts) -> Cloud:
    """Distances of every known space's networks to all other spaces."""
    if _last and _last[0][0] is experts:
        return _last[0][1]
    support = experts.support.astype(np.float64)
    apart = distances(support, support)
    parts = []
    for owner in np.unique(experts.owner).tolist():
        mine = experts.owner == owner
        others = [experts.owner == o for o in np.unique(experts.owner).tolist() if o != owner]
        parts.append(np.stack([nearest(apart[mine][:, other]) for other in others]).min(0))
    levels = np.linspace(0, 1, 101)
    # Every space counts alike, however many of its networks were kept.
    held_out = np.quantile(np.concatenate([np.quantile(p, levels) for p in parts]), levels)
    cloud = Cloud((), held_out)
    _last[:] = [(experts, cloud)]
    return cloud
