"""``TwoCellSpace``: spaces of a normal and a reduction cell, such as DARTS and NASNet."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import combinations, combinations_with_replacement
from math import comb, prod
from typing import Any, ClassVar

import numpy as np

from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces._base import Space
from archcast.encoders.spaces._batch import in_batches
from archcast.encoders.spaces._cell_operators import (
    apply,
    factorised_reduction,
    relu_conv_norm,
)
from archcast.encoders.spaces._genotype import Cell, CellReader, Edge, Genotype, ordered, parts_of
from archcast.encoders.spaces._net import Net, Value
from archcast.encoders.spaces._two_cells_arrays import Layout, needs_reference
from archcast.encoders.spaces._two_cells_graph import build

#: Genotypes built together: more gain nothing, and take memory.
_BATCH = 1024


class TwoCellSpace(Space[Genotype]):
    """Networks of one normal and one reduction cell, stacked.

    A cell has two inputs, states 0 and 1: the results of the last two cells, brought to the
    cell's width. Each of its nodes is the sum of two operators on earlier states, and becomes
    the next state. Nodes that no other one reads (in DARTS: all) are concatenated.

    A specification is a text ``normal=sep_conv_3x3~0,skip_connect~1,...;reduce=...``, an operator
    and the state it reads for each edge, two edges a node; or the usual ``Genotype(normal=[(
    'sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...], reduce_concat=range(2, 6))``,
    as a text (parsed, never executed), a named tuple or a mapping. The order of a node's two
    edges does not matter.

    The network is that of the DARTS code without its auxiliary head: a 3x3 stem of three times
    the width, reduction cells at a third and two thirds of the depth that double the width, global
    average pooling and a classifier.

    Args:
        cells: cells stacked.
        width: channels of the first cell's operators; even.
    """

    #: Operators of an edge; a parsed genotype holds their positions here.
    operators: ClassVar[tuple[str, ...]]
    #: Nodes of a cell.
    nodes: ClassVar[int]
    #: Whether a node reads two different states.
    distinct: ClassVar[bool]
    #: Whether all nodes are concatenated, or only those that no other node reads.
    concat_all: ClassVar[bool]
    #: Whether the stem divides the image by eight, as for ImageNet.
    imagenet: ClassVar[bool] = False

    def __init__(self, cells: int = 8, width: int = 32) -> None:
        self.cells, self.width = cells, width

    def __init_subclass__(cls, **options: Any) -> None:
        """Count the genotypes."""
        super().__init_subclass__(**options)
        if "operators" in vars(cls):
            count = len(cls.operators)
            cls.size = (
                prod(
                    comb(states, 2) * count**2 if cls.distinct else comb(states * count + 1, 2)
                    for states in range(2, cls.nodes + 2)
                )
                ** 2
            )

    @property
    def layout(self) -> Layout:
        """What the genotype leaves open."""
        return Layout(
            self.operators, self.nodes, self.cells, self.width, self.concat_all, self.imagenet
        )

    def parse(self, spec: Any) -> Genotype:
        """Read any form of a genotype; see the class."""
        if isinstance(spec, Genotype):
            return spec
        parts = parts_of(spec, self.name)
        cells = []
        for kind in ("normal", "reduce"):
            cell = self._reader.cell(kind, parts[kind])
            self._check_concat(kind, cell, parts.get(f"{kind}_concat"))
            cells.append(cell)
        return Genotype(*cells)

    def text(self, cell: Genotype) -> str:
        """Write ``normal=<operator>~<state>,...;reduce=...``."""
        names = self.operators
        normal, reduce = (",".join(f"{names[op]}~{state}" for op, state in half) for half in cell)
        return f"normal={normal};reduce={reduce}"

    def owns(self, text: str) -> bool:
        """A genotype with the number of edges this space has."""
        if text.startswith("Genotype("):
            return text.count("('") + text.count('("') == 4 * self.nodes
        return text.startswith("normal=") and text.count("~") == 4 * self.nodes

    def sample(self, n: int, seed: int = 0) -> list[str]:
        """Draw different genotypes, all equally likely."""
        rng = np.random.default_rng(seed)
        found: dict[str, None] = {}
        while len(found) < n:
            halves: list[Cell] = []
            for _ in range(2):
                drawn = [options[rng.integers(len(options))] for options in self._options]
                halves.append(tuple(edge for node in drawn for edge in node))
            found[self.text(Genotype(*halves))] = None
        return list(found)

    def neighbours(self, spec: Any) -> list[str]:
        """The genotypes that differ in one operator, or in what one operator reads."""
        genotype = self.parse(spec)
        found: dict[str, None] = {}
        for half, cell in enumerate(genotype):
            for place, (op, state) in enumerate(cell):
                node = place // 2
                other = cell[place ^ 1]
                changed = [(o, state) for o in range(len(self.operators)) if o != op]
                changed += [(op, s) for s in range(node + 2) if s != state]
                for edge in changed:
                    pair = ordered(edge, other)
                    if self.distinct and edge[1] == other[1]:
                        continue
                    new = (*cell[: 2 * node], *pair, *cell[2 * node + 2 :])
                    halves = (new, genotype.reduce) if half == 0 else (genotype.normal, new)
                    found[self.text(Genotype(*halves))] = None
        return list(found)

    def crossover(self, first: Any, second: Any, seed: int = 0) -> str:
        """Every node, with its two edges, taken from one of the two, at random."""
        rng = np.random.default_rng(seed)
        halves: list[Cell] = []
        for a, b in zip(self.parse(first), self.parse(second), strict=True):
            nodes = [(b if rng.random() < 0.5 else a)[i : i + 2] for i in range(0, len(a), 2)]
            halves.append(tuple(edge for node in nodes for edge in node))
        return self.text(Genotype(*halves))

    def graphs(
        self, specs: Sequence[Any], num_classes: int | None = None, image_size: int | None = None
    ) -> list[ComputeGraph]:
        """The full networks as canonical graphs; see :meth:`Space.graphs`."""
        classes, pixels = num_classes or self.num_classes, image_size or self.image_size
        self._check_size(pixels)
        layout = self.layout
        cells = [self.parse(spec) for spec in specs]

        def batched(batch: Sequence[Genotype]) -> list[ComputeGraph]:
            names = [self.text(cell) for cell in batch]
            return build(layout, batch, names, classes, pixels, self.name)

        slow = needs_reference(layout, cells)
        fast = iter(
            in_batches([c for c, s in zip(cells, slow, strict=True) if not s], batched, _BATCH)
        )
        rest = iter(
            super().graphs([c for c, s in zip(cells, slow, strict=True) if s], classes, pixels)
        )
        return [next(rest) if s else next(fast) for s in slow]

    def build(self, net: Net, cell: Genotype, num_classes: int, image_size: int) -> None:
        """The network one operator at a time; see :meth:`Space.build`."""
        self._check_size(image_size)
        before, last = self._stem(net, net.input((3, image_size, image_size)))
        width, halved = self.width, self.imagenet
        for place in range(self.cells):
            reduces = place in self.layout.reductions
            width *= 2 if reduces else 1
            narrow = factorised_reduction if halved else relu_conv_norm
            states = [narrow(net, before, width), relu_conv_norm(net, last, width)]
            edges = cell.reduce if reduces else cell.normal
            before, last = last, self._build_cell(net, edges, states, reduces)
            halved = reduces
        net.output(net.linear(net.global_pool(last), num_classes))

    def _stem(self, net: Net, image: Value) -> tuple[Value, Value]:
        if not self.imagenet:
            x = net.conv_norm(image, 3 * self.width, 3)
            return x, x
        x = net.conv_norm(image, self.width // 2, 3, "relu", stride=2)
        before = net.conv_norm(x, self.width, 3, stride=2)
        return before, net.conv_norm(net.act("relu", before), self.width, 3, stride=2)

    def _build_cell(self, net: Net, edges: Cell, states: list[Value], reduces: bool) -> Value:
        for node in range(self.nodes):
            arriving = [
                apply(net, self.operators[op], states[s], 2 if reduces and s < 2 else 1)
                for op, s in edges[2 * node : 2 * node + 2]
            ]
            states.append(net.add(*arriving))
        leaving = [states[s] for s in self._concat(edges)]
        return net.concat(leaving) if len(leaving) > 1 else leaving[0]

    def _concat(self, cell: Cell) -> list[int]:
        read = set() if self.concat_all else {state for _, state in cell}
        return [s for s in range(2, self.nodes + 2) if s not in read]

    def _check_concat(self, kind: str, cell: Cell, given: Any) -> None:
        expected = self._concat(cell)
        if given is None:
            return
        try:
            right = len(given) <= 2 * self.nodes and sorted(given) == expected
        except (TypeError, OverflowError):
            right = False
        if not right:
            raise InvalidSpecError(f"{self.name}: {kind}_concat is {shown(given)}, not {expected}")

    def _check_size(self, pixels: int) -> None:
        """Raise InvalidSpecError unless the image can be halved as often as the network does."""
        factor = 32 if self.imagenet else 4
        if pixels % factor:
            raise InvalidSpecError(
                f"{self.name}: {pixels} pixels cannot be halved as often as this network does; "
                f"use a multiple of {factor}"
            )

    @cached_property
    def _reader(self) -> CellReader:
        return CellReader(self.name, self.operators, self.nodes, self.distinct)

    @cached_property
    def _options(self) -> list[list[tuple[Edge, Edge]]]:
        """For each node, all that it may be."""
        pick = combinations if self.distinct else combinations_with_replacement
        ops = range(len(self.operators))
        found = []
        for states in range(2, self.nodes + 2):
            if self.distinct:
                pairs = [
                    ((a, s), (b, t)) for s, t in pick(range(states), 2) for a in ops for b in ops
                ]
            else:
                pairs = list(pick([(a, s) for s in range(states) for a in ops], 2))
            found.append(pairs)
        return found
