"""Once-for-All over ResNet-50-D: depth, expansion and width of a residual network.

Reference:
    Cai et al., "Once-for-All: Train One Network and Specialize it for Efficient Deployment",
    ICLR 2020; the space is in its published code.
"""

from __future__ import annotations

from typing import Final

from archcast.encoders.spaces._fields import Choices, Field, FieldSpace
from archcast.encoders.spaces._mobile import divisible
from archcast.encoders.spaces._net import Net, Value

#: Channels leaving, stride, and blocks at least of the four stages; each has up to two more.
STAGES: Final = ((256, 1, 2), (512, 2, 2), (1024, 2, 4), (2048, 2, 2))
MORE: Final = 2
#: What a choice of width multiplies channels by.
WIDTHS: Final = (0.65, 0.8, 1.0)


class OFAResNet50(FieldSpace):
    """Depths, expansions of 18 bottlenecks, and widths.

    A specification is a text ``d=2,0,1,2,0;e=0.2,0.25,...;w=0,2,1,0,2,2``, or a mapping of the
    same lists, the supernetwork's own form. ``d`` says whether the stem has its residual block
    (2) or not (0, and 1 means the same), then how many blocks a stage has beyond its least; ``e``
    is bottleneck over output channels, four, four, six and four of them; ``w`` picks a width of
    65, 80 or 100 % for the stem's first half, its end, and the four stages. Bottlenecks beyond a
    stage's depth have no effect, and are set to the first option.

    The network: two or three 3x3 convolutions, max pooling, the stages, global average pooling
    and a classifier. Where a stage begins, the shortcut is average pooling and a 1x1 convolution.
    """

    name = "ofa_resnet50"
    fields = (
        Field("d", (0, 1, 2), 5),
        Field("e", (0.2, 0.25, 0.35), 18),
        Field("w", (0, 1, 2), 6),
    )
    num_classes = 1000
    image_size = 224

    def canonical(self, cell: Choices) -> Choices:
        """Set choices without effect to the first option."""
        (stem, *depths), expansions, widths = cell
        active = [
            layer < least + more
            for (_, _, least), more in zip(STAGES, depths, strict=True)
            for layer in range(least + MORE)
        ]
        return (
            (2 if stem == 2 else 0, *depths),
            tuple(e if there else 0.2 for e, there in zip(expansions, active, strict=True)),
            widths,
        )

    def build(self, net: Net, cell: Choices, num_classes: int, image_size: int) -> None:
        """The network; see :meth:`Space.build`."""
        (stem, *depths), expansions, picked = cell
        widths = [WIDTHS[choice] for choice in picked]
        half = divisible(divisible(64 * widths[0]) // 2)
        x = net.conv_norm(net.input((3, image_size, image_size)), half, 3, "relu", stride=2)
        if stem:
            x = net.add(x, net.conv_norm(x, half, 3, "relu"))
        x = net.conv_norm(x, divisible(64 * widths[1]), 3, "relu")
        x = net.pool("max", x, 3, stride=2)
        at = 0
        for (base, stride, least), more, width in zip(STAGES, depths, widths[2:], strict=True):
            out = divisible(base * width)
            for layer in range(least + more):
                hidden = divisible(round(out * expansions[at + layer]))
                x = _bottleneck(net, x, out, hidden, stride if layer == 0 else 1, first=layer == 0)
            at += least + MORE
        net.output(net.linear(net.global_pool(x), num_classes))


def _bottleneck(net: Net, x: Value, out: int, hidden: int, stride: int, *, first: bool) -> Value:
    y = net.conv_norm(x, hidden, 1, "relu")
    y = net.conv_norm(y, hidden, 3, "relu", stride=stride)
    y = net.conv_norm(y, out, 1)
    if first:
        # The supernetwork pools with a window of one where the stride is one: that is nothing.
        if stride > 1:
            x = net.pool("avg", x, stride, stride=stride, padding=0, ceil=True)
        x = net.conv_norm(x, out, 1)
    return net.act("relu", net.add(x, y))
