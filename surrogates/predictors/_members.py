"""The parts that the predictor is fitted from and made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast.predictors._boosting import BoostedTrees
from archcast.predictors._cloud import nearest
from archcast.predictors._kernel import KernelRidge, Scaler, distances

FloatArray = NDArray[np.float64]

#: A feature this many scales out of range is as strange as can be.
_FAR = 10.0


@dataclass(frozen=True, slots=True)
class Rows:
    """Training rows.

    Attributes:
        x: (n, F) features.
        y: (n,) targets on the predictor's own scale.
        groups: (n,) numbers of families or classes.
        shift: (n,) numbers of populations.
        recipe: (n, R) how each row was trained.
        target: (n,) whether a row is of the population that is forecast.
    """

    x: NDArray[np.float32]
    y: FloatArray
    groups: NDArray[np.intp]
    shift: NDArray[np.intp]
    recipe: FloatArray
    target: NDArray[np.bool_]

    def take(self, rows: NDArray[Any]) -> Rows:
        """Some of the rows, by number or by mask."""
        return Rows(*(getattr(self, name)[rows] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Forecasts of n rows by members that did not see their group.

    Attributes:
        truth: (n,) targets less the effect of the recipe to be expected.
        told: (n,) targets less the effect of the recipe that they had.
        smooth: (n,) what the kernel forecasts.
        trees: (n,) what the trees forecast.
        near: (n,) distance to the rows that were seen.
        groups: (n,) groups of the rows.
    """

    truth: FloatArray
    told: FloatArray
    smooth: FloatArray
    trees: FloatArray
    near: FloatArray
    groups: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Members:
    """The two members of the ensemble, fitted to one set of rows.

    Attributes:
        scaler: of the features, for the kernel.
        envelope: (2, F) smallest and largest value of each feature.
        support: (m, F) scaled features that the kernel compares with.
        kernel: the smooth member.
        trees: the boosted member.
    """

    scaler: Scaler
    envelope: NDArray[np.float32]
    support: FloatArray
    kernel: KernelRidge
    trees: BoostedTrees

    def distance(self, x: NDArray[np.float32]) -> FloatArray:
        """(n, m) distances to the support."""
        return distances(self.scaler.apply(x), self.support)

    def excess(self, x: NDArray[np.float32]) -> FloatArray:
        """(n, F) how many scales a feature lies outside everything seen; 0 inside."""
        low, high = self.envelope
        return (np.maximum(low - x, 0) + np.maximum(x - high, 0)) / self.scaler.scale

    def nearness(self, x: NDArray[np.float32], distance: FloatArray) -> FloatArray:
        """(n,) distance to the nearest of the support, and beyond the range of all of it."""
        beyond = np.minimum(self.excess(x), _FAR)
        return nearest(distance) + np.sqrt((beyond**2).mean(1))


def deal(groups: NDArray[np.intp], folds: int, seed: int) -> NDArray[np.intp]:
    """Deal whole groups to folds of about equal size: (n,) groups to (n,) folds."""
    labels, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_of, filled = np.empty(len(labels), np.intp), np.zeros(folds)
    for label in order:
        fold_of[label] = np.argmin(filled)
        filled[fold_of[label]] += sizes[label]
    return fold_of[inverse]
