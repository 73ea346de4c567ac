"""NAS-Bench-201, the topology space of NATS-Bench: 15,625 cells of four nodes and six edges.

Reference:
    Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture
    Search", ICLR 2020.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces._base import Space
from archcast.encoders.spaces._batch import GraphBatch, Triple, Value, in_batches
from archcast.encoders.spaces._net import Net
from archcast.encoders.spaces._net import Value as NetValue

#: Operators of an edge; a parsed cell holds their positions here.
OPERATORS: Final = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
#: Source and target node of the six edges, in the order of the text.
EDGES: Final = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
#: Channels of the three stages, and cells in each.
WIDTHS: Final = (16, 32, 64)
CELLS: Final = 5

_SIZE: Final = len(OPERATORS) ** len(EDGES)

NONE, SKIP, CONV1, CONV3, POOL = range(5)
#: Operator positions of the six edges.
Cell201 = tuple[int, ...]
_TEXT: Final = re.compile(
    r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|", re.ASCII
)
_POSITION: Final = {name: index for index, name in enumerate(OPERATORS)}
_ONE: Final[Triple] = (1, 1, 1)
_TWO: Final[Triple] = (1, 2, 2)
_THREE: Final[Triple] = (1, 3, 3)


class NASBench201(Space[Cell201]):
    """Cells of six edges, each carrying one of five operators.

    A specification is the benchmark's own string, such as
    ``|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|``.
    The network: a 3x3 stem of 16 channels, three stages of five cells at 16, 32 and 64 channels,
    residual blocks of stride 2 between them, norm, ReLU, global average pooling and a classifier.
    """

    name = "nasbench201"
    size = _SIZE

    def parse(self, spec: Any) -> Cell201:
        """Read a string, or the positions of the six operators in :data:`OPERATORS`."""
        if isinstance(spec, str):
            return _parse_text(spec.removeprefix(f"{self.name}:"))
        cell = tuple(spec) if isinstance(spec, Sequence) else ()
        if len(cell) != len(EDGES) or not all(op in range(len(OPERATORS)) for op in cell):
            raise InvalidSpecError(
                f"nasbench201: {shown(spec)} is neither a cell string nor six operator "
                "positions 0-4"
            )
        return tuple(int(op) for op in cell)

    def text(self, cell: Cell201) -> str:
        """Write the benchmark's own string."""
        a, b, c, d, e, f = (OPERATORS[op] for op in cell)
        return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"

    def live(self, spec: Any) -> Cell201:
        """The cell with every operator on no path from its input to its output set to none.

        The 15,625 cells leave 9,445 so: what some authors call the unique architectures.
        """
        cell = self.parse(spec)
        fed, used = {0}, {3}
        for op, (source, target) in zip(cell, EDGES, strict=True):
            if op != NONE and source in fed:
                fed.add(target)
        for op, (source, target) in reversed(list(zip(cell, EDGES, strict=True))):
            if op != NONE and target in used:
                used.add(source)
        ends = zip(cell, EDGES, strict=True)
        return tuple(op if s in fed and t in used else NONE for op, (s, t) in ends)

    def owns(self, text: str) -> bool:
        """A string of this shape is a cell of this space."""
        return text.startswith("|") and "~0|" in text

    def graphs(
        self, specs: Sequence[Any], num_classes: int | None = None, image_size: int | None = None
    ) -> list[ComputeGraph]:
        """The full networks as canonical graphs; see :meth:`Space.graphs`."""
        classes = num_classes or self.num_classes
        pixels = image_size or self.image_size
        cells = [self.parse(spec) for spec in specs]
        return in_batches(cells, lambda batch: _build(self, batch, classes, pixels))

    def sample(self, n: int, seed: int = 0) -> list[str]:
        """Draw different cells, all equally likely."""
        picked = np.random.default_rng(seed).choice(_SIZE, n, replace=False)
        digits = np.stack(np.unravel_index(picked, (len(OPERATORS),) * len(EDGES)), 1)
        return [self.text(tuple(cell)) for cell in digits.tolist()]

    def enumerate(self) -> Iterator[str]:
        """All 15,625 cells, the last edge changing fastest; not the benchmark's own index."""
        for cell in product(range(len(OPERATORS)), repeat=len(EDGES)):
            yield self.text(cell)

    def neighbours(self, spec: Any) -> list[str]:
        """The 24 cells that differ in the operator of one edge."""
        cell = self.parse(spec)
        return [
            self.text((*cell[:i], op, *cell[i + 1 :]))
            for i in range(len(EDGES))
            for op in range(len(OPERATORS))
            if op != cell[i]
        ]

    def crossover(self, first: Any, second: Any, seed: int = 0) -> str:
        """Every edge's operator taken from one of the two, at random."""
        pairs = zip(self.parse(first), self.parse(second), strict=True)
        rng = np.random.default_rng(seed)
        return self.text(tuple(b if rng.random() < 0.5 else a for a, b in pairs))

    def build(self, net: Net, cell: Cell201, num_classes: int, image_size: int) -> None:
        """The network one operator at a time; see :meth:`Space.build`."""
        x = net.conv_norm(net.input((3, image_size, image_size)), WIDTHS[0], 3)
        for width in WIDTHS:
            if width != WIDTHS[0]:
                y = net.conv_norm(net.act("relu", x), width, 3, stride=2)
                y = net.conv_norm(net.act("relu", y), width, 3)
                x = net.add(y, net.conv(net.pool("avg", x, 2, stride=2, padding=0), width, 1))
            for _ in range(CELLS):
                x = _build_cell(net, x, cell)
        x = net.global_pool(net.act("relu", net.batch_norm(x)))
        net.output(net.linear(x, num_classes))


