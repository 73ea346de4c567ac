"""NAS-Bench-MR: multi-resolution networks in the manner of HRNet, for several vision tasks.

Reference:
    Ding et al., "Learning Versatile Neural Architectures by Propagating Network Codes", ICLR 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces._fields import Choices, Field, FieldSpace
from archcast.encoders.spaces._net import Net, Value

#: Branches of the four stages.
STAGES: Final = (1, 2, 3, 4)
_WIDTHS: Final = tuple(range(8, 136, 8))
_COUNTS: Final = (1, 2, 3, 4)
#: How many numbers each part of a text has: stem, four stages, and the last width.
_PARTS: Final = (2, 4, 6, 8, 10, 1)


class NASBenchMR(FieldSpace):
    """Codes of 27 numbers: widths, and modules, blocks and widths of every branch of four stages.

    A specification is the benchmark's own text, such as
    ``96_128-1_1_1_48-1_2_1_1_128_8-1_3_1_1_1_128_128_120-4_4_4_4_4_4_128_128_128_128-64``: two
    stem widths, four stages and a last width; a stage has the number of its modules, that of its
    branches, the residual blocks of each branch and the width of each. Read are also the 27
    numbers as a sequence (the data's ``embedding``, which leaves the numbers of branches out), a
    row of the data, or what :class:`FieldSpace` reads.

    The network, after the published code: two 3x3 convolutions of stride 2, then modules at
    resolutions from 1/4 to 1/32, each of which first sums what its branches and their neighbours
    have (1x1 and enlarged, 3x3, or 3x3 of stride 2, with norm and ReLU) and then runs residual
    blocks in every branch; a new branch grows from the coarsest one. All branches are brought to
    one resolution, joined and mapped to the last width by a 1x1 convolution; a further one makes
    the outputs. For classification that resolution is the coarsest and the mean over all
    positions is classified; for segmentation it is the finest and every position is.

    Parameters and MACs of the benchmark's tables are those of the network for 50 classes of
    128x128 images, on all tasks. The networks for video are not public and not built here.

    Args:
        task: ``classification`` or ``segmentation``.

    Raises:
        InvalidSpecError: another task.
    """

    name = "nasbench_mr"
    fields = (
        Field("stem", _WIDTHS, 2),
        Field("modules", _COUNTS, 4),
        Field("blocks", _COUNTS, sum(STAGES)),
        Field("widths", _WIDTHS, sum(STAGES)),
        Field("last", _WIDTHS),
    )
    num_classes = 50
    image_size = 128

    def __init__(self, task: str = "classification") -> None:
        if task not in ("classification", "segmentation"):
            raise InvalidSpecError(
                f"{self.name}: task cannot be {shown(task)}; it is classification or segmentation"
            )
        self._dense = task == "segmentation"

    def parse(self, spec: Any) -> Choices:
        """Read the benchmark's text, 27 numbers, a row of its data, or what FieldSpace reads."""
        if isinstance(spec, str) and "=" not in spec:
            spec = self._numbers(spec.strip().removeprefix(f"{self.name}:"))
        if isinstance(spec, Mapping) and "embedding" in spec:
            spec = spec["embedding"]
        if isinstance(spec, Sequence) and len(spec) == 27 and not isinstance(spec, str):
            spec = _fields_of(spec)
        return super().parse(spec)

    def text(self, cell: Choices) -> str:
        """Write the benchmark's own text."""
        stem, _, _, _, last = cell
        stages = [
            (modules, len(blocks), *blocks, *widths) for modules, blocks, widths in _stages(cell)
        ]
        return "-".join("_".join(map(str, part)) for part in (stem, *stages, last))

    def owns(self, text: str) -> bool:
        """Six groups of 2, 4, 6, 8, 10 and 1 numbers, joined by hyphens and underscores."""
        parts = [part.split("_") for part in text.split("-")]
        numbers = all(n.isdecimal() for part in parts for n in part)
        return numbers and tuple(map(len, parts)) == _PARTS

    def build(self, net: Net, cell: Choices, num_classes: int, image_size: int) -> None:
        """The network; see :meth:`Space.build`."""
        stem, _, _, _, (last,) = cell
        x = net.input((3, image_size, image_size))
        for width in stem:
            x = net.conv_norm(x, width, 3, "relu", stride=2)
        branches = [x]
        for modules, blocks, widths in _stages(cell):
            for _ in range(modules):
                branches = _exchange(net, branches, widths)
                branches = [
                    _residual(net, branch, count)
                    for branch, count in zip(branches, blocks, strict=True)
                ]
        extent = branches[0 if self._dense else -1].shape[1:]
        x = net.concat([net.resize(branch, extent) for branch in branches])
        x = net.conv_norm(x, last, 1, "relu")
        if not self._dense:
            x = net.reshape(net.global_pool(x), last, 1, 1)
        x = net.conv(x, num_classes, 1, bias=True)
        net.output(x if self._dense else net.flatten(x))

    def _numbers(self, text: str) -> list[str]:
        """The 27 numbers of a text, the numbers of branches checked and left out."""
        parts = [part.split("_") for part in text.split("-")]
        if tuple(map(len, parts)) != _PARTS:
            raise InvalidSpecError(
                f"{self.name}: {shown(text)} is not six groups of 2, 4, 6, 8, 10 and 1 numbers"
            )
        for branches, part in zip(STAGES, parts[1:5], strict=True):
            if part.pop(1) != str(branches):
                raise InvalidSpecError(
                    f"{self.name}: stage {branches} of {shown(text)} has {branches} branches"
                )
        return [number for part in parts for number in part]


def _fields_of(numbers: Sequence[Any]) -> Choices:
    """The fields of a code of 27 numbers."""
    modules, blocks, widths = [], [], []
    at = 2
    for branches in STAGES:
        modules.append(numbers[at])
        blocks += numbers[at + 1 : at + 1 + branches]
        widths += numbers[at + 1 + branches : at + 1 + 2 * branches]
        at += 1 + 2 * branches
    parts = numbers[:2], modules, blocks, widths, numbers[at:]
    return tuple(tuple(part) for part in parts)


def _stages(cell: Choices) -> list[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    """Modules, blocks and widths of the branches, of every stage."""
    _, modules, blocks, widths, _ = cell
    found, at = [], 0
    for count, branches in zip(modules, STAGES, strict=True):
        found.append((count, blocks[at : at + branches], widths[at : at + branches]))
        at += branches
    return found


def _exchange(net: Net, branches: list[Value], widths: Sequence[int]) -> list[Value]:
    """Every branch hears itself and its neighbours; a branch more grows from the coarsest."""
    fused = []
    for place, width in enumerate(widths[: len(branches)]):
        heard = []
        for other in range(max(place - 1, 0), min(place + 2, len(branches))):
            x = branches[other]
            kernel, stride = (1, 1) if other > place else (3, 1 + (other < place))
            x = net.conv_norm(x, width, kernel, "relu", stride=stride)
            heard.append(net.resize(x, (heard[0] if heard else x).shape[1:]))
        fused.append(net.act("relu", net.add(heard[0], *heard[1:])))
    for width in widths[len(branches) :]:
        fused.append(net.conv_norm(fused[-1], width, 3, "relu", stride=2))
    return fused


def _residual(net: Net, x: Value, count: int) -> Value:
    """Basic residual blocks of unchanging width."""
    for _ in range(count):
        y = net.conv_norm(x, x.shape[0], 3, "relu")
        x = net.act("relu", net.add(net.conv_norm(y, x.shape[0], 3), x))
    return x
