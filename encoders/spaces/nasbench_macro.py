"""NAS-Bench-Macro: 6,561 networks of eight layers, each one of three blocks.

Reference:
    Su et al., "Prioritized Architecture Sampling with Monto-Carlo Tree Search", CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces._batch import GraphBatch, Triple, in_batches
from archcast.encoders.spaces._batch import Value as Nodes
from archcast.encoders.spaces._fields import Choices, Field, FieldSpace
from archcast.encoders.spaces._net import Net, Value

#: Layers of the three stages; the first of a stage halves the image and doubles the channels.
STAGES: Final = (2, 3, 3)
#: Channels of the stem and of the last convolution.
STEM: Final = 32
HEAD: Final = 1280


class _Block(NamedTuple):
    expansion: int
    kernel: int


#: The blocks in the order of the benchmark's digits; 0 is the identity.
_BLOCKS: Final = (None, _Block(3, 3), _Block(6, 5))


class NASBenchMacro(FieldSpace):
    """Eight digits, such as ``02112201``: 0 identity, 1 MB3 3x3, 2 MB6 5x5.

    MBe k x k is the inverted residual of MobileNetV2 with expansion e and ReLU. Where the image is
    halved, the identity is a 1x1 convolution of stride 2 with batch norm.

    The network: a 3x3 stem of 32 channels, stages of 2, 3 and 3 layers at 64, 128 and 256
    channels, a 1x1 convolution to 1,280 channels, global average pooling and a classifier.
    Identities elsewhere leave no trace, so the 6,561 texts stand for 3,969 different networks.
    """

    name = "nasbench_macro"
    fields = (Field("layers", (0, 1, 2), sum(STAGES)),)

    def parse(self, spec: Any) -> Choices:
        """Read eight digits, or what :class:`FieldSpace` reads."""
        if isinstance(spec, str) and "=" not in spec:
            spec = {"layers": list(spec.strip().removeprefix(f"{self.name}:"))}
        return super().parse(spec)

    def text(self, cell: Choices) -> str:
        """Write eight digits."""
        return "".join(map(str, cell[0]))

    def owns(self, text: str) -> bool:
        """Eight digits of this space."""
        return len(text) == self.fields[0].length and set(text) <= set("012")

    def build(self, net: Net, cell: Choices, num_classes: int, image_size: int) -> None:
        """The network; see :meth:`Space.build`."""
        x = net.conv_norm(net.input((3, image_size, image_size)), STEM, 3, "relu")
        for choice, first in zip(cell[0], _firsts(), strict=True):
            stride = 2 if first else 1
            x = _layer(net, x, _BLOCKS[choice], x.shape[0] * stride, stride)
        x = net.global_pool(net.conv_norm(x, HEAD, 1, "relu"))
        net.output(net.linear(x, num_classes))

    def graphs(
        self, specs: Sequence[Any], num_classes: int | None = None, image_size: int | None = None
    ) -> list[ComputeGraph]:
        """The full networks as canonical graphs; see :meth:`Space.graphs`."""
        classes, pixels = num_classes or self.num_classes, image_size or self.image_size
        cells = [self.parse(spec) for spec in specs]
        return in_batches(cells, lambda batch: _Batched(self, batch, pixels).graphs(classes))


def _firsts() -> list[bool]:
    """For each layer, whether it is the first of its stage."""
    return [place == 0 for layers in STAGES for place in range(layers)]


def _layer(net: Net, x: Value, block: _Block | None, width: int, stride: int) -> Value:
    if block is None:
        return x if stride == 1 else net.conv_norm(x, width, 1, stride=stride)
    hidden = block.expansion * x.shape[0]
    y = net.conv_norm(x, hidden, 1, "relu")
    y = net.conv_norm(y, hidden, block.kernel, "relu", stride=stride, groups=hidden)
    y = net.conv_norm(y, width, 1)
    return y if stride != 1 else net.add(y, x)


class _Batched:
    """All networks of a batch, one operator a step."""

    def __init__(self, space: NASBenchMacro, cells: Sequence[Choices], pixels: int) -> None:
        self._space, self._cells, self._pixels = space, cells, pixels
        self._extent: Triple = (1, pixels, pixels)
        self._batch = GraphBatch(len(cells), 3, self._extent)
        self._layers = np.array([cell[0] for cell in cells], np.int64)

    def graphs(self, classes: int) -> list[ComputeGraph]:
        """The canonical graphs."""
        batch, every = self._batch, np.ones(len(self._cells), np.bool_)
        x = self._conv(batch.input, 3, STEM, every, kernel=3, relu=True)
        width = STEM
        for layer, first in enumerate(_firsts()):
            before, extent = width, self._extent
            if first:
                extent = (1, (extent[1] + 1) // 2, (extent[2] + 1) // 2)
                width *= 2
            x = self._choices(x, self._layers[:, layer], before, width, extent)
            self._extent = extent
        x = self._conv(x, width, HEAD, every, relu=True)
        x = batch.node(batch.row("global_avg_pool", channels_in=HEAD), x)
        params = HEAD * classes + classes
        row = batch.row("linear", channels_in=HEAD, channels_out=classes, params=params)
        return batch.finish(
            batch.node(row, x),
            classes,
            [self._space.text(cell) for cell in self._cells],
            source=self._space.name,
            input_shape=(1, 3, self._pixels, self._pixels),
            output_shape=(1, classes),
        )

    def _choices(
        self, x: Nodes, chosen: NDArray[np.int64], before: int, width: int, extent: Triple
    ) -> Nodes:
        """One layer; ``before`` and ``width`` are the channels, ``extent`` leaves it."""
        stride = 1 if before == width else 2
        value = np.where(chosen == 0, x, 0)
        if stride == 2:
            value = self._conv(x, before, width, chosen == 0, stride=stride, extent=extent)
        for code, block in enumerate(_BLOCKS):
            if block is None:
                continue
            there, hidden = chosen == code, block.expansion * before
            y = self._conv(x, before, hidden, there, relu=True)
            y = self._conv(
                y, hidden, hidden, there, kernel=block.kernel, stride=stride, extent=extent,
                groups=hidden, relu=True,
            )  # fmt: skip
            y = self._conv(y, hidden, width, there, extent=extent)
            if stride == 1:
                row = self._batch.row("add", channels_in=width, extent=extent)
                y = self._batch.join("add", row, [y, np.where(there, x, 0)])
            value = value + y
        return value

    def _conv(
        self,
        x: Nodes,
        enter: int,
        leave: int,
        there: NDArray[np.bool_],
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        extent: Triple | None = None,
        relu: bool = False,
    ) -> Nodes:
        """A convolution with its norm where ``there``, and a ReLU if asked for."""
        extent = extent or self._extent
        row = self._batch.row(
            "conv",
            channels_in=enter,
            channels_out=leave,
            kernel=(1, kernel, kernel),
            stride=(1, stride, stride),
            groups=groups,
            extent=extent,
            params=leave * (enter // groups) * kernel**2 + 2 * leave,
        )
        x = self._batch.node(row, x, there)
        if relu:
            x = self._batch.node(self._batch.row("relu", channels_in=leave, extent=extent), x)
        return x
