"""The size space of NATS-Bench: 32,768 choices of the widths of a fixed network.

Reference:
    Dong et al., "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size",
    IEEE TPAMI 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces._batch import GraphBatch, Triple, in_batches, rows_by
from archcast.encoders.spaces._batch import Value as BatchValue
from archcast.encoders.spaces._fields import Choices, Field, FieldSpace
from archcast.encoders.spaces._net import Net, Value

_Ints = NDArray[np.int64]
#: Cells that halve the picture.
_REDUCTIONS = (1, 3)


class NATSSize(FieldSpace):
    """Five widths, each of 8, 16, ..., 64 channels, written as ``64:64:56:64:24``.

    The network: a 3x3 stem of the first width, one cell of NAS-Bench-201 at each of the five
    widths, the second and fourth of them residual blocks that halve the image, norm, ReLU, global
    average pooling and a classifier.
    """

    name = "nats_size"
    fields = (Field("widths", tuple(range(8, 72, 8)), 5),)

    def parse(self, spec: Any) -> Choices:
        """Read ``64:64:56:64:24``, or what :class:`FieldSpace` reads."""
        if isinstance(spec, str) and "=" not in spec:
            text = spec.strip().removeprefix(f"{self.name}:")
            spec = {"widths": text.split(":")}
        return super().parse(spec)

    def text(self, cell: Choices) -> str:
        """Write ``64:64:56:64:24``."""
        return ":".join(map(str, cell[0]))

    def owns(self, text: str) -> bool:
        """Five numbers of this space, joined by colons."""
        parts = text.split(":")
        options = {str(option) for option in self.fields[0].options}
        return len(parts) == 5 and set(parts) <= options

    def graphs(
        self, specs: Sequence[Any], num_classes: int | None = None, image_size: int | None = None
    ) -> list[ComputeGraph]:
        """The full networks as canonical graphs; see :meth:`Space.graphs`."""
        classes, pixels = num_classes or self.num_classes, image_size or self.image_size
        if pixels % 4:  # an odd picture halved by a convolution and a pooling gives two sizes
            return super().graphs(specs, classes, pixels)
        cells = [self.parse(spec) for spec in specs]
        return in_batches(cells, lambda batch: self._build(batch, classes, pixels))

    def _build(self, cells: Sequence[Choices], classes: int, pixels: int) -> list[ComputeGraph]:
        widths: list[_Ints] = list(np.array([cell[0] for cell in cells], np.int64).T)
        layers = _Layers(len(cells), pixels)
        batch = layers.batch
        x = layers.conv(batch.input, np.full(len(cells), 3), widths[0])
        before = widths[0]
        for place, width in enumerate(widths):
            build = layers.reduction if place in _REDUCTIONS else layers.cell
            x, before = build(x, before, width), width
        # What a cell gives is a sum, so the last norm never merges into a convolution.
        x = batch.node(layers.plain("affine", before), x)
        x = batch.shared("relu", layers.plain("relu", before), x)
        gap = rows_by(lambda n: batch.row("global_avg_pool", channels_in=n), before)
        x = batch.shared("global_avg_pool", gap, x)

        def linear(enter: int) -> int:
            params = enter * classes + classes
            return batch.row("linear", channels_in=enter, channels_out=classes, params=params)

        return batch.finish(
            batch.node(rows_by(linear, before), x),
            classes,
            [self.text(cell) for cell in cells],
            source=self.name,
            input_shape=(1, 3, pixels, pixels),
            output_shape=(1, classes),
        )

    def build(self, net: Net, cell: Choices, num_classes: int, image_size: int) -> None:
        """The network; see :meth:`Space.build`."""
        widths = cell[0]
        x = net.conv_norm(net.input((3, image_size, image_size)), widths[0], 3)
        for place, width in enumerate(widths):
            x = _reduction(net, x, width) if place in _REDUCTIONS else _cell(net, x, width)
        x = net.global_pool(net.act("relu", net.batch_norm(x)))
        net.output(net.linear(x, num_classes))


def _activated_conv(net: Net, x: Value, width: int, kernel: int, stride: int = 1) -> Value:
    return net.conv_norm(net.act("relu", x), width, kernel, stride=stride)


def _reduction(net: Net, x: Value, width: int) -> Value:
    y = _activated_conv(net, _activated_conv(net, x, width, 3, 2), width, 3)
    return net.add(y, net.conv(net.pool("avg", x, 2, stride=2, padding=0), width, 1))


def _cell(net: Net, x: Value, width: int) -> Value:
    """The best CIFAR-10 cell of NAS-Bench-201: all 3x3 convolutions but one skip connection."""
    one = _activated_conv(net, x, width, 3)
    two = net.add(_activated_conv(net, x, width, 3), _activated_conv(net, one, width, 3))
    # A skip between different widths is a 1x1 convolution with norm, without activation.
    skip = x if x.shape[0] == width else net.conv_norm(x, width, 1)
    return net.add(skip, _activated_conv(net, one, width, 3), _activated_conv(net, two, width, 3))


class _Layers:
    """A batch of networks under construction; widths are (graphs,) channels."""

    def __init__(self, count: int, pixels: int) -> None:
        self.extent: Triple = (1, pixels, pixels)
        self.batch = GraphBatch(count, 3, self.extent)

    def plain(self, op: str, width: _Ints) -> _Ints:
        """Rows of an operator that keeps its shape; a norm has two parameters a channel."""
        norms = 2 if op == "affine" else 0

        def row(channels: int) -> int:
            params = norms * channels
            return self.batch.row(op, channels_in=channels, extent=self.extent, params=params)

        return rows_by(row, width)

    def conv(
        self, x: BatchValue, before: _Ints, width: _Ints, kernel: int = 3, stride: int = 1,
        norms: int = 2,
    ) -> BatchValue:  # fmt: skip
        """A convolution with norm."""

        def row(enter: int, leave: int) -> int:
            return self.batch.row(
                "conv",
                channels_in=enter,
                channels_out=leave,
                kernel=(1, kernel, kernel),
                stride=(1, stride, stride),
                extent=self.extent,
                params=enter * leave * kernel**2 + norms * leave,
            )

        return self.batch.node(rows_by(row, before, width), x)

    def activated(self, x: BatchValue, before: _Ints, width: _Ints) -> BatchValue:
        """ReLU and a 3x3 convolution with norm."""
        x = self.batch.shared("relu", self.plain("relu", before), x)
        return self.conv(x, before, width)

    def reduction(self, x: BatchValue, before: _Ints, width: _Ints) -> BatchValue:
        """The residual block that halves the picture."""
        y = self.batch.shared("relu", self.plain("relu", before), x)
        self.extent = (1, self.extent[1] // 2, self.extent[2] // 2)
        y = self.activated(self.conv(y, before, width, stride=2), width, width)
        two = (1, 2, 2)
        pool = rows_by(
            lambda n: self.batch.row(
                "avg_pool", channels_in=n, kernel=two, stride=two, extent=self.extent
            ),
            before,
        )
        z = self.conv(self.batch.shared("avg_pool", pool, x), before, width, 1, norms=0)
        return self.batch.join("add", self.plain("add", width), [y, z])

    def cell(self, x: BatchValue, before: _Ints, width: _Ints) -> BatchValue:
        """The cell; see :func:`_cell`."""
        add = self.plain("add", width)
        one = self.activated(x, before, width)
        terms = [self.activated(x, before, width), self.activated(one, width, width)]
        two = self.batch.join("add", add, terms)
        brought = self.conv(np.where(before == width, 0, x), before, width, 1)
        skip = np.where(before == width, x, brought)
        ends = [self.activated(one, width, width), self.activated(two, width, width)]
        return self.batch.join("add", add, [skip, *ends])
