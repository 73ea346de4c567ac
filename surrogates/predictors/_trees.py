"""Forests of binary decision trees as flat arrays, scored by numpy alone.

Training needs LightGBM, XGBoost or scikit-learn; scoring what they made needs none of them, which
keeps a forecast instant.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Samples times trees scored at once: they amortise the calls of numpy and fit into the cache.
_BLOCK = 1 << 19
#: Most samples scored at once: their columns lie side by side, and stay near, too.
_ROWS = 512


@dataclass(frozen=True, slots=True)
class _Plan:
    """A forest as it is walked.

    Attributes:
        order: (T,) trees, the deepest first.
        active: (depth,) how many trees have a node to decide at after so many steps.
        column: (N,) as an index.
        left: (N,) as an index.
    """

    order: NDArray[np.intp]
    active: list[int]
    column: NDArray[np.intp]
    left: NDArray[np.intp]


@dataclass(frozen=True)
class Forest:
    """T trees over F columns.

    A tree's nodes lie end to end, breadth first, the two children of a node side by side. A leaf
    leads to itself, so that every sample may take the same number of steps.

    Attributes:
        roots: (T,) index of each tree's root.
        column: (N,) column a node looks at.
        threshold: (N,) samples at or below it go left; infinite at a leaf.
        left: (N,) index of the left child; a leaf's own index.
        value: (N,) what a leaf adds; 0 inside.
        depth: steps that reach the deepest leaf.
    """

    roots: NDArray[np.int32]
    column: NDArray[np.int16]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    value: NDArray[np.float32]
    depth: int

    def __len__(self) -> int:
        return len(self.roots)

    def leaves(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Value of the leaf that every sample reaches in every tree.

        Args:
            x: (n, F) samples.

        Returns:
            (n, T) leaf values.
        """
        return self.value[self.reached(x)]

    def reached(self, x: NDArray[np.float32]) -> NDArray[np.int32]:
        """(n, F) samples to the (n, T) indices of the leaves that they reach."""
        found = np.empty((len(x), len(self)), np.int32)
        rows = max(min(_BLOCK // max(len(self), 1), _ROWS), 1)
        for start in range(0, len(x), rows):
            block = np.asarray(x[start : start + rows], np.float32)
            found[start : start + rows, self._plan.order] = self._descend(block).T
        return found

    def _descend(self, x: NDArray[np.float32]) -> NDArray[np.intp]:
        """(n, F) samples to the (T, n) leaves that they reach, in the order of the plan.

        Samples stand side by side: those that part late read the same nodes and the same columns.
        """
        plan, count = self._plan, len(x)
        flat, base = np.ascontiguousarray(x.T).ravel(), np.arange(count)
        column = plan.column * count
        node = np.repeat(self.roots[plan.order].astype(np.intp)[:, None], count, 1)
        for trees in plan.active:
            here = node[:trees]
            at = column.take(here)
            at += base
            right = flat.take(at) > self.threshold.take(here)
            np.add(plan.left.take(here), right, out=here)
        return node

    @cached_property
    def _plan(self) -> _Plan:
        """Which trees are deep; made once."""
        depth = np.zeros(len(self), np.intp)
        node, tree = self.roots.astype(np.intp), np.arange(len(self))
        met = np.zeros(len(self.left), bool)
        for step in range(self.depth):
            inner = np.isfinite(self.threshold[node]) & ~met[node]
            node, tree = node[inner], tree[inner]
            depth[tree] = step + 1
            met[node] = True  # of a damaged tree that leads back, no end would be found
            left = self.left[node].astype(np.intp)
            node, tree = np.concatenate([left, left + 1]), np.concatenate([tree, tree])
        order = np.argsort(-depth, kind="stable")
        active = [int((depth > step).sum()) for step in range(int(depth.max(initial=0)))]
        return _Plan(order, active, self.column.astype(np.intp), self.left.astype(np.intp))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The forest as named arrays, the inverse of :meth:`from_arrays`."""
        table: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        return table | {"depth": np.array([self.depth], np.int32)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Forest:
        """Rebuild a forest, and check that no damaged index can lead outside it.

        Raises:
            ValueError: an index points outside the arrays.
            KeyError: an array is missing.
        """
        table: dict[str, Any] = {f.name: arrays[f.name] for f in fields(cls)}
        table["depth"] = int(arrays["depth"][0])
        forest = cls(**table)
        size = len(forest.left)
        inner = np.isfinite(forest.threshold)
        bad = (forest.left < 0) | (forest.left + inner >= size) | (forest.column < 0)
        if bad.any() or (forest.roots < 0).any() or (forest.roots >= size).any():
            raise ValueError("a tree leads outside the forest")
        return forest


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree, node 0 its root; ``left`` and ``right`` are -1 at a leaf."""

    column: NDArray[Any]
    threshold: NDArray[Any]
    left: NDArray[Any]
    right: NDArray[Any]
    value: NDArray[Any]


def plant(trees: Iterable[Tree]) -> Forest:
    """Lay trees out as a forest."""
    parts: list[tuple[NDArray[Any], ...]] = []
    roots, depth, size = [], 0, 0
    for tree in trees:
        order, child, steps = _breadth_first(tree)
        leaf = tree.left[order] < 0
        parts.append(
            (
                np.where(leaf, 0, tree.column[order]),
                np.where(leaf, np.inf, _round_down(tree.threshold[order])),
                child + size,
                np.where(leaf, tree.value[order], 0.0),
            )
        )
        roots.append(size)
        size += len(order)
        depth = max(depth, steps)
    column, threshold, left, value = (np.concatenate(p) for p in zip(*parts, strict=True))
    return Forest(
        np.array(roots, np.int32),
        column.astype(np.int16),
        threshold.astype(np.float32),
        left.astype(np.int32),
        value.astype(np.float32),
        depth,
    )


def leaf(value: float) -> Forest:
    """One tree of one leaf: the same value for every sample."""
    none = np.array([-1])
    return plant([Tree(np.zeros(1), np.zeros(1), none, none, np.array([value]))])


def join(forests: Sequence[Forest]) -> Forest:
    """The trees of several forests as one forest, in their order."""
    shifts = np.cumsum([0, *(len(f.left) for f in forests)])
    return Forest(
        np.concatenate([f.roots + s for f, s in zip(forests, shifts, strict=False)]).astype(
            np.int32
        ),
        np.concatenate([f.column for f in forests]),
        np.concatenate([f.threshold for f in forests]),
        np.concatenate([f.left + s for f, s in zip(forests, shifts, strict=False)]).astype(
            np.int32
        ),
        np.concatenate([f.value for f in forests]),
        max(f.depth for f in forests),
    )


def _breadth_first(tree: Tree) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
    """Old indices in the new order, new index of each node's left child, depth."""
    order, level, child = [0], [0], []
    left, right = tree.left.tolist(), tree.right.tolist()
    for place, node in enumerate(order):  # grows while it is walked
        if left[node] < 0:
            child.append(place)
            continue
        child.append(len(order))
        order += [left[node], right[node]]
        level += [level[place] + 1] * 2
    return np.array(order), np.array(child), level[-1]


def _round_down(threshold: NDArray[Any]) -> NDArray[np.float32]:
    """The largest float32 not above; decides every float32 sample as the double did."""
    rounded = threshold.astype(np.float32)
    return np.where(rounded > threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded)


def from_sklearn(estimators: Iterable[Any]) -> Forest:
    """A forest from fitted scikit-learn regression trees."""
    return plant(
        Tree(
            e.tree_.feature,
            e.tree_.threshold,
            e.tree_.children_left,
            e.tree_.children_right,
            e.tree_.value[:, 0, 0],
        )
        for e in estimators
    )


def from_lightgbm(booster: Any, which: slice = slice(None)) -> Forest:
    """A forest from (some trees of) a ``lightgbm.Booster`` without categorical columns."""
    trees = booster.dump_model()["tree_info"][which]
    return plant(_lightgbm_tree(info["tree_structure"]) for info in trees)


def _lightgbm_tree(root: dict[str, Any]) -> Tree:
    rows: list[tuple[float, ...]] = []
    queue = [root]
    for node in queue:
        if "split_feature" in node:
            children = (len(queue), len(queue) + 1)
            queue += [node["left_child"], node["right_child"]]
            rows.append((node["split_feature"], node["threshold"], *children, 0.0))
        else:
            rows.append((0, 0.0, -1, -1, node["leaf_value"]))
    column, threshold, left, right, value = np.array(rows, np.float64).T
    as_index = (a.astype(np.intp) for a in (column, left, right))
    column, left, right = as_index
    return Tree(column, threshold, left, right, value)


def from_histogram(model: Any) -> Forest:
    """A forest from a fitted ``HistGradientBoostingRegressor`` that saw no missing values."""
    trees = []
    for (predictor,) in model._predictors:
        nodes = predictor.nodes
        left, right = (
            np.where(nodes["is_leaf"], -1, nodes[side].astype(np.intp))
            for side in ("left", "right")
        )
        trees.append(
            Tree(nodes["feature_idx"], nodes["num_threshold"], left, right, nodes["value"])
        )
    base = leaf(float(np.ravel(model._baseline_prediction)[0]))
    return join([base, plant(trees)]) if trees else base


def from_xgboost(booster: Any) -> Forest:
    """A forest from an ``xgboost.Booster`` of regression trees without categorical columns."""
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    trees = [_xgboost_tree(tree) for tree in learner["gradient_booster"]["model"]["trees"]]
    base = leaf(float(learner["learner_model_param"]["base_score"].strip("[]")))
    return join([base, plant(trees)]) if trees else base


def _xgboost_tree(tree: Mapping[str, Any]) -> Tree:
    left, right = (np.array(tree[f"{side}_children"], np.intp) for side in ("left", "right"))
    condition = np.array(tree["split_conditions"], np.float32)
    # XGBoost sends what is below the threshold left, a Forest also what equals it.
    below = np.nextafter(condition, np.float32(-np.inf))
    return Tree(np.array(tree["split_indices"]), below, left, right, condition)
