"""NAS-Bench-101: 423,624 cells of up to seven vertices and nine edges.

Reference:
    Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search", ICML 2019.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces._base import Space
from archcast.encoders.spaces._batch import in_batches
from archcast.encoders.spaces._nasbench101_cells import (
    MAX_EDGES,
    MAX_VERTICES,
    OPERATORS,
    CellTable,
    module_hashes,
    unique_cells,
)
from archcast.encoders.spaces._nasbench101_draw import draw
from archcast.encoders.spaces._nasbench101_graph import (
    CELLS,
    STACKS,
    STEM,
    build,
    vertex_channels,
)
from archcast.encoders.spaces._net import Net, Value

#: The benchmark's own names of operators, accepted beside ours.
_LONG: Final = {
    "conv3x3-bn-relu": "conv3x3",
    "conv1x1-bn-relu": "conv1x1",
    "maxpool3x3": "maxpool3x3",
}
_SIZE: Final = 423_624
_TEXT: Final = re.compile(r"([01]+):([\w,-]*)", re.ASCII)


class Cell101(NamedTuple):
    """A cell of V vertices, all between input and output.

    Attributes:
        matrix: V rows of V zeros and ones, upper triangular.
        operators: (V - 2,) positions in ``OPERATORS`` of the inner vertices.
    """

    matrix: tuple[tuple[int, ...], ...]
    operators: tuple[int, ...]


class NASBench101(Space[Cell101]):
    """Cells given as a directed graph with operators at its inner vertices.

    A specification is ``<adjacency>:<operators>``: the V x V adjacency row by row as zeros and
    ones, then the V - 2 inner vertices' operators joined by commas, out of ``conv3x3``,
    ``conv1x1`` and ``maxpool3x3``; ``011001000:conv3x3`` is a residual block of one convolution.
    The benchmark's pair of a matrix and a list of names from ``input`` to ``output`` is read too.
    Vertices on no path from input to output are dropped.

    The network: a 3x3 stem of 128 channels, three stacks of three cells, halving the image and
    doubling the channels in between, global average pooling and a classifier.
    """

    name = "nasbench101"
    size = _SIZE

    def parse(self, spec: Any) -> Cell101:
        """Read a text, a :class:`Cell101`, or the benchmark's (matrix, operations)."""
        if isinstance(spec, Cell101):
            return spec
        if isinstance(spec, str):
            return _checked(*_split(spec.strip().removeprefix(f"{self.name}:")))
        try:
            matrix, names = spec
            rows = [[int(bit) for bit in row] for row in matrix]
            names = [str(name) for name in names]
        except (TypeError, ValueError) as error:
            raise InvalidSpecError(
                f"nasbench101: {shown(spec)} is neither a text nor a pair of matrix and operations"
            ) from error
        if names[:1] != ["input"] or names[-1:] != ["output"] or len(names) != len(rows):
            raise InvalidSpecError(
                "nasbench101: operations must go from 'input' to 'output', one a matrix row"
            )
        return _checked(rows, names[1:-1])

    def text(self, cell: Cell101) -> str:
        """Write ``<adjacency>:<operators>``."""
        bits = "".join(str(bit) for row in cell.matrix for bit in row)
        return f"{bits}:{','.join(OPERATORS[op] for op in cell.operators)}"

    def module_hash(self, spec: Any) -> str:
        """The benchmark's own name of a cell: the same for isomorphic cells, however written.

        Isomorphic cells may still split their channels differently; the benchmark trained one of
        them and answers for all.

        Args:
            spec: anything :meth:`parse` reads.

        Returns:
            An MD5 sum in hexadecimal.

        Raises:
            InvalidSpecError: the specification is not well formed.
        """
        cell = self.parse(spec)
        matrices, labels = np.array([cell.matrix], np.uint8), np.array([cell.operators], np.int8)
        return module_hashes(CellTable(matrices, labels))[0]

    def graphs(
        self, specs: Sequence[Any], num_classes: int | None = None, image_size: int | None = None
    ) -> list[ComputeGraph]:
        """The full networks as canonical graphs; see :meth:`Space.graphs`."""
        classes = num_classes or self.num_classes
        pixels = image_size or self.image_size
        cells = [self.parse(spec) for spec in specs]
        meta = {
            "source": self.name,
            "input_shape": (1, 3, pixels, pixels),
            "output_shape": (1, classes),
        }
        return in_batches(
            cells,
            lambda batch: build(batch, [self.text(c) for c in batch], classes, pixels, meta),
        )

    def sample(self, n: int, seed: int = 0) -> list[str]:
        """Draw different cells at random, each of the 423,624 equally likely.

        None comes twice in another order of its vertices; which order one is written in is random.

        Raises:
            ValueError: the space has fewer.
        """
        if n > _SIZE:
            raise ValueError(f"nasbench101 has {_SIZE:,} cells, fewer than {n:,}")
        found: dict[tuple[int, int], str] = {}
        cells = draw(seed)
        while len(found) < n:
            matrix, operators, key = next(cells)
            rows = tuple(map(tuple, matrix.tolist()))
            found.setdefault(key, self.text(Cell101(rows, tuple(operators.tolist()))))
        return list(found.values())

    def enumerate(self) -> Iterator[str]:
        """One text for each of the 423,624 unique cells, in the benchmark's order."""
        for table in unique_cells():
            rows = table.matrices.tolist()
            for matrix, operators in zip(rows, table.labels.tolist(), strict=True):
                yield self.text(Cell101(matrix, operators))

    def neighbours(self, spec: Any) -> list[str]:
        """The valid cells that differ in one operator or one edge.

        Raises:
            InvalidSpecError: the specification is not well formed.
        """
        cell = self.parse(spec)
        changed = [
            Cell101(cell.matrix, (*cell.operators[:v], op, *cell.operators[v + 1 :]))
            for v, old in enumerate(cell.operators)
            for op in range(len(OPERATORS))
            if op != old
        ]
        for x, y in combinations(range(len(cell.matrix)), 2):
            rows = [list(row) for row in cell.matrix]
            rows[x][y] ^= 1
            toggled = _pruned(rows, cell.operators)
            if toggled is not None and _edges(toggled) <= MAX_EDGES:
                changed.append(toggled)
        return list(dict.fromkeys(self.text(c) for c in changed))

    def crossover(self, first: Any, second: Any, seed: int = 0) -> str:
        """Every edge and operator taken from one of the two, until the cell is valid.

        Raises:
            InvalidSpecError: a specification is not well formed.
        """
        parents = [_spread(self.parse(spec)) for spec in (first, second)]
        rng = np.random.default_rng(seed)
        for _ in range(100):
            edges = rng.random((MAX_VERTICES, MAX_VERTICES)) < 0.5
            names = rng.random(MAX_VERTICES - 2) < 0.5
            matrix = np.where(edges, parents[0][0], parents[1][0])
            operators = np.where(names, parents[0][1], parents[1][1])
            cell = _pruned(matrix.tolist(), operators.tolist())
            if cell is not None and _edges(cell) <= MAX_EDGES:
                return self.text(cell)
        return self.text(self.parse(first))

    def build(self, net: Net, cell: Cell101, num_classes: int, image_size: int) -> None:
        """The network one operator at a time; see :meth:`Space.build`."""
        width = STEM
        x = net.conv_norm(net.input((3, image_size, image_size)), width, 3, "relu")
        for stack in range(STACKS):
            if stack:
                x = net.pool("max", x, 2, stride=2, padding=0, ceil=True)
                width *= 2
            for _ in range(CELLS):
                x = _build_cell(net, x, cell, width)
        net.output(net.linear(net.global_pool(x), num_classes))