def _build_cell(net: Net, x: NetValue, cell: Cell201) -> NetValue:
    nodes = [x]
    for target in (1, 2, 3):
        arriving = []
        for op, (source, end) in zip(cell, EDGES, strict=True):
            if end != target:
                continue
            y = nodes[source]
            if op in (CONV1, CONV3):
                y = net.conv_norm(net.act("relu", y), y.shape[0], 1 if op == CONV1 else 3)
            elif op == POOL:
                y = net.pool("avg", y, 3)
            arriving.append(net.scale(y, 0.0) if op == NONE else y)
        nodes.append(net.add(*arriving))
    return nodes[3]


def _parse_text(text: str) -> Cell201:
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise InvalidSpecError(
            f"nasbench201: {shown(text)} does not read |op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
        )
    for name in match.groups():
        if name not in _POSITION:
            known = ", ".join(OPERATORS)
            raise InvalidSpecError(f"nasbench201: unknown operator {shown(name)}; known: {known}")
    return tuple(_POSITION[name] for name in match.groups())


def _build(
    space: NASBench201, cells: Sequence[Cell201], classes: int, pixels: int
) -> list[ComputeGraph]:
    codes = np.array(cells, np.int64)
    extent: Triple = (1, pixels, pixels)
    batch = GraphBatch(len(cells), 3, extent)
    x = batch.node(_conv(batch, 3, WIDTHS[0], _THREE, extent), batch.input)
    for stage, width in enumerate(WIDTHS):
        if stage:
            extent = (1, (extent[1] + 1) // 2, (extent[2] + 1) // 2)
            x = _reduction(batch, x, width, extent)
        for _ in range(CELLS):
            x = _cell(batch, x, codes, width, extent)
    width = WIDTHS[-1]
    x = batch.affine(x, width, extent)
    x = batch.shared("relu", batch.row("relu", channels_in=width, extent=extent), x)
    x = batch.shared("global_avg_pool", batch.row("global_avg_pool", channels_in=width), x)
    params = width * classes + classes
    x = batch.node(batch.row("linear", channels_in=width, channels_out=classes, params=params), x)
    return batch.finish(
        x,
        classes,
        [space.text(cell) for cell in cells],
        source=space.name,
        input_shape=(1, 3, pixels, pixels),
        output_shape=(1, classes),
    )


def _conv(
    batch: GraphBatch,
    channels_in: int,
    channels_out: int,
    kernel: Triple,
    extent: Triple,
    *,
    stride: Triple = _ONE,
    norm: bool = True,
) -> int:
    weights = channels_in * channels_out * kernel[1] * kernel[2]
    return batch.row(
        "conv",
        channels_in=channels_in,
        channels_out=channels_out,
        kernel=kernel,
        stride=stride,
        extent=extent,
        params=weights + (2 * channels_out if norm else 0),
    )


def _reduction(batch: GraphBatch, x: Value, width: int, extent: Triple) -> Value:
    """The residual block that halves the image and doubles the channels to ``width``."""
    half = width // 2
    before: Triple = (1, extent[1] * 2, extent[2] * 2)
    y = batch.shared("relu", batch.row("relu", channels_in=half, extent=before), x)
    y = batch.node(_conv(batch, half, width, _THREE, extent, stride=_TWO), y)
    y = batch.shared("relu", batch.row("relu", channels_in=width, extent=extent), y)
    y = batch.node(_conv(batch, width, width, _THREE, extent), y)
    pool = batch.row("avg_pool", channels_in=half, kernel=_TWO, stride=_TWO, extent=extent)
    z = batch.shared("avg_pool", pool, x)
    z = batch.node(_conv(batch, half, width, _ONE, extent, norm=False), z)
    return batch.join("add", batch.row("add", channels_in=width, extent=extent), [y, z])


def _cell(
    batch: GraphBatch, x: Value, codes: NDArray[np.int64], width: int, extent: Triple
) -> Value:
    relu = batch.row("relu", channels_in=width, extent=extent)
    add = batch.row("add", channels_in=width, extent=extent)
    pool = batch.row("avg_pool", channels_in=width, kernel=_THREE, extent=extent)
    conv1 = _conv(batch, width, width, _ONE, extent)
    conv3 = _conv(batch, width, width, _THREE, extent)

    def along(edge: int, source: Value) -> Value:
        """What an edge's operator makes of its source, skip connections excepted."""
        op = codes[:, edge]
        convolves = (op == CONV1) | (op == CONV3)
        active = batch.shared("relu", relu, source, convolves)
        convolved = batch.node(np.where(op == CONV1, conv1, conv3), active)
        # One of the two is 0 everywhere, so the sum is whichever is there.
        return convolved + batch.shared("avg_pool", pool, source, op == POOL)

    nodes, terms = [x], [[x]]
    for target in (1, 2, 3):
        operands: list[Value] = []
        for edge, (source, end) in enumerate(EDGES):
            if end != target:
                continue
            operands.append(along(edge, nodes[source]))
            skips = codes[:, edge] == SKIP
            # Node 2 is read by node 3 alone: skipping to it makes the two sums one.
            skipped = terms[source] if source == 2 else [nodes[source]]
            operands += [np.where(skips, value, 0) for value in skipped]
        nodes.append(batch.join("add", add, operands))
        terms.append(operands)
    return nodes[3]
