"""Several scores as one: rank aggregation without any training label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast.encoders.errors import InvalidSettingError, ShapeError

__all__ = [
    "AGGREGATES",
    "AZ_NAS",
    "CELLS",
    "TE_NAS",
    "VKDNW_AGG",
    "VOTE",
    "Aggregate",
    "rank_aggregate",
]

FloatArray = NDArray[np.float64]
Method = Literal["log_rank", "mean_rank", "vote"]
#: Architectures compared with all others at once by the vote: some tens of megabytes at 10⁵.
_BLOCK: Final = 256


@dataclass(frozen=True)
class Aggregate:
    """A published aggregate: which scores, and how they are joined.

    Attributes:
        proxies: names of the scores that take part; higher is better for each.
        method: how ranks become one score, see :func:`rank_aggregate`.
        reference: where it is defined.
    """

    proxies: tuple[str, ...]
    method: Method
    reference: str

    def __call__(self, scores: Mapping[str, ArrayLike]) -> FloatArray:
        """Join the scores that this aggregate names; others are ignored.

        Args:
            scores: name -> (N,) scores, NaN where not applicable.

        Returns:
            (N,) scores, higher is better.

        Raises:
            InvalidSettingError: a score it names is missing.
            ShapeError: the scores differ in length.
        """
        absent = [name for name in self.proxies if name not in scores]
        if absent:
            raise InvalidSettingError(f"this aggregate also needs the scores {', '.join(absent)}")
        return rank_aggregate({name: scores[name] for name in self.proxies}, self.method)


AZ_NAS: Final = Aggregate(
    ("az_expressivity", "az_progressivity", "az_trainability", "flops"),
    "log_rank",
    "Lee & Ham, AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search, CVPR 2024",
)
#: ``vkdnw`` is the single score: the entropy of the spectrum plus the number of trainable layers.
VKDNW_AGG: Final = Aggregate(
    ("vkdnw", "jacov", "az_expressivity", "az_trainability", "flops"),
    "log_rank",
    "Týbl & Neumann, Training-free Neural Architecture Search through Variance of Knowledge of "
    "Deep Network Weights, CVPR 2025",
)
#: ``ntk_condition`` is minus the logarithm of the condition number: a small number is good.
TE_NAS: Final = Aggregate(
    ("ntk_condition", "linear_regions"),
    "mean_rank",
    "Chen et al., Neural Architecture Search on ImageNet in Four GPU Hours: A Theoretically "
    "Inspired Perspective, ICLR 2021",
)
VOTE: Final = Aggregate(
    ("synflow", "jacov", "snip"),
    "vote",
    "Abdelfattah et al., Zero-Cost Proxies for Lightweight NAS, ICLR 2021",
)
#: For cells of a given width. Its proxies were chosen on accuracies of NAS-Bench-201, and a choice
#: on one kind of space does not carry over to another (benchmarks/zero_cost_aggregate.py): where
#: architectures differ by their widths MeCo ranks them the wrong way round.
CELLS: Final = Aggregate(
    ("dextr", "jacov", "linear_regions", "meco"),
    "log_rank",
    "archcast, benchmarks/zero_cost_aggregate.py",
)
#: Name -> aggregate.
AGGREGATES: Final[dict[str, Aggregate]] = {
    "az_nas": AZ_NAS,
    "cells": CELLS,
    "te_nas": TE_NAS,
    "vkdnw_agg": VKDNW_AGG,
    "vote": VOTE,
}


def rank_aggregate(scores: Mapping[str, ArrayLike], method: Method = "log_rank") -> FloatArray:
    """Join scores by their ranks among the given architectures.

    With r ranks from 1 (worst) to N (best) and k scores, an architecture gets

    * ``log_rank``: Σ log(r/N). One bad rank costs more than one good rank gains, so that those
      come first that no score objects to. The same order as the product of the ranks.
    * ``mean_rank``: Σ r/(kN), the order of the rank sum.
    * ``vote``: the share of the others it beats in pairs, where each score has one vote on a pair
      and a draw counts half. O(N²k).

    Equal scores share the mean of their ranks. A missing score (NaN) ranks last, tied with the
    other missing ones: what cannot be scored is usually broken, and leaving the score out would
    let it pass on the strength of the rest. A score that is missing for *all* is no score for
    these networks and takes no part. The result depends on the set of architectures, as ranks do.

    Args:
        scores: name -> (N,) scores, higher is better; NaN where not applicable.
        method: see above.

    Returns:
        (N,) scores, higher is better.

    Raises:
        InvalidSettingError: an unknown method, or no score that is not missing everywhere.
        ShapeError: the scores differ in length.

    Reference:
        ``log_rank``: Lee & Ham, CVPR 2024, and Týbl & Neumann, CVPR 2025. ``mean_rank``: Chen et
        al. (TE-NAS), ICLR 2021. ``vote``: Abdelfattah et al., ICLR 2021, here as a score (that of
        Copeland's rule), so that more than two architectures can be put in order.
    """
    if method not in get_args(Method):
        raise InvalidSettingError(f"method is one of {', '.join(get_args(Method))}, not {method!r}")
    table = score_table(scores)
    table = table[:, ~np.isnan(table).all(0)]
    if not table.size:
        raise InvalidSettingError("there is no score to aggregate")
    ranks = np.stack([average_ranks(column) for column in table.T], 1)
    if method == "log_rank":
        return np.log(ranks / len(ranks)).sum(1)
    if method == "mean_rank":
        return ranks.mean(1) / len(ranks)
    return _vote(ranks)


def score_table(scores: Mapping[str, ArrayLike]) -> FloatArray:
    """Scores as one table.

    Args:
        scores: k names -> (N,) scores.

    Returns:
        (N, k) scores, columns in the order of the mapping.

    Raises:
        InvalidSettingError: no scores.
        ShapeError: the scores differ in length, or are no vectors.
    """
    if not scores:
        raise InvalidSettingError("at least one score is needed")
    columns = {name: np.asarray(values, np.float64) for name, values in scores.items()}
    first = next(iter(columns.values()))
    for name, column in columns.items():
        if column.ndim != 1 or len(column) != len(first):
            raise ShapeError(
                f"scores are vectors with one value an architecture; {name!r} has shape "
                f"{column.shape} where {first.shape} is expected"
            )
    return np.stack(list(columns.values()), 1)


def average_ranks(values: FloatArray) -> FloatArray:
    """1 (lowest) to N, ties share their mean, NaN below everything."""
    # lexsort: numbers by value behind all NaN, whose own values must not separate them.
    missing = np.isnan(values)
    known = np.where(missing, 0.0, values)
    order = np.lexsort((known, ~missing))
    ordered, gone = known[order], missing[order]
    new = np.ones(len(values), bool)
    new[1:] = (ordered[1:] != ordered[:-1]) | (gone[1:] != gone[:-1])
    group = np.cumsum(new) - 1
    start = np.flatnonzero(new)
    stop = np.append(start[1:], len(values))
    ranks = np.empty(len(values))
    ranks[order] = ((start + stop + 1) / 2)[group]
    return ranks


def _vote(ranks: FloatArray) -> FloatArray:
    """Share of the others beaten by the majority of columns, draws half."""
    found = np.empty(len(ranks))
    for start in range(0, len(ranks), _BLOCK):
        rows = ranks[start : start + _BLOCK]
        margin = np.zeros((len(rows), len(ranks)), np.int16)
        for mine, theirs in zip(rows.T, ranks.T, strict=True):
            margin += mine[:, None] > theirs
            margin -= mine[:, None] < theirs
        found[start : start + _BLOCK] = np.sign(margin).mean(1)
    return (found * len(ranks) / max(len(ranks) - 1, 1) + 1) / 2
