"""The ProxylessNAS space: kernel and expansion of 21 inverted residuals, some left out.

Reference:
    Cai et al., "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware",
    ICLR 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from archcast.encoders.spaces._fields import Choices, Field, FieldSpace
from archcast.encoders.spaces._mobile import inverted_residual
from archcast.encoders.spaces._net import Net

#: Channels, stride and layers of the six stages.
STAGES: Final = ((24, 2, 4), (40, 2, 4), (80, 2, 4), (96, 1, 4), (192, 2, 4), (320, 1, 1))
LAYERS: Final = sum(layers for _, _, layers in STAGES)
#: Kernel and expansion a layer may have.
OPERATORS: Final = tuple(f"{k}x{k}_MBConv{e}" for k in (3, 5, 7) for e in (3, 6))
#: No layer at all, where it would keep the shape.
ZERO: Final = "Zero"


def _fields() -> tuple[Field, ...]:
    names: list[Field] = []
    for _, _, layers in STAGES:
        for layer in range(layers):
            options = OPERATORS if layer == 0 else (*OPERATORS, ZERO)
            names.append(Field(f"layer{len(names)}", options))
    return tuple(names)


class ProxylessNAS(FieldSpace):
    """One of six inverted residuals for each of 21 layers; all but a stage's first may be left out.

    A specification is 21 operators joined by commas, such as
    ``5x5_MBConv3,3x3_MBConv3,Zero,Zero,7x7_MBConv3,...``, a list of them, or a mapping from
    ``layer0`` to ``layer20``. The network is that of the published search, at a width of 1.0: a
    3x3 stem of 32 channels and stride 2, a depthwise separable block to 16, the layers, a 1x1
    convolution to 1,280 channels, global average pooling and a classifier, with ReLU6 throughout.
    The networks the authors publish for single devices have widths of their own, and are not of
    this space; MnasNet-B1 and Single-Path NAS's network are, but for ReLU instead of ReLU6.
    """

    name = "proxylessnas"
    fields = _fields()
    num_classes = 1000
    image_size = 224
    #: The activation.
    act: ClassVar[str] = "relu6"

    def parse(self, spec: Any) -> Choices:
        """Read a text, a list of operators, or what :class:`FieldSpace` reads."""
        if isinstance(spec, str) and "=" not in spec:
            spec = spec.strip().removeprefix(f"{self.name}:").split(",")
        if isinstance(spec, Sequence) and not isinstance(spec, str):
            # FieldSpace takes a single value for a list of one.
            spec = tuple(spec)
        return super().parse(spec)

    def text(self, cell: Choices) -> str:
        """Write the operators, joined by commas."""
        return ",".join(operator for (operator,) in cell)

    def owns(self, text: str) -> bool:
        """21 operators of this space."""
        parts = text.split(",")
        return len(parts) == LAYERS and set(parts) <= {*OPERATORS, ZERO}

    def build(self, net: Net, cell: Choices, num_classes: int, image_size: int) -> None:
        """The network; see :meth:`Space.build`."""
        x = net.conv_norm(net.input((3, image_size, image_size)), 32, 3, self.act, stride=2)
        x = inverted_residual(net, x, 16, 3, self.act, hidden=32, expand=False)
        operators = iter(operator for (operator,) in cell)
        for width, first_stride, layers in STAGES:
            for layer in range(layers):
                operator = next(operators)
                if operator == ZERO:
                    continue
                kernel, expansion = int(operator[0]), int(operator[-1])
                x = inverted_residual(
                    net,
                    x,
                    width,
                    kernel,
                    self.act,
                    hidden=x.shape[0] * expansion,
                    stride=first_stride if layer == 0 else 1,
                )
        x = net.global_pool(net.conv_norm(x, 1280, 1, self.act))
        net.output(net.linear(x, num_classes))
