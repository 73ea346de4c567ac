"""Batches of normal or reduction cells as arrays: what is read, nested, concatenated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from archcast.encoders.spaces._batch import Mask
from archcast.encoders.spaces._cell_operators import OPERATORS

if TYPE_CHECKING:
    from archcast.encoders.spaces._genotype import Cell, Genotype


class Layout(NamedTuple):
    """What a space adds to its genotypes; see ``TwoCellSpace``."""

    operators: tuple[str, ...]
    nodes: int
    cells: int
    width: int
    concat_all: bool
    imagenet: bool

    @property
    def reductions(self) -> tuple[int, int]:
        """Places of the reduction cells."""
        return self.cells // 3, 2 * self.cells // 3


class Cells:
    """The normal, or the reduction cells of a batch.

    Attributes:
        op: (N, nodes, 2) operators of the edges.
        state: (N, nodes, 2) states they read.
        nested: (N, states) sums that only a skip connection to another sum reads: the two are one.
        leaving: (N, states) nodes that are concatenated.
    """

    def __init__(self, layout: Layout, cells: Sequence[Cell], reduces: bool) -> None:
        edges = np.array(cells, np.int64).reshape(len(cells), layout.nodes, 2, 2)
        self.op, self.state = edges[..., 0], edges[..., 1]
        self.reduces, states = reduces, layout.nodes + 2
        own = [OPERATORS[name] for name in layout.operators]
        #: (N, nodes, 2) whether an edge halves the image.
        self.strided = (self.state < 2) & reduces
        passes = np.array([not o.stages and not o.pool for o in own])[self.op]
        self.skips, self.reduced_skips = passes & ~self.strided, passes & self.strided
        reads = self.state[..., None] == np.arange(states)
        count = reads.sum((1, 2))
        inner = np.arange(states) >= 2
        skipped = (reads & self.skips[..., None]).any((1, 2))
        self.nested = inner & (count == 1) & skipped & (not layout.concat_all)
        self.leaving = inner & ((count == 0) | layout.concat_all)
        convolves = np.array([bool(o.stages) for o in own])[self.op] | self.reduced_skips
        #: (N, states) whether a state is activated by an operator that reads it.
        self.activated = (reads & convolves[..., None]).any((1, 2))
        #: For each pooling, its operator's position, and (N, states) whether it is applied.
        self.pooled = {
            at: (reads & (self.op == at)[..., None]).any((1, 2))
            for at, operator in enumerate(own)
            if operator.pool
        }
        pools = np.array([bool(o.pool) for o in own])[self.op]
        self._weightless: Mask = np.all(pools | self.skips, axis=2)

    def twins(self) -> Mask:
        """(N,) whether two nodes of a cell compute the same without weights."""
        rng = np.random.default_rng(0)
        salts = rng.integers(0, 2**63, (self.op.max() + 1, self.nested.shape[1]), np.uint64)
        rows = np.arange(len(self.op))
        keys = np.zeros(self.nested.shape, np.uint64)
        for node in range(self.op.shape[1]):
            for place in (0, 1):
                op, state = self.op[:, node, place], self.state[:, node, place]
                inside = self.nested[rows, state] & self.skips[:, node, place]
                keys[:, node + 2] += np.where(inside, keys[rows, state], salts[op, state])
            # Sums with weighted operators are never equal.
            unique = np.uint64(node + 1) * ~self._weightless[:, node]
            keys[:, node + 2] = np.where(unique > 0, unique, keys[:, node + 2])
        ordered = np.sort(keys[:, 2:], 1)
        return (ordered[:, 1:] == ordered[:, :-1]).any(1)


def needs_reference(layout: Layout, genotypes: Sequence[Genotype]) -> list[bool]:
    """Which genotypes have sums that become nested when equal nodes are merged.

    Batches cannot tell those in advance; where all nodes are concatenated there are none.
    """
    if layout.concat_all or not genotypes:
        return [False] * len(genotypes)
    normal = Cells(layout, [g.normal for g in genotypes], False)
    reduction = Cells(layout, [g.reduce for g in genotypes], True)
    return (normal.twins() | reduction.twins()).tolist()
