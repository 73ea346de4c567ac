"""The MnasNet space as Accel-NASBench has it: seven stages of inverted residuals.

Reference:
    Ahmad et al., "Accel-NASBench: Sustainable Benchmarking for Accelerator-Aware NAS", DAC 2024;
    Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile", CVPR 2019.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces._fields import Choices, Field, FieldSpace
from archcast.encoders.spaces._mobile import inverted_residual
from archcast.encoders.spaces._net import Net

#: Channels leaving, and stride, of the seven stages.
WIDTHS: Final = (16, 24, 40, 80, 112, 192, 320)
STRIDES: Final = (1, 2, 2, 2, 1, 2, 1)
#: Choices of a stage: expansion, kernel, layers, squeeze-and-excite.
CHOICES: Final = ("e", "k", "l", "se")
_STAGE: Final = re.compile(r"e(\d+)k(\d+)l(\d+)(se)?", re.ASCII)


def _fields() -> tuple[Field, ...]:
    found = []
    for stage in range(len(WIDTHS)):
        # The sixth stage alone has up to four layers, so that EfficientNet-B0 is in the space.
        layers = (1, 2, 3, 4) if stage == 5 else (1, 2, 3)
        options = ((1, 4, 6), (3, 5), layers, (False, True))
        found += [Field(f"block{stage}_{c}", o) for c, o in zip(CHOICES, options, strict=True)]
    return tuple(found)


class MnasNet(FieldSpace):
    """Expansion, kernel, layers and squeeze-and-excite for each of seven stages.

    A specification is a text ``e6k3l1-e4k5l2se-...`` of seven stages, or the benchmark's mapping
    ``{"block0_e": 6, "block0_k": 3, "block0_l": 1, "block0_se": False, ...}``. The network: a 3x3
    stem of 32 channels and stride 2, the stages, a 1x1 convolution to 1,280 channels, global
    average pooling and a classifier. A squeeze-and-excite block has a quarter of the channels that
    enter the whole residual block.

    Activations are ReLU, as in the published scripts that trained random networks and timed them;
    other versions of that code have SiLU, and no figure of the table tells the two apart. With
    SiLU as :attr:`act` of a subclass, EfficientNet-B0 is
    ``e1k3l1se-e6k3l2se-e6k5l2se-e6k3l3se-e6k5l3se-e6k5l4se-e6k3l1se``.
    """

    name = "mnasnet"
    fields = _fields()
    num_classes = 1000
    image_size = 224
    #: The activation, gates of squeeze-and-excite blocks aside.
    act: ClassVar[str] = "relu"

    def parse(self, spec: Any) -> Choices:
        """Read a text of seven stages, the benchmark's mapping, or the parsed form."""
        if isinstance(spec, str):
            spec = self._stages(spec.strip().removeprefix(f"{self.name}:"))
        elif isinstance(spec, Mapping):
            spec = dict(spec)
        return super().parse(spec)

    def text(self, cell: Choices) -> str:
        """Write the seven stages."""
        values = iter(value for (value,) in cell)
        stages = zip(values, values, values, values, strict=True)
        return "-".join(f"e{e}k{k}l{n}{'se' if se else ''}" for e, k, n, se in stages)

    def owns(self, text: str) -> bool:
        """Seven stages in this form."""
        stages = text.split("-")
        return len(stages) == len(WIDTHS) and all(map(_STAGE.fullmatch, stages))

    def build(self, net: Net, cell: Choices, num_classes: int, image_size: int) -> None:
        """The network; see :meth:`Space.build`."""
        values = iter(value for (value,) in cell)
        x = net.conv_norm(net.input((3, image_size, image_size)), 32, 3, self.act, stride=2)
        for width, first_stride in zip(WIDTHS, STRIDES, strict=True):
            expansion, kernel, layers, squeeze = (next(values) for _ in CHOICES)
            for layer in range(layers):
                enter = x.shape[0]
                x = inverted_residual(
                    net,
                    x,
                    width,
                    kernel,
                    self.act,
                    hidden=enter * expansion,
                    stride=first_stride if layer == 0 else 1,
                    squeeze=enter // 4 if squeeze else 0,
                    squeeze_act=self.act,
                    expand=expansion > 1,
                )
        x = net.global_pool(net.conv_norm(x, 4 * WIDTHS[-1], 1, self.act))
        net.output(net.linear(x, num_classes))

    def _stages(self, text: str) -> dict[str, Any]:
        stages = text.split("-")
        if len(stages) != len(WIDTHS):
            raise InvalidSpecError(
                f"{self.name}: {shown(text)} does not read e6k3l1-e4k5l2se-... with seven stages"
            )
        found: dict[str, Any] = {}
        for place, stage in enumerate(stages):
            match = _STAGE.fullmatch(stage)
            if match is None:
                raise InvalidSpecError(f"{self.name}: stage {shown(stage)} does not read e6k3l1se")
            values = (*match.groups()[:3], match.group(4) is not None)
            found |= {f"block{place}_{c}": v for c, v in zip(CHOICES, values, strict=True)}
        return found
