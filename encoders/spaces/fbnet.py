"""The FBNet space: one of nine blocks for each of 22 layers.

Reference:
    Wu et al., "FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural
    Architecture Search", CVPR 2019; the network for small images is that of Li et al.,
    "HW-NAS-Bench: Hardware-Aware Neural Architecture Search Benchmark", ICLR 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from archcast.encoders.spaces._fields import Choices, Field, FieldSpace
from archcast.encoders.spaces._mobile import inverted_residual
from archcast.encoders.spaces._net import Net, Value

#: Channels, stride and layers of the seven stages.
STAGES: Final = (
    (16, 1, 1),
    (24, 2, 4),
    (32, 2, 4),
    (64, 2, 4),
    (112, 1, 4),
    (184, 2, 4),
    (352, 1, 1),
)
#: Kernel, expansion and groups of a block.
BLOCKS: Final = {
    f"k{kernel}_e{expansion}{'_g2' if groups > 1 else ''}": (kernel, expansion, groups)
    for kernel in (3, 5)
    for expansion, groups in ((1, 1), (1, 2), (3, 1), (6, 1))
}
SKIP: Final = "skip"
#: Blocks in the order of HW-NAS-Bench, whose tables hold positions.
OPERATORS: Final = (*BLOCKS, SKIP)
LAYERS: Final = sum(layers for _, _, layers in STAGES)
#: Images up to this size are what the smaller strides and the narrower head are for.
SMALL: Final = 64


class FBNet(FieldSpace):
    """One of eight inverted residuals, or none, for each of 22 layers.

    A specification is 22 names joined by commas, such as ``k3_e1,k5_e6,skip,k3_e1_g2,...``, or
    a list of names or of their positions 0 to 8 in HW-NAS-Bench (``skip`` is 8). The network:
    a 3x3 stem of 16 channels, the layers, a 1x1 convolution, global average pooling and a
    classifier, with ReLU throughout. Where a layer changes the shape, ``skip`` is a strided 1x1
    convolution with norm and ReLU; ``g2`` blocks split both 1x1 convolutions into two groups.

    For images of up to 64 pixels it is HW-NAS-Bench's network for CIFAR: neither the stem nor the
    second stage halves the image, and the head has 1,504 channels instead of 1,984.
    """

    name = "fbnet"
    fields = (Field("ops", OPERATORS, LAYERS),)
    num_classes = 100
    image_size = 32

    def parse(self, spec: Any) -> Choices:
        """Read a text, a list of names or positions, or what :class:`FieldSpace` reads."""
        if isinstance(spec, str) and "=" not in spec:
            spec = {"ops": spec.strip().removeprefix(f"{self.name}:").split(",")}
        elif isinstance(spec, Sequence) and not isinstance(spec, str) and len(spec) == LAYERS:
            spec = {"ops": [_named(value) for value in spec]}
        return super().parse(spec)

    def text(self, cell: Choices) -> str:
        """Write the names, joined by commas."""
        return ",".join(cell[0])

    def owns(self, text: str) -> bool:
        """22 names of this space."""
        parts = text.split(",")
        return len(parts) == LAYERS and set(parts) <= set(OPERATORS)

    def build(self, net: Net, cell: Choices, num_classes: int, image_size: int) -> None:
        """The network; see :meth:`Space.build`."""
        small = image_size <= SMALL
        x = net.input((3, image_size, image_size))
        x = net.conv_norm(x, STAGES[0][0], 3, "relu", stride=1 if small else 2)
        names = iter(cell[0])
        for stage, (width, first_stride, layers) in enumerate(STAGES):
            for layer in range(layers):
                stride = first_stride if layer == 0 and not (small and stage == 1) else 1
                x = _layer(net, x, next(names), width, stride)
        x = net.global_pool(net.conv_norm(x, 1504 if small else 1984, 1, "relu"))
        net.output(net.linear(x, num_classes))


def _layer(net: Net, x: Value, name: str, width: int, stride: int) -> Value:
    enter = x.shape[0]
    if name == SKIP:
        keeps = stride == 1 and enter == width
        return x if keeps else net.conv_norm(x, width, 1, "relu", stride=stride)
    kernel, expansion, groups = BLOCKS[name]
    hidden = enter * expansion
    return inverted_residual(
        net, x, width, kernel, "relu", hidden=hidden, stride=stride, groups=groups
    )


def _named(value: Any) -> Any:
    """A position as its name; anything else as it is, for the parser to judge."""
    known = isinstance(value, int) and not isinstance(value, bool) and value in range(9)
    return OPERATORS[value] if known else value
