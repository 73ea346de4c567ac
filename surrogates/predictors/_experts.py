"""Experts of search spaces: forests that rank one population each, and who knows what how well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, product
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import MissingExtraError
from archcast.encoders.tabular import feature_names
from archcast.predictors._cloud import lowest
from archcast.predictors._kernel import Scaler
from archcast.predictors._trees import Forest, from_sklearn, join

FloatArray = NDArray[np.float64]

#: Whether a tree sees all features or those that mean the same everywhere, its smallest leaf, and
#: the share of the features that a split looks at: trees of all kinds take turns, because which of
#: them carries over to another space is not known beforehand.
_KINDS: Final = tuple(product((False, True), (3, 10), (0.0, 0.05, 0.33)))
#: Sizes, depths, and what of them reaches the output.
_COMMON: Final = (
    "log_weights", "log_macs", "log_written", "log_layers", "log_depth", "log_widest", "log_field",
    "log_paths", "mean_width", "longest_weighted", "longest_spatial", "walk_weighted",
    "pool_per_layer", "flow_weighted", "flow_window", "flow_effective_layers", "flow_log_weights",
    "flow_log_macs", "flow_field", "flow_pool_ratio",
)  # fmt: skip
#: Rows of the query compared with all of the support at once; their distances stay in the cache.
_BLOCK: Final = 256


@dataclass(frozen=True, slots=True)
class Population:
    """One search space, measured on one task.

    Attributes:
        space: its name.
        task: ``<data set>/<metric>``.
        x: (n, F) features.
        y: (n,) normal scores of the labels, larger is better.
    """

    space: str
    task: str
    x: NDArray[np.float32]
    y: FloatArray

    def sample(self, rows: int, rng: np.random.Generator) -> Population:
        """At most so many of its rows, at random."""
        chosen = rng.permutation(len(self.y))[:rows]
        return Population(self.space, self.task, self.x[chosen], self.y[chosen])


def normal_scores(values: NDArray[Any]) -> FloatArray:
    """(n,) numbers to the normal quantiles of their mid-ranks; equal numbers stay equal."""
    order, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2 - 0.5
    quantile = NormalDist().inv_cdf
    scores = np.array([quantile(p) for p in (middle / len(values)).tolist()])
    return scores[inverse.reshape(-1)] if len(order) > 1 else np.zeros(len(values))


def mixed_forest(population: Population, trees: int, rows: int, rng: np.random.Generator) -> Forest:
    """Extremely randomised trees of several kinds, each fitted to other rows.

    Args:
        population: what they rank.
        trees: how many.
        rows: most architectures that a tree learns from.
        rng: draws rows and seeds.

    Raises:
        MissingExtraError: scikit-learn is not installed.

    Reference:
        Geurts, Ernst and Wehenkel, "Extremely randomized trees", Machine Learning 2006.
    """
    try:
        from sklearn.tree import ExtraTreeRegressor
    except ImportError as error:
        raise MissingExtraError(
            "training a predictor needs scikit-learn: pip install 'archcast[train]'"
        ) from error
    columns = np.arange(population.x.shape[1]), common_columns(population.x.shape[1])
    planted = []
    for i in range(trees):
        common, leaf, share = _KINDS[i % len(_KINDS)]
        seen = columns[common]
        part = population.sample(rows, rng)
        tree = ExtraTreeRegressor(
            max_features=max(int(share * len(seen)), 1),
            min_samples_leaf=min(leaf, max(len(part.y) // 4, 1)),
            random_state=int(rng.integers(2**31)),
        )
        forest = from_sklearn([tree.fit(part.x[:, seen], part.y)])
        planted.append(replace(forest, column=seen[forest.column].astype(np.int16)))
    return join(planted)


def common_columns(features: int) -> NDArray[np.intp]:
    """Columns that mean the same everywhere; all of them where features are not the library's."""
    names = feature_names()
    if features != len(names):
        return np.arange(features)
    return np.array([names.index(name) for name in _COMMON])


@dataclass(frozen=True, slots=True)
class _Known:
    """Networks that experts know, space by space.

    Attributes:
        support: (m, F) scaled features.
        square: (m,) their squared lengths.
        ends: (S + 1,) where each space begins.
        owner: (C,) space of each expert.
    """

    support: FloatArray
    square: FloatArray
    ends: list[int]
    owner: list[int]


