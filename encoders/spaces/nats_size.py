"""The size space of NATS-Bench: 32,768 choices of the widths of a fixed network.

Reference:
    Dong et al., "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size",
    IEEE TPAMI 2021.
"""

from __future__ import annotations

from typing import Any

from archcast.encoders.spaces._fields import Choices, Field, FieldSpace
from archcast.encoders.spaces._net import Net, Value


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

    def build(self, net: Net, cell: Choices, num_classes: int, image_size: int) -> None:
        """The network; see :meth:`Space.build`."""
        widths = cell[0]
        x = net.conv_norm(net.input((3, image_size, image_size)), widths[0], 3)
        for place, width in enumerate(widths):
            x = _reduction(net, x, width) if place in (1, 3) else _cell(net, x, width)
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
