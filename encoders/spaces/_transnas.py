"""What the two spaces of TransNAS-Bench-101 share: stem, tasks, and the tasks' decoders.

Reference:
    Duan et al., "TransNAS-Bench-101: Improving Transferability and Generalizability of Cross-Task
    Neural Architecture Search", CVPR 2021.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces._batch import Value as BatchValue
from archcast.encoders.spaces._batch import in_batches
from archcast.encoders.spaces._fields import Choices, FieldSpace
from archcast.encoders.spaces._net import Net, Value
from archcast.encoders.spaces._transnas_batch import Encoders

#: Channels that leave the stem.
STEM: Final = 64
#: Pieces of the picture in the jigsaw task; one encoder looks at each of them.
TILES: Final = 9
#: Layers of the image decoder but the last, by channels.
_IMAGE_LAYERS: Final = (1024, 1024, 512, 512, 256, 128, 64, 64, 32, 32, 16, 32, 16)


class Head(NamedTuple):
    """What a task puts behind the encoder.

    Attributes:
        kind: a vector of scores or numbers, the same of nine tiles, a class for every pixel, or
            a picture.
        outputs: classes, numbers or channels.
        pixels: height and width of the input, or of a tile.
    """

    kind: Literal["vector", "tiles", "segmentation", "image"]
    outputs: int
    pixels: int = 256


#: Task, as the benchmark calls it -> its head.
HEADS: Final[dict[str, Head]] = {
    "class_object": Head("vector", 75),
    "class_scene": Head("vector", 47),
    "room_layout": Head("vector", 9),
    "jigsaw": Head("tiles", 1000, 64),
    "segmentsemantic": Head("segmentation", 17),
    "normal": Head("image", 3),
    "autoencoder": Head("image", 3),
}


class Layer(NamedTuple):
    """A 3x3 convolution of a decoder, with norm and leaky ReLU.

    Attributes:
        out: channels leaving.
        doubles: whether it is a transposed convolution that doubles height and width.
    """

    out: int
    doubles: bool


def decoder(kind: str, halvings: int) -> list[Layer]:
    """The layers of a decoder but the last.

    Args:
        kind: ``segmentation`` or ``image``.
        halvings: how often the encoder halved the picture; the decoder doubles it as often.
    """
    if kind == "segmentation":
        return [Layer(1024 >> i, i > 6 - halvings) for i in range(6)] + [Layer(32, True)]
    # Every second layer may double; those next to the output do first.
    return [
        Layer(out, i % 2 == 0 and i // 2 >= 7 - halvings) for i, out in enumerate(_IMAGE_LAYERS)
    ]


class TransNAS(FieldSpace):
    """A stem that quarters the picture, modules of two blocks, and one task's decoder.

    A module is a digit: 1 keeps channels and size, 2 doubles the channels, 3 halves height and
    width, 4 does both.

    Args:
        task: which decoder the networks end with, and what they look at: ``class_object`` (75
            classes), ``class_scene`` (47), ``room_layout`` (9 numbers), ``jigsaw`` (which of 1,000
            orders nine tiles of 64x64 have), ``segmentsemantic`` (17 classes a pixel), ``normal``
            and ``autoencoder`` (pictures). For these two it is the generator alone, not the
            discriminator it is trained against.

    Raises:
        InvalidSpecError: no such task.
    """

    #: How many halvings there can be, the stem's two included.
    most_halvings: int

    def __init__(self, task: str = "class_object") -> None:
        if task not in HEADS:
            known = ", ".join(HEADS)
            raise InvalidSpecError(f"{self.name}: no task {shown(task)}; tasks are {known}")
        self.task = task
        self.num_classes = HEADS[task].outputs
        self.image_size = HEADS[task].pixels

    def for_task(self, task: str) -> Self:
        """The same space with the decoder of another task; see the class."""
        return type(self)(task)

    @abstractmethod
    def modules(self, cell: Choices) -> Sequence[int]:
        """The digits of the modules."""

    @abstractmethod
    def block(self, net: Net, x: Value, cell: Choices, width: int, stride: int) -> Value:
        """One block of a module."""

    @abstractmethod
    def encode(
        self, encoders: Encoders, x: BatchValue, cells: Sequence[Choices]
    ) -> tuple[BatchValue, NDArray[np.int64], NDArray[np.int64]]:
        """All modules of a batch of networks.

        Returns:
            What leaves, its channels, and its height.
        """

    def build(self, net: Net, cell: Choices, num_classes: int, image_size: int) -> None:
        """The network; see :meth:`Space.build`."""
        head = HEADS[self.task]
        tiles = (TILES,) if head.kind == "tiles" else ()
        x = net.input((3, *tiles, image_size, image_size))
        x = relu_conv(net, x, STEM // 2, 3, 2, active=False)
        x = relu_conv(net, x, STEM, 3, 2)
        halvings, width = 2, STEM
        for digit in self.modules(cell):
            width *= 2 if digit in (2, 4) else 1
            stride = 2 if digit in (3, 4) else 1
            halvings += stride - 1
            x = self.block(net, x, cell, width, stride)
            x = self.block(net, x, cell, width, 1)
        net.output(_decode(net, x, head.kind, num_classes, halvings))

    def graphs(
        self, specs: Sequence[object], num_classes: int | None = None, image_size: int | None = None
    ) -> list[ComputeGraph]:
        """The full networks as canonical graphs; see :meth:`Space.graphs`."""
        outputs, pixels = num_classes or self.num_classes, image_size or self.image_size
        if pixels % 2**self.most_halvings:  # sizes that do not halve evenly differ a network
            return super().graphs(specs, outputs, pixels)
        cells = [self.parse(spec) for spec in specs]
        return in_batches(cells, lambda batch: self._build(batch, outputs, pixels))

    def _build(self, cells: Sequence[Choices], outputs: int, pixels: int) -> list[ComputeGraph]:
        kind = HEADS[self.task].kind
        depth = TILES if kind == "tiles" else 1
        encoders = Encoders(len(cells), depth, pixels)
        x = encoders.stem(STEM)
        x, widths, sizes = self.encode(encoders, x, cells)
        if kind in ("vector", "tiles"):
            x = encoders.vector(x, widths, sizes, outputs)
        else:
            halvings = np.log2(pixels / sizes).astype(np.int64)
            plans = {n: decoder(kind, n) for n in np.unique(halvings).tolist()}
            x = encoders.picture(x, widths, halvings, plans, outputs)
            if kind == "image":
                x = encoders.unary("tanh", x, outputs, pixels)
        flat = kind in ("vector", "tiles")
        tiles = (TILES,) if kind == "tiles" else ()
        return encoders.batch.finish(
            x,
            outputs,
            [self.text(cell) for cell in cells],
            extent=(1, 1, 1) if flat else (1, pixels, pixels),
            source=self.name,
            input_shape=(1, 3, *tiles, pixels, pixels),
            output_shape=(1, outputs) if flat else (1, outputs, pixels, pixels),
        )


def each(x: Value, number: int) -> tuple[int, ...]:
    """A number for height and width; tiles, where there are any, are not mixed."""
    return (number, number) if len(x.shape) == 3 else (1, number, number)


def relu_conv(
    net: Net, x: Value, out: int, kernel: int, stride: int, *, active: bool = True
) -> Value:
    """ReLU, unless it is not wanted, convolution and batch norm."""
    x = net.act("relu", x) if active else x
    return net.batch_norm(net.conv(x, out, each(x, kernel), stride=each(x, stride)))


def _decode(net: Net, x: Value, kind: str, outputs: int, halvings: int) -> Value:
    if kind == "vector":
        return net.linear(net.global_pool(x), outputs)
    if kind == "tiles":
        window = each(x, x.shape[-1])
        x = net.pool("avg", x, window, stride=window, padding=0)
        return net.linear(net.flatten(x), outputs)
    for layer in decoder(kind, halvings):
        if layer.doubles:
            x = net.conv_transpose(
                x, layer.out, 3, stride=2, padding=1, output_padding=1, bias=True
            )
        else:
            x = net.conv(x, layer.out, 3, bias=True)
        x = net.act("leaky_relu", net.batch_norm(x), slope=0.2)
    x = net.conv(x, outputs, 3, bias=True)
    return net.act("tanh", x) if kind == "image" else x
