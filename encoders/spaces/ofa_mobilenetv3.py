"""Once-for-All over MobileNetV3: subnetworks of one trained supernetwork.

Reference:
    Cai et al., "Once-for-All: Train One Network and Specialize it for Efficient Deployment",
    ICLR 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces._fields import Choices, Field, FieldSpace
from archcast.encoders.spaces._mobile import divisible, inverted_residual
from archcast.encoders.spaces._net import Net

#: Layers of a stage at most.
DEPTH: Final = 4
#: Channels leaving, stride, activation and squeeze-and-excite of the five stages.
STAGES: Final = (
    (24, 2, "relu", False),
    (40, 2, "relu", True),
    (80, 2, "hard_swish", False),
    (112, 1, "hard_swish", True),
    (160, 2, "hard_swish", True),
)


class OFAMobileNetV3(FieldSpace):
    """Kernel and expansion for each of 20 layers, and how many of each stage's four there are.

    A specification is a text ``ks=3,5,...;e=3,4,...;d=2,3,4,4,2``, or a mapping such as
    ``{"ks": [...], "e": [...], "d": [...]}``, the supernetwork's own form; what others add to it
    (``"r": [224]`` for the resolution, ``"wid": None``) is read too, but another resolution than
    :attr:`image_size` is asked for where graphs are. Layers beyond a stage's depth have no effect,
    and are set to the first option.

    The network: a 3x3 stem of 16 channels and stride 2, a depthwise separable residual block, the
    five stages, a 1x1 convolution to 960 channels, global average pooling, a 1x1 convolution to
    1,280 channels without norm or bias, and a classifier.
    """

    name = "ofa_mobilenetv3"
    fields = (Field("ks", (3, 5, 7), 20), Field("e", (3, 4, 6), 20), Field("d", (2, 3, 4), 5))
    num_classes = 1000
    image_size = 224
    #: What all widths are multiplied by.
    width: ClassVar[float] = 1.0

    def parse(self, spec: Any) -> Choices:
        """Read a text, the supernetwork's mapping, or the parsed form; see the class."""
        if isinstance(spec, Mapping):
            extra = {key: spec[key] for key in ("r", "wid") if key in spec}
            if extra.get("wid") is not None:
                raise InvalidSpecError(
                    f"{self.name}: wid cannot be {shown(extra['wid'])}; it is None"
                )
            if extra.get("r", self.image_size) not in (self.image_size, [self.image_size]):
                raise InvalidSpecError(
                    f"{self.name}: r is {shown(extra['r'])}; leave it out, and hand the resolution "
                    "over as image_size"
                )
            spec = {key: value for key, value in spec.items() if key not in extra}
        return super().parse(spec)

    def canonical(self, cell: Choices) -> Choices:
        """Set the choices of layers beyond a stage's depth to the first option."""
        kernels, expansions, depths = cell
        active = [layer < depth for depth in depths for layer in range(DEPTH)]
        return (
            tuple(k if there else 3 for k, there in zip(kernels, active, strict=True)),
            tuple(e if there else 3 for e, there in zip(expansions, active, strict=True)),
            depths,
        )

    def build(self, net: Net, cell: Choices, num_classes: int, image_size: int) -> None:
        """The network; see :meth:`Space.build`."""
        kernels, expansions, depths = cell
        stem = self._width(16)
        x = net.input((3, image_size, image_size))
        x = net.conv_norm(x, stem, 3, "hard_swish", stride=2)
        x = inverted_residual(net, x, stem, 3, "relu", hidden=stem, expand=False)
        for stage, (width, first_stride, act, squeeze) in enumerate(STAGES):
            for layer in range(depths[stage]):
                at = stage * DEPTH + layer
                hidden = divisible(x.shape[0] * expansions[at])
                x = inverted_residual(
                    net,
                    x,
                    self._width(width),
                    kernels[at],
                    act,
                    hidden=hidden,
                    stride=first_stride if layer == 0 else 1,
                    squeeze=divisible(hidden // 4) if squeeze else 0,
                    gate="hard_sigmoid",
                )
        x = net.global_pool(net.conv_norm(x, self._width(960), 1, "hard_swish"))
        x = net.conv(net.reshape(x, x.shape[0], 1, 1), self._width(1280), 1)
        x = net.flatten(net.act("hard_swish", x))
        net.output(net.linear(x, num_classes))

    def _width(self, base: int) -> int:
        return divisible(base * self.width)


class OFAMobileNetV3Wide(OFAMobileNetV3):
    """The same supernetwork with all widths times 1.2."""

    name = "ofa_mobilenetv3_w12"
    width = 1.2

    def owns(self, text: str) -> bool:
        """Texts without prefix are taken for the narrower supernetwork's."""
        del text
        return False
