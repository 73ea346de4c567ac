"""How well a predictor knows networks like these: how far to trust its forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from archcast._strangeness import described, word_of
from archcast.encoders.errors import InvalidSettingError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.tabular import tabular
from archcast.forecast import Familiarity
from archcast.predictors import Predictor
from archcast.predictors._adapted import TELLING, AdaptedPredictor
from archcast.predictors._cloud import Cloud, nearest
from archcast.predictors._experts import Experts
from archcast.predictors._kernel import distances
from archcast.predictors.tabular_predictor import TabularPredictor
from archcast.predictors.universal import UniversalPredictor

__all__ = ["familiarity"]

#: Share of known networks that may be farther from the others than what counts as inside.
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


def familiarity(
    predictor: Predictor, graphs: ComputeGraph | Sequence[ComputeGraph]
) -> list[Familiarity] | None:
    """How near architectures lie to what a predictor was fitted to.

    For a universal predictor a network is ``familiar``, or ``near``, that is as close to a known
    space as that space's own networks are; ``far``, if only other known spaces are as far; and
    ``alien`` beyond that.

    For an adapted one it is what is as close to the labelled networks as they are to each other:
    their unit and level are known from them alone. Where the base has the same unit, what it knows
    counts as well. With less than three labels only the base can tell.

    Args:
        predictor: a task's shipped predictor, a universal one, or one adapted from these.
        graphs: n architectures; see :func:`archcast.encoders.read`.

    Returns:
        One answer each; None where a predictor of another family cannot tell.

    Raises:
        InvalidSettingError: what is given are no graphs.
    """
    graphs = _checked(graphs)
    return _familiarity(predictor, graphs, tabular(graphs).values) if graphs else []


def _familiarity(
    predictor: Predictor, graphs: Sequence[ComputeGraph], x: NDArray[np.float32]
) -> list[Familiarity] | None:
    if isinstance(predictor, TabularPredictor):
        found = predictor.distribution(x)
        return [
            described(graph, x[i], float(found.near[i]), int(found.neighbour[i]), predictor)
            for i, graph in enumerate(graphs)
        ]
    if isinstance(predictor, UniversalPredictor) and len(set(predictor.experts_.spaces)) > 1:
        return _of_experts(predictor.experts_, graphs, x)
    if isinstance(predictor, AdaptedPredictor):
        base = _familiarity(predictor.base, graphs, x)
        if len(predictor.support_) < TELLING:
            return base
        return _of_labels(predictor, x, base or [None] * len(graphs))
    return None


def _checked(graphs: object) -> list[ComputeGraph]:
    found = [graphs] if isinstance(graphs, (ComputeGraph, str)) else graphs
    if not isinstance(found, Sequence) or not all(isinstance(g, ComputeGraph) for g in found):
        raise InvalidSettingError(
            "familiarity is that of graphs; archcast.encoders.read makes one of a file, a module "
            "or a specification"
        )
    return list(found)


def _of_labels(
    predictor: AdaptedPredictor, x: NDArray[np.float32], base: Sequence[Familiarity | None]
) -> list[Familiarity]:
    """Familiarity by the labelled networks, and by the base where it has their unit."""
    own = predictor.lone()
    inside = Cloud((), np.quantile(own, np.linspace(0, 1, 101)))
    apart = distances(predictor.scaler_.apply(x), predictor.support_).min(1)
    count = len(own)
    # With few labels the farthest of them is nearer than the farthest network will be.
    within = np.maximum(inside.score(apart), (apart < own.max() * (1 + 1 / count)) / count)
    unitless = bool(getattr(predictor.base, "unitless", False))
    found = []
    for score, known in zip(within.tolist(), base, strict=True):
        best = _by_labels(score, count, known)
        if known is not None and not unitless:
            best = max(known, best, key=lambda f: f.score)
        found.append(best)
    return found


def _by_labels(within: float, count: int, base: Familiarity | None) -> Familiarity:
    """Familiarity of one architecture, of which the base knows no more than how strange it is."""
    if within > 0:
        score = 0.1 + 0.9 * within
        return Familiarity(score, word_of(score), None, f"like the {count} labelled networks")
    reason = f"unlike the {count} labelled networks"
    if base is None:
        return Familiarity(0.0, word_of(0.0), None, reason)
    score = 0.1 * base.score
    more = f"; {base.reason}" if base.reason else ""
    return Familiarity(score, word_of(score), base.nearest, reason + more)


def _of_experts(
    experts: Experts, graphs: Sequence[ComputeGraph], x: NDArray[np.float32]
) -> list[Familiarity]:
    near = experts.ask(x)[1]
    scores = _clouds(experts).score(near.min(1))
    found = []
    for graph, score, at in zip(graphs, scores.tolist(), near.argmin(1).tolist(), strict=True):
        strange = sorted(set(graph.labels.values()))
        reason = (
            f"operators never seen: {', '.join(strange[:3])}"
            if strange
            else f"nearest known space: {experts.spaces[at]}"
        )
        found.append(Familiarity(score, word_of(score), experts.spaces[at], reason))
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
