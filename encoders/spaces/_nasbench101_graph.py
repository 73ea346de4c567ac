"""NAS-Bench-101 networks as graphs, a batch at a time.

Inside a cell, the vertices that feed the output share its channels between them, the first ones
taking one more where they do not divide; another vertex has as many as the widest it feeds. What
comes from the cell's input passes a 1x1 projection; sums cut their operands to their own width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.spaces._batch import GraphBatch, Triple, Value
from archcast.encoders.spaces._nasbench101_cells import MAX_VERTICES, OPERATORS

if TYPE_CHECKING:
    from archcast.encoders.graph import ComputeGraph
    from archcast.encoders.spaces.nasbench101 import Cell101

#: Channels of the stem, stacks, and cells in each.
STEM: Final = 128
STACKS: Final = 3
CELLS: Final = 3
_OUT: Final = MAX_VERTICES - 1
_ONE: Final[Triple] = (1, 1, 1)
_TWO: Final[Triple] = (1, 2, 2)
_THREE: Final[Triple] = (1, 3, 3)
_CONV3, _CONV1, _POOL = range(len(OPERATORS))


def vertex_channels(matrix: Sequence[Sequence[int]], channels: int) -> list[int]:
    """Channels of the vertices of one cell.

    Args:
        matrix: V rows of adjacency.
        channels: channels leaving the cell.

    Returns:
        (V,) channels; the first, of the input, is not known here and is 0.
    """
    last = len(matrix) - 1
    widths = [0] * last + [channels]
    feeding = [v for v in range(1, last) if matrix[v][last]]
    for place, v in enumerate(feeding):
        share, rest = divmod(channels, len(feeding))
        widths[v] = share + (place < rest)
    for v in range(last - 1, 0, -1):
        if not matrix[v][last]:
            widths[v] = max(widths[w] for w in range(v + 1, last) if matrix[v][w])
    return widths


class _Cells:
    """A batch of cells, all spread over seven vertices with the output last."""

    def __init__(self, cells: Sequence[Cell101]) -> None:
        self.edge = np.zeros((len(cells), MAX_VERTICES, MAX_VERTICES), np.bool_)
        self.operator = np.full((len(cells), MAX_VERTICES), -1)
        self._cells = cells
        places = [[*range(len(c.matrix) - 1), _OUT] for c in cells]
        for row, (cell, place) in enumerate(zip(cells, places, strict=True)):
            self.edge[row][np.ix_(place, place)] = cell.matrix
            self.operator[row, place[1:-1]] = cell.operators

    def widths(self, channels: int) -> NDArray[np.int64]:
        """(cells, 7) channels of the vertices; 0 where there is no such vertex."""
        known: dict[Any, list[int]] = {}
        widths = np.zeros((len(self._cells), MAX_VERTICES), np.int64)
        for row, cell in enumerate(self._cells):
            if cell.matrix not in known:
                known[cell.matrix] = vertex_channels(cell.matrix, channels)
            widths[row, : len(cell.matrix) - 1] = known[cell.matrix][:-1]
        widths[:, _OUT] = channels
        return widths


class _Stack:
    """The rows of one stack's nodes, by the channels of the vertex they belong to."""

    def __init__(self, batch: GraphBatch, widths: NDArray[np.int64], extent: Triple) -> None:
        self._batch, self.extent = batch, extent
        #: Channels leaving a cell of this stack.
        self.width = int(widths[0, _OUT])
        self._distinct, self._inverse = np.unique(widths, return_inverse=True)
        self._inverse = self._inverse.reshape(widths.shape)
        self.relu = self._rows("relu")
        self.add = self._rows("add")
        self.pool = self._rows("max_pool", kernel=_THREE)
        self.conv1 = self._rows("conv", kernel=_ONE)
        self.conv3 = self._rows("conv", kernel=_THREE)

    def projections(self, channels: int) -> NDArray[np.int64]:
        """(cells, 7) rows of the 1x1 convolutions from the cell's input."""
        return self._rows("conv", kernel=_ONE, channels_in=channels)

    def _rows(
        self, op: str, kernel: Triple = _ONE, channels_in: int | None = None
    ) -> NDArray[np.int64]:
        table = []
        for width in self._distinct.tolist():
            before = width if channels_in is None else channels_in
            params = before * width * kernel[1] * kernel[2] + 2 * width if op == "conv" else 0
            row = self._batch.row(
                op,
                channels_in=before,
                channels_out=width,
                kernel=kernel,
                extent=self.extent,
                params=params,
            )
            table.append(row)
        return np.array(table, np.int64)[self._inverse]


