"""The cell space of TransNAS-Bench-101: 4,096 cells of four nodes and six edges.

Reference:
    Duan et al., "TransNAS-Bench-101: Improving Transferability and Generalizability of Cross-Task
    Neural Architecture Search", CVPR 2021.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces._batch import Value as BatchValue
from archcast.encoders.spaces._fields import Choices, Field
from archcast.encoders.spaces._net import Net, Value
from archcast.encoders.spaces._transnas import STEM, TransNAS, each, relu_conv
from archcast.encoders.spaces._transnas_batch import Encoders

#: Source and target node of the six edges, in the order of the text.
EDGES: Final = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
#: What the digits of an edge mean.
NONE, SKIP, CONV1, CONV3 = range(4)
_MODULES: Final = (4, 1, 4, 1, 4)
_TEXT: Final = re.compile(r"64-41414-([0-9])_([0-9]{2})_([0-9]{3})")
_TUPLE: Final = re.compile(r"\(\s*\d(\s*,\s*\d){5}\s*\)")


class TransNASMicro(TransNAS):
    """Cells of six edges, each carrying one of four operators; five modules of two cells.

    A specification is the benchmark's own string, such as ``64-41414-1_02_333``: node 1 reads
    node 0, node 2 reads nodes 0 and 1, node 3 reads nodes 0, 1 and 2, through nothing (0), a skip
    connection (1), a 1x1 (2) or a 3x3 convolution (3). A tuple of the six digits, as NASLib keeps
    them, says the same.

    In the first cell of a module that halves the picture, what leaves node 0 is strided, and a
    skip connection becomes ReLU, two 1x1 convolutions of stride 2, one of them on the picture
    moved by a pixel, side by side, and a norm.
    """

    name = "transnas_micro"
    fields = (Field("cell", (NONE, SKIP, CONV1, CONV3), 6),)
    most_halvings = 5

    def parse(self, spec: Any) -> Choices:
        """Read ``64-41414-1_02_333``, a tuple of six digits, or what :class:`FieldSpace` reads."""
        if isinstance(spec, str):
            text = spec.strip().removeprefix(f"{self.name}:")
            match = _TEXT.fullmatch(text)
            if match:
                spec = {"cell": list("".join(match.groups()))}
            elif _TUPLE.fullmatch(text):
                spec = {"cell": re.findall(r"\d", text)}
            elif "=" not in text:
                raise InvalidSpecError(
                    f"{self.name}: {shown(text)} does not read 64-41414-a_bc_def"
                )
        elif isinstance(spec, Sequence) and len(spec) == 6:
            spec = {"cell": list(spec)}
        return super().parse(spec)

    def text(self, cell: Choices) -> str:
        """Write ``64-41414-1_02_333``."""
        a, b, c, d, e, f = cell[0]
        return f"64-41414-{a}_{b}{c}_{d}{e}{f}"

    def owns(self, text: str) -> bool:
        """A string of this shape is a cell of this space."""
        return _TEXT.fullmatch(text) is not None

    def modules(self, cell: Choices) -> Sequence[int]:
        """The same five for all cells."""
        del cell
        return _MODULES

    def block(self, net: Net, x: Value, cell: Choices, width: int, stride: int) -> Value:
        """One cell."""
        nodes = [x]
        for target in (1, 2, 3):
            arriving = [
                _along(net, nodes[source], op, width, stride if source == 0 else 1)
                for op, (source, end) in zip(cell[0], EDGES, strict=True)
                if end == target and op != NONE
            ]
            nodes.append(net.add(*arriving) if arriving else _nothing(net, x, width, stride))
        return nodes[3]

    def encode(
        self, encoders: Encoders, x: BatchValue, cells: Sequence[Choices]
    ) -> tuple[BatchValue, NDArray[np.int64], NDArray[np.int64]]:
        """All cells of a batch; see :class:`TransNAS`."""
        codes = np.array([cell[0] for cell in cells], np.int64)
        width, size = STEM, encoders.pixels // 4
        for digit in _MODULES:
            if digit == 4:
                size //= 2
                x = _cell(encoders, x, codes, width, 2 * width, size, 2)
                width *= 2
            else:
                x = _cell(encoders, x, codes, width, width, size, 1)
            x = _cell(encoders, x, codes, width, width, size, 1)
        return x, np.full(len(cells), width), np.full(len(cells), size)


def _along(net: Net, x: Value, op: int, width: int, stride: int) -> Value:
    """What an edge's operator makes of its source."""
    if op == SKIP:
        return x if stride == 1 and x.shape[0] == width else _reduced(net, x, width, stride)
    return relu_conv(net, x, width, 1 if op == CONV1 else 3, stride)


def _reduced(net: Net, x: Value, width: int, stride: int) -> Value:
    x = net.act("relu", x)
    moved = net.pad(x, [(-1, 1) if n == stride else (0, 0) for n in each(x, stride)])
    halves = [net.conv(part, width // 2, each(x, 1), stride=each(x, stride)) for part in (x, moved)]
    return net.batch_norm(net.concat(halves))


def _nothing(net: Net, x: Value, width: int, stride: int) -> Value:
    """Zeros of the shape a cell's nodes have."""
    wide = net.concat([x] * (width // x.shape[0])) if x.shape[0] != width else x
    extent = [(n - 1) // s + 1 for n, s in zip(x.shape[1:], each(x, stride), strict=True)]
    return net.scale(net.resize(wide, extent), 0.0)


def _cell(
    encoders: Encoders,
    x: BatchValue,
    codes: NDArray[np.int64],
    enter: int,
    width: int,
    size: int,
    stride: int,
) -> BatchValue:
    batch = encoders.batch
    add = batch.row("add", channels_in=width, extent=encoders.extent(size))

    def along(edge: int, source: BatchValue) -> BatchValue:
        """What an edge's operator makes of its source, plain skip connections excepted."""
        first = EDGES[edge][0] == 0
        step, channels = (stride, enter) if first else (1, width)
        rows = [encoders.conv(channels, width, k, size, stride=step) for k in (1, 3)]
        op = codes[:, edge]
        reads = op != NONE if step == 2 else op >= CONV1
        active = encoders.unary("relu", source, channels, size * step, reads)
        made = batch.node(np.where(op == CONV1, *rows), active, op >= CONV1)
        if step == 2:
            half = encoders.conv(channels, width // 2, 1, size, stride=step, norms=0)
            halves = [batch.node(half, active, op == SKIP) for _ in range(2)]
            row = batch.row("concat", channels_in=width, extent=encoders.extent(size))
            made = made + batch.affine(
                batch.join("concat", row, halves), width, encoders.extent(size)
            )
        return made

    nodes, terms = [x], [[x]]
    for target in (1, 2, 3):
        operands: list[BatchValue] = []
        for edge, (source, end) in enumerate(EDGES):
            if end != target:
                continue
            operands.append(along(edge, nodes[source]))
            if source == 0 and stride == 2:
                continue
            skips = codes[:, edge] == SKIP
            # Node 2 is read by node 3 alone: skipping to it makes the two sums one.
            skipped = terms[source] if source == 2 else [nodes[source]]
            operands += [np.where(skips, value, 0) for value in skipped]
        nodes.append(batch.join("add", add, operands))
        terms.append(operands)
    return nodes[3]
