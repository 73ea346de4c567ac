"""Path encoding: which sequences of operators lead through the cells of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.graph import ComputeGraph
from archcast.encoders.ops import OP_ID
from archcast.predictors.bayes._subtrees import labels

#: What joins branches, and is no operation of a path.
_JOINS: Final = tuple(OP_ID[name] for name in ("input", "output", "add", "concat"))
_MASK: Final = (1 << 64) - 1
#: (graph's hash, sequences kept) -> its paths; emptied when there are too many.
_REMEMBERED: Final[dict[tuple[str, int], Counter[int]]] = {}
_MOST: Final = 20_000


def path_counts(graphs: Sequence[ComputeGraph], most: int) -> list[Counter[int]]:
    """Hash of an operator sequence -> number of cells with such a path, for each graph.

    Args:
        graphs: n architectures; equal ones are looked at once, and remembered for the next call,
            because a search asks about the same ones again and again.
        most: sequences kept at a node, the shortest ones.
    """
    found = []
    for graph in graphs:
        key = graph.hash, most
        bag = _REMEMBERED.get(key)
        if bag is None:
            if len(_REMEMBERED) >= _MOST:
                _REMEMBERED.clear()
            bag = _REMEMBERED[key] = _of_one(graph, most)
        found.append(bag)
    return found


def cell_ends(graph: ComputeGraph) -> NDArray[np.bool_]:
    """(N,) whether every path goes through the node, and paths meet or part there."""
    nodes = len(graph)
    source, target = graph.edges.astype(np.int64).reshape(-1, 2).T
    entering, leaving = np.bincount(target, minlength=nodes), np.bincount(source, minlength=nodes)
    # Virtual edges to what has no predecessor and from what has no successor.
    first, last = np.flatnonzero(entering == 0), np.flatnonzero(leaving == 0)
    source = np.concatenate([source, np.full(len(first), -1), last])
    target = np.concatenate([target, first, np.full(len(last), nodes)])
    # In topological order, all paths meet where no edge passes over.
    change = np.bincount(source + 2, minlength=nodes + 2) - np.bincount(
        target + 1, minlength=nodes + 2
    )
    passing = np.cumsum(change)[1 : nodes + 1]
    return (passing == 0) & ((entering > 1) | (leaving > 1) | (leaving == 0))


def _of_one(graph: ComputeGraph, most: int) -> Counter[int]:
    tokens = np.where(np.isin(graph.op, _JOINS), 0, labels(graph, sizes=False)).tolist()
    ends = cell_ends(graph).tolist()
    before: list[list[int]] = [[] for _ in tokens]
    for source, target in graph.edges.tolist():
        before[target].append(source)
    found: Counter[int] = Counter()
    reach: list[dict[int, int]] = []  # by node: hash of a sequence that leads there -> its length
    for token, end, sources in zip(tokens, ends, before, strict=True):
        paths = {} if sources else {0: 0}
        for source in sources:
            paths |= reach[source]
        if token:
            paths = {_extend(path, token): length + 1 for path, length in paths.items()}
        if len(paths) > most:
            paths = dict(sorted(paths.items(), key=lambda item: item[::-1])[:most])
        if end:
            found.update(paths.keys())
            paths = {0: 0}
        reach.append(paths)
    return found


def _extend(path: int, token: int) -> int:
    mixed = ((path ^ token) * 0xBF58476D1CE4E5B9 + token) & _MASK
    return mixed ^ (mixed >> 29)


def vocabulary(bags: Sequence[Counter[int]], size: int) -> NDArray[np.uint64]:
    """The paths that most architectures have; which, between equals, does not depend on order."""
    seen = Counter(path for bag in bags for path in bag)
    ranked = sorted(seen.items(), key=lambda item: (-item[1], item[0]))
    return np.array(sorted(path for path, _ in ranked[:size]), np.uint64)


def indicators(bags: Sequence[Counter[int]], paths: NDArray[np.uint64]) -> NDArray[np.float32]:
    """(n, P) how many cells of each architecture have each path."""
    place = {path: at for at, path in enumerate(paths.tolist())}
    table = np.zeros((len(bags), len(paths)), np.float32)
    for row, bag in enumerate(bags):
        for path, count in bag.items():
            if path in place:
                table[row, place[path]] = count
    return table
