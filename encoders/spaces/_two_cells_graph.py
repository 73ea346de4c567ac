"""Networks of a normal and a reduction cell as graphs, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.spaces._batch import GraphBatch, Mask, Triple, Value, rows_by
from archcast.encoders.spaces._cell_operators import OPERATORS, Conv, Operator
from archcast.encoders.spaces._two_cells_arrays import Cells, Layout

if TYPE_CHECKING:
    from archcast.encoders.graph import ComputeGraph
    from archcast.encoders.spaces._genotype import Genotype

Ints = NDArray[np.int64]
_TWO: Final[Triple] = (1, 2, 2)
_THREE: Final[Triple] = (1, 3, 3)


def build(
    layout: Layout,
    genotypes: Sequence[Genotype],
    names: Sequence[str],
    classes: int,
    pixels: int,
    source: str,
) -> list[ComputeGraph]:
    """The graphs of a batch of genotypes.

    Args:
        layout: of the space.
        genotypes: N genotypes, none of which needs the reference.
        names: (N,) names of the graphs.
        classes: outputs of the classifier.
        pixels: height and width of the input.
        source: name of the space.

    Returns:
        (N,) graphs.
    """
    batch = GraphBatch(len(genotypes), 3, (1, pixels, pixels))
    before, last = _stem(batch, layout, pixels)
    kinds = (
        Cells(layout, [g.normal for g in genotypes], False),
        Cells(layout, [g.reduce for g in genotypes], True),
    )
    width, halved = layout.width, layout.imagenet
    for place in range(layout.cells):
        reduces = place in layout.reductions
        width *= 2 if reduces else 1
        batch.forget()
        cell = _Builder(batch, layout, kinds[reduces], width, last.extent)
        before, last = last, cell.build(before, last, halved)
        halved = reduces
    pool = rows_by(lambda c: batch.row("global_avg_pool", channels_in=c), last.channels)
    linear = rows_by(
        lambda c: batch.row(
            "linear", channels_in=c, channels_out=classes, params=c * classes + classes
        ),
        last.channels,
    )
    return batch.finish(
        batch.node(linear, batch.node(pool, last.value)),
        classes,
        names,
        source=source,
        input_shape=(1, 3, pixels, pixels),
        output_shape=(1, classes),
    )


@dataclass
class _Flow:
    """What a cell gives: (N,) nodes, their ReLUs, their channels, and the extent of all."""

    value: Value
    activated: Value
    channels: Ints
    extent: Triple


def _flow(batch: GraphBatch, value: Value, channels: Ints, extent: Triple) -> _Flow:
    relu = rows_by(lambda c: batch.row("relu", channels_in=c, extent=extent), channels)
    return _Flow(value, batch.node(relu, value), channels, extent)


def _stem(batch: GraphBatch, layout: Layout, pixels: int) -> tuple[_Flow, _Flow]:
    def conv(x: Value, enter: int, leave: int, extent: Triple, stride: Triple = _TWO) -> Value:
        row = batch.row(
            "conv", channels_in=enter, channels_out=leave, kernel=_THREE, stride=stride,
            extent=extent, params=9 * enter * leave + 2 * leave,
        )  # fmt: skip
        return batch.node(row, x)

    width, extent = layout.width, (1, pixels, pixels)
    if not layout.imagenet:
        x = conv(batch.input, 3, 3 * width, extent, (1, 1, 1))
        flow = _flow(batch, x, np.full(batch.size, 3 * width), extent)
        return flow, flow
    half = width // 2
    x = conv(batch.input, 3, half, _halved(extent))
    x = batch.node(batch.row("relu", channels_in=half, extent=_halved(extent)), x)
    extent = _halved(_halved(extent))
    before = _flow(batch, conv(x, half, width, extent), np.full(batch.size, width), extent)
    extent = _halved(extent)
    x = conv(before.activated, width, width, extent)
    return before, _flow(batch, x, before.channels, extent)


def _halved(extent: Triple) -> Triple:
    return (1, (extent[1] + 1) // 2, (extent[2] + 1) // 2)


class _Builder:
    """Builds one cell of all networks of a batch."""

    def __init__(
        self, batch: GraphBatch, layout: Layout, cells: Cells, width: int, extent: Triple
    ) -> None:
        self.batch, self.layout, self.cells, self.width = batch, layout, cells, width
        #: Extent of the cell's inputs, and of its result.
        self.enter, self.leave = extent, _halved(extent) if cells.reduces else extent
        self.every = np.arange(batch.size)
        states = layout.nodes + 2
        self.values = np.zeros((states, batch.size), np.int64)
        self.relus = np.zeros_like(self.values)
        self.pools = {at: np.zeros_like(self.values) for at in cells.pooled}
        #: (states, nodes + 1, N) operands of the nodes that may be nested in others.
        self.terms = np.zeros((states, layout.nodes + 1, batch.size), np.int64)
        self.add = batch.row("add", channels_in=width, extent=self.leave)

    def build(self, before: _Flow, last: _Flow, halved: bool) -> _Flow:
        """The cell on the results of the last two; ``halved`` if the last one halved the image."""
        if halved:
            first = self._factorised(before.activated, before.channels, self.enter)
        else:
            first = self._project(before)
        self._read(0, first)
        self._read(1, self._project(last))
        for node in range(self.layout.nodes):
            self._read(node + 2, self._node(node))
        count = self.cells.leaving.sum(1)
        channels = count * self.width
        concat = rows_by(
            lambda c: self.batch.row("concat", channels_in=c, extent=self.leave), channels
        )
        leaving = np.where(self.cells.leaving.T, self.values, 0)
        joined = self.batch.join("concat", concat, list(leaving[2:]))
        return _flow(self.batch, joined, channels, self.leave)

    def _project(self, flow: _Flow) -> Value:
        width = self.width
        rows = rows_by(
            lambda c: self.batch.row(
                "conv", channels_in=c, channels_out=width, extent=self.enter,
                params=c * width + 2 * width,
            ),
            flow.channels,
        )  # fmt: skip
        return self.batch.node(rows, flow.activated)

    def _factorised(
        self, active: Value, channels: Ints, extent: Triple, where: Mask | None = None
    ) -> Value:
        """Two 1x1 convolutions of stride 2 side by side, with one batch norm."""
        half = self.width // 2
        rows = rows_by(
            lambda c: self.batch.row(
                "conv", channels_in=c, channels_out=half, stride=_TWO, extent=extent,
                params=c * half,
            ),
            channels,
        )  # fmt: skip
        parts = [self.batch.node(rows, active, where) for _ in range(2)]
        row = self.batch.row("concat", channels_in=self.width, extent=extent)
        joined = self.batch.join("concat", row, parts)
        norm = self.batch.row(
            "affine", channels_in=self.width, extent=extent, params=2 * self.width
        )
        return self.batch.node(norm, joined)

    def _read(self, state: int, value: Value) -> None:
        """Take a state, with its ReLU and poolings where an edge reads them."""
        entering = state < 2
        extent = self.enter if entering else self.leave
        self.values[state] = value
        relu = self.batch.row("relu", channels_in=self.width, extent=extent)
        self.relus[state] = self.batch.shared("relu", relu, value, self.cells.activated[:, state])
        for at, applied in self.cells.pooled.items():
            operator = OPERATORS[self.layout.operators[at]]
            row = self.batch.row(
                f"{operator.pool}_pool",
                channels_in=self.width,
                kernel=(1, operator.window, operator.window),
                stride=_TWO if entering and self.cells.reduces else (1, 1, 1),
                extent=self.leave,
            )
            name = self.layout.operators[at]
            self.pools[at][state] = self.batch.shared(name, row, value, applied[:, state])

    def _node(self, node: int) -> Value:
        cells, operands = self.cells, []
        for place in (0, 1):
            op, state = cells.op[:, node, place], cells.state[:, node, place]
            skips = cells.skips[:, node, place]
            value = self._convolve(op, state, cells.strided[:, node, place])
            for at, pooled in self.pools.items():
                value = value + np.where(op == at, pooled[state, self.every], 0)
            if cells.reduces:
                active = self.relus[state, self.every]
                where = cells.reduced_skips[:, node, place]
                width = np.full(self.batch.size, self.width)
                value = value + self._factorised(active, width, self.leave, where)
            inside = skips & cells.nested[self.every, state]
            value = value + np.where(skips & ~inside, self.values[state, self.every], 0)
            operands.append(value[None])
            if inside.any():
                operands.append(np.where(inside, self.terms[state, :, self.every].T, 0))
        arriving = np.concatenate(operands)
        if len(arriving) > 2:
            arriving = -np.sort(-arriving, 0)[: self.layout.nodes + 1]
        self.terms[node + 2, : len(arriving)] = arriving
        return self.batch.join("add", self.add, list(arriving[arriving.any(1)]))

    def _convolve(self, op: Ints, state: Ints, strided: Mask) -> Value:
        """What the operators that convolve make of their states, 0 for the others."""
        value = self.relus[state, self.every]
        first = True
        for step in self._steps:
            rows = step[strided.astype(np.int64), op]
            there = rows >= 0
            new = self.batch.node(rows, value, there)
            value = new if first else np.where(there, new, value)
            first = False
        return value

    @cached_property
    def _steps(self) -> list[Ints]:
        """For each of five steps, (strides, operators) rows; -1 where an operator has no such.

        The steps are two convolutions, a ReLU, and two convolutions again.
        """
        operators = [OPERATORS[name] for name in self.layout.operators]
        table = np.full((5, 2, len(operators)), -1, np.int64)
        for strided in range(2 if self.cells.reduces else 1):
            for at, operator in enumerate(operators):
                for step, row in self._rows(operator, strided == 1):
                    table[step, strided, at] = row
        return list(table)

    def _rows(self, operator: Operator, strided: bool) -> list[tuple[int, int]]:
        """Steps and rows of one operator that convolves."""
        extent = self.enter if strided else self.leave
        found = []
        for number, stage in enumerate(operator.stages):
            if number:
                found.append((2, self.batch.row("relu", channels_in=self.width, extent=extent)))
            for place, conv in enumerate(stage):
                high, wide = (2 if strided and along else 1 for along in conv.strided)
                extent = (1, -(-extent[1] // high), -(-extent[2] // wide))
                last = place == len(stage) - 1
                found.append(
                    (3 * number + place, self._conv_row(conv, (1, high, wide), extent, last))
                )
        return found

    def _conv_row(self, conv: Conv, stride: Triple, extent: Triple, norm: bool) -> int:
        width, groups = self.width, self.width if conv.depthwise else 1
        dilation = conv.dilation
        weights = width * (width // groups) * conv.kernel[0] * conv.kernel[1]
        return self.batch.row(
            "conv",
            channels_in=width,
            kernel=(1, *conv.kernel),
            stride=stride,
            dilation=(1, dilation, dilation) if dilation > 1 else (1, 1, 1),
            groups=groups,
            extent=extent,
            params=weights + (2 * width if norm else 0),
        )