def build(
    cells: Sequence[Cell101],
    names: Sequence[str],
    classes: int,
    pixels: int,
    meta: Mapping[str, Any],
) -> list[ComputeGraph]:
    """The graphs of a batch of cells.

    Args:
        cells: N cells.
        names: (N,) names of the graphs.
        classes: outputs of the classifier.
        pixels: height and width of the input.
        meta: ``source``, ``input_shape`` and ``output_shape``.

    Returns:
        (N,) graphs.
    """
    spread = _Cells(cells)
    channels, extent = STEM, (1, pixels, pixels)
    batch = GraphBatch(len(cells), 3, extent)
    stem = batch.row(
        "conv",
        channels_in=3,
        channels_out=STEM,
        kernel=_THREE,
        extent=extent,
        params=27 * STEM + 2 * STEM,
    )
    x = batch.node(stem, batch.input)
    x = batch.shared("relu", batch.row("relu", channels_in=STEM, extent=extent), x)
    for stack in range(STACKS):
        entering = channels
        if stack:
            extent = (1, (extent[1] + 1) // 2, (extent[2] + 1) // 2)
            pool = batch.row(
                "max_pool", channels_in=channels, kernel=_TWO, stride=_TWO, extent=extent
            )
            x = batch.shared("max_pool", pool, x)
            channels *= 2
        rows = _Stack(batch, spread.widths(channels), extent)
        for _ in range(CELLS):
            x = _cell(batch, x, spread, rows, rows.projections(entering))
            entering = channels
    x = batch.shared("global_avg_pool", batch.row("global_avg_pool", channels_in=channels), x)
    params = channels * classes + classes
    dense = batch.row("linear", channels_in=channels, channels_out=classes, params=params)
    return batch.finish(batch.node(dense, x), classes, names, **meta)


def _cell(
    batch: GraphBatch, x: Value, cells: _Cells, rows: _Stack, projections: NDArray[np.int64]
) -> Value:
    def project(v: int) -> Value:
        projected = batch.node(projections[:, v], x, cells.edge[:, 0, v])
        return batch.node(rows.relu[:, v], projected)

    values = [x]
    for v in range(1, _OUT):
        inner = [np.where(cells.edge[:, u, v], values[u], 0) for u in range(1, v)]
        total = batch.join("add", rows.add[:, v], [*inner, project(v)])
        operator = cells.operator[:, v]
        kernel = np.where(operator == _CONV3, rows.conv3[:, v], rows.conv1[:, v])
        convolved = batch.node(kernel, total, (operator == _CONV3) | (operator == _CONV1))
        convolved = batch.node(rows.relu[:, v], convolved)
        # A vertex either convolves or pools: the other value is 0.
        pooled = batch.shared("max_pool", rows.pool[:, v], total, operator == _POOL)
        values.append(convolved + pooled)
    concat = batch.row("concat", channels_in=rows.width, extent=rows.extent)
    leaving = [np.where(cells.edge[:, v, _OUT], values[v], 0) for v in range(1, _OUT)]
    joined = batch.join("concat", concat, leaving)
    return batch.join("add", rows.add[:, _OUT], [joined, project(_OUT)])