def _build_cell(net: Net, x: Value, cell: Cell101, width: int) -> Value:
    matrix, last = cell.matrix, len(cell.matrix) - 1
    widths = vertex_channels(matrix, width)
    values = [x]
    for v in range(1, last):
        # Vertices read the first channels of wider ones, and a projection of the cell's input.
        arriving = [net.slice(values[u], 0, widths[v]) for u in range(1, v) if matrix[u][v]]
        if matrix[0][v]:
            arriving.append(net.conv_norm(x, widths[v], 1, "relu"))
        total = net.add(*arriving)
        name = OPERATORS[cell.operators[v - 1]]
        if name == "maxpool3x3":
            values.append(net.pool("max", total, 3))
        else:
            values.append(net.conv_norm(total, widths[v], 3 if name == "conv3x3" else 1, "relu"))
    leaving = [values[v] for v in range(1, last) if matrix[v][last]]
    if not leaving:
        return net.conv_norm(x, width, 1, "relu")
    joined = net.concat(leaving) if len(leaving) > 1 else leaving[0]
    return net.add(joined, net.conv_norm(x, width, 1, "relu")) if matrix[0][last] else joined


def _spread(cell: Cell101) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A cell at the largest size: unused vertices stand before the output, without edges."""
    vertices = len(cell.matrix)
    places = [*range(vertices - 1), MAX_VERTICES - 1]
    matrix = np.zeros((MAX_VERTICES, MAX_VERTICES), np.int64)
    matrix[np.ix_(places, places)] = cell.matrix
    operators = np.zeros(MAX_VERTICES - 2, np.int64)
    operators[: vertices - 2] = cell.operators
    return matrix, operators


def _split(text: str) -> tuple[list[list[int]], list[str]]:
    match = _TEXT.fullmatch(text)
    if match is None:
        raise InvalidSpecError(f"nasbench101: {shown(text)} does not read <0s and 1s>:<operators>")
    bits, names = match.groups()
    vertices = round(len(bits) ** 0.5)
    if vertices**2 != len(bits):
        raise InvalidSpecError(f"nasbench101: {len(bits)} adjacency bits are no square matrix")
    flat = [int(bit) for bit in bits]
    rows = [flat[v * vertices : (v + 1) * vertices] for v in range(vertices)]
    return rows, [name for name in names.split(",") if name]


def _checked(rows: list[list[int]], names: Sequence[str]) -> Cell101:
    vertices = len(rows)
    if not 2 <= vertices <= MAX_VERTICES:
        raise InvalidSpecError(f"nasbench101: {vertices} vertices; a cell has 2 to {MAX_VERTICES}")
    if len(names) != vertices - 2:
        raise InvalidSpecError(
            f"nasbench101: {len(names)} operators for {vertices - 2} inner vertices"
        )
    for y, row in enumerate(rows):
        if len(row) != vertices or any(row[: y + 1]) or not set(row) <= {0, 1}:
            raise InvalidSpecError(
                f"nasbench101: row {y} of the adjacency must have {vertices} zeros and ones, "
                "zeros up to the diagonal"
            )
    operators = [_operator(name) for name in names]
    cell = _pruned(rows, operators)
    if cell is None:
        raise InvalidSpecError("nasbench101: no path leads from input to output")
    if _edges(cell) > MAX_EDGES:
        raise InvalidSpecError(f"nasbench101: {_edges(cell)} edges; a cell has at most {MAX_EDGES}")
    return cell


def _operator(name: str) -> int:
    short = _LONG.get(name, name)
    if short not in OPERATORS:
        known = ", ".join(OPERATORS)
        raise InvalidSpecError(f"nasbench101: unknown operator {shown(name)}; known: {known}")
    return OPERATORS.index(short)


def _pruned(rows: Sequence[Sequence[int]], operators: Sequence[int]) -> Cell101 | None:
    """Drop what is on no path from input to output; None if there is no path."""
    last = len(rows) - 1
    ahead, behind = {0}, {last}
    for y in range(1, last + 1):
        if any(rows[x][y] for x in ahead):
            ahead.add(y)
    for x in range(last - 1, -1, -1):
        if any(rows[x][y] for y in behind):
            behind.add(x)
    if last not in ahead:
        return None
    kept = sorted(ahead & behind)
    matrix = tuple(tuple(rows[x][y] for y in kept) for x in kept)
    return Cell101(matrix, tuple(operators[v - 1] for v in kept[1:-1]))


def _edges(cell: Cell101) -> int:
    return sum(map(sum, cell.matrix))