@dataclass(frozen=True)
class Experts:
    """C forests, one a population, and networks of the spaces they know.

    Attributes:
        spaces: (C,) space of each expert.
        tasks: (C,) task of each expert.
        forest: all of their trees, expert by expert.
        counts: (C,) trees of each.
        scaler: of the features, for distances.
        support: (m, F) scaled features of known networks.
        owner: (m,) which of the spaces, in order of first appearance, a known network is of.
    """

    spaces: tuple[str, ...]
    tasks: tuple[str, ...]
    forest: Forest
    counts: NDArray[np.int32]
    scaler: Scaler
    support: NDArray[np.float16]
    owner: NDArray[np.int16]

    @classmethod
    def build(
        cls,
        populations: Sequence[Population],
        forests: Sequence[Forest],
        support: int,
        rng: np.random.Generator,
    ) -> Experts:
        """Put experts together; every space has as many known networks at most."""
        spaces = tuple(p.space for p in populations)
        first = [spaces.index(name) for name in dict.fromkeys(spaces)]
        parts = [populations[i].sample(support, rng).x for i in first]
        scaler = Scaler.fit(np.concatenate(parts))
        return cls(
            spaces,
            tuple(p.task for p in populations),
            join(forests),
            np.array([len(f) for f in forests], np.int32),
            scaler,
            np.concatenate([scaler.apply(part) for part in parts]).astype(np.float16),
            np.repeat(np.arange(len(parts)), [len(part) for part in parts]).astype(np.int16),
        )

    def ask(self, x: NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
        """What every expert says of every network, and how far it is from what that one knows.

        Args:
            x: (n, F) features.

        Returns:
            (n, C) normal scores and (n, C) distances.
        """
        starts = np.cumsum(self.counts) - self.counts
        leaves = self.forest.leaves(x).astype(np.float64)
        return np.add.reduceat(leaves, starts, axis=1) / self.counts, self._distance(x)

    def _distance(self, x: NDArray[np.float32]) -> FloatArray:
        known = self._known
        near = np.empty((len(x), len(known.ends) - 1))
        for start in range(0, len(x), _BLOCK):
            z = self.scaler.apply(x[start : start + _BLOCK])
            square = np.add.outer((z * z).sum(1), known.square)
            square -= 2 * (z @ known.support.T)
            for space, (first, end) in enumerate(pairwise(known.ends)):
                closest = np.maximum(lowest(square[:, first:end]), 0)
                near[start : start + _BLOCK, space] = np.sqrt(closest / z.shape[1]).mean(1)
        return near[:, known.owner]

    @cached_property
    def _known(self) -> _Known:
        """The support as it is compared with; made once."""
        names = list(dict.fromkeys(self.spaces))
        order = np.argsort(self.owner, kind="stable")
        support = self.support[order].astype(np.float64)
        ends = np.searchsorted(self.owner[order], np.arange(len(names) + 1)).tolist()
        owner = [names.index(space) for space in self.spaces]
        return _Known(support, (support * support).sum(1), ends, owner)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As named arrays, the inverse of :meth:`from_arrays`."""
        return {
            "counts": self.counts,
            "scaler.centre": self.scaler.centre,
            "scaler.scale": self.scaler.scale,
            "support": self.support,
            "owner": self.owner,
        } | {f"trees.{k}": v for k, v in self.forest.arrays().items()}

    @classmethod
    def from_arrays(
        cls, arrays: dict[str, NDArray[Any]], spaces: Sequence[str], tasks: Sequence[str]
    ) -> Experts:
        """Rebuild what :meth:`arrays` gave.

        Raises:
            KeyError: an array is missing.
            ValueError: the arrays contradict each other.
        """
        trees = {k.removeprefix("trees."): v for k, v in arrays.items() if k.startswith("trees.")}
        forest = Forest.from_arrays(trees)
        if int(arrays["counts"].sum()) != len(forest) or len(spaces) != len(arrays["counts"]):
            raise ValueError("experts and their trees do not match")
        scaler = Scaler(arrays["scaler.centre"], arrays["scaler.scale"])
        return cls(
            tuple(spaces),
            tuple(tasks),
            forest,
            arrays["counts"],
            scaler,
            arrays["support"],
            arrays["owner"],
        )


def weigh(
    experts: Experts,
    near: FloatArray,
    task: str | None,
    rate: float,
    kinship: float,
    without: str | None = None,
) -> FloatArray:
    """(n, C) how much every expert counts for every network.

    Args:
        experts: who is asked.
        near: (n, C) distances.
        task: of the question; experts of its data set count more.
        rate: how fast weights fall with the distance beyond the nearest expert's.
        kinship: factor of those experts.
        without: a space whose experts are not asked.
    """
    asked = np.array([space != without for space in experts.spaces])
    if not asked.any():
        asked[:] = True
    # All tasks of a space together count as one.
    share = np.array([1 / experts.spaces.count(space) for space in experts.spaces]) * asked
    if task is not None:
        related = np.array([t.split("/")[0] == task.split("/")[0] for t in experts.tasks])
        share = share * np.where(related, kinship, 1.0)
    excess = near - np.where(asked, near, np.inf).min(1, keepdims=True)
    return share * np.exp(-rate * excess)
