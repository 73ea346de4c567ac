"""The macro space of TransNAS-Bench-101: 3,256 ways of stacking residual blocks.

Reference:
    Duan et al., "TransNAS-Bench-101: Improving Transferability and Generalizability of Cross-Task
    Neural Architecture Search", CVPR 2021.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces._batch import Value as BatchValue
from archcast.encoders.spaces._batch import rows_by
from archcast.encoders.spaces._fields import Choices, Field
from archcast.encoders.spaces._net import Net, Value
from archcast.encoders.spaces._transnas import STEM, TransNAS, relu_conv
from archcast.encoders.spaces._transnas_batch import Encoders

_TEXT: Final = re.compile(r"64-([0-9]+)-basic")
_TUPLE: Final = re.compile(r"\(\s*\d(\s*,\s*\d)*\s*\)")
#: Fewest and most modules.
LENGTHS: Final = (4, 6)


class TransNASMacro(TransNAS):
    """Four to six modules of two residual blocks.

    A specification is the benchmark's own string, such as ``64-1234-basic``, one digit a module:
    1 keeps channels and size, 2 doubles the channels, 3 halves height and width, 4 does both. One
    to three modules double the channels, and one to four halve the picture. A tuple of the digits,
    as NASLib keeps them, says the same, whether padded with zeros to six or not.

    A block is ReLU, 3x3 convolution and norm, twice, added to what came; where the shape changes,
    that is brought to it by a strided 1x1 convolution and a norm.
    """

    name = "transnas_macro"
    fields = (Field("modules", (0, 1, 2, 3, 4), LENGTHS[1]),)
    size = 3256
    most_halvings = 6

    def parse(self, spec: Any) -> Choices:
        """Read ``64-1234-basic``, a tuple of digits, or what :class:`FieldSpace` reads."""
        if isinstance(spec, str):
            text = spec.strip().removeprefix(f"{self.name}:")
            match = _TEXT.fullmatch(text)
            if match:
                spec = tuple(match[1])
            elif _TUPLE.fullmatch(text):
                spec = tuple(re.findall(r"\d", text))
            elif "=" not in text:
                raise InvalidSpecError(
                    f"{self.name}: {shown(text)} does not read 64-<digits>-basic"
                )
        if isinstance(spec, Sequence) and not isinstance(spec, str) and len(spec) != 1:
            padding = [0] * (LENGTHS[1] - len(spec))
            spec = {"modules": [*spec, *padding]}
        return super().parse(spec)

    def canonical(self, cell: Choices) -> Choices:
        """Check the number of modules, doublings and halvings."""
        digits = self.modules(cell)
        if 0 in digits:
            raise InvalidSpecError(f"{self.name}: 0 stands between modules in {cell[0]}")
        wider = sum(digit in (2, 4) for digit in digits)
        smaller = sum(digit in (3, 4) for digit in digits)
        for what, count, least, most in (
            ("modules", len(digits), *LENGTHS),
            ("modules that double the channels", wider, 1, 3),
            ("modules that halve the picture", smaller, 1, 4),
        ):
            if not least <= count <= most:
                text = "".join(map(str, digits))
                raise InvalidSpecError(
                    f"{self.name}: {shown(text)} has {count} {what}, not {least} to {most}"
                )
        return cell

    def text(self, cell: Choices) -> str:
        """Write ``64-1234-basic``."""
        return f"64-{''.join(map(str, self.modules(cell)))}-basic"

    def owns(self, text: str) -> bool:
        """A string of this shape is a network of this space."""
        return _TEXT.fullmatch(text) is not None

    def sample(self, n: int, seed: int = 0) -> list[str]:
        """Draw different networks, all equally likely."""
        texts = _texts()
        if n > len(texts):
            raise ValueError(f"{self.name} has {len(texts):,} specifications, not {n:,}")
        return [texts[i] for i in np.random.default_rng(seed).choice(len(texts), n, replace=False)]

    def enumerate(self) -> Iterator[str]:
        """All networks, short ones first."""
        yield from _texts()

    def modules(self, cell: Choices) -> Sequence[int]:
        """The digits up to the padding."""
        digits = list(cell[0])
        while digits and digits[-1] == 0:
            digits.pop()
        return digits

    def block(self, net: Net, x: Value, cell: Choices, width: int, stride: int) -> Value:
        """One residual block."""
        del cell
        y = relu_conv(net, relu_conv(net, x, width, 3, stride), width, 3, 1)
        if stride != 1 or x.shape[0] != width:
            x = relu_conv(net, x, width, 1, stride, active=False)
        return net.add(x, y)

    def encode(
        self, encoders: Encoders, x: BatchValue, cells: Sequence[Choices]
    ) -> tuple[BatchValue, NDArray[np.int64], NDArray[np.int64]]:
        """All modules of a batch; see :class:`TransNAS`."""
        digits = np.array([cell[0] for cell in cells], np.int64)
        widths = np.full(len(cells), STEM)
        sizes = np.full(len(cells), encoders.pixels // 4)
        for digit in digits.T:
            wider = np.where((digit == 2) | (digit == 4), 2 * widths, widths)
            strides = np.where((digit == 3) | (digit == 4), 2, 1)
            there = digit > 0
            y = _blocks(encoders, np.where(there, x, 0), widths, wider, sizes, strides)
            widths, sizes = wider, sizes // strides
            y = _blocks(encoders, y, widths, widths, sizes, np.ones_like(strides))
            x = np.where(there, y, x)
        return x, widths, sizes


def _blocks(
    encoders: Encoders,
    x: BatchValue,
    enter: NDArray[np.int64],
    leave: NDArray[np.int64],
    sizes: NDArray[np.int64],
    strides: NDArray[np.int64],
) -> BatchValue:
    """A residual block in every network of a batch where something arrives."""
    batch, after = encoders.batch, sizes // strides

    def conv(enter: int, leave: int, size: int, stride: int, kernel: int) -> int:
        return encoders.conv(enter, leave, kernel, size, stride=stride)

    three, one = np.full_like(sizes, 3), np.ones_like(sizes)
    y = encoders.unary("relu", x, enter, sizes)
    y = batch.node(rows_by(conv, enter, leave, after, strides, three), y)
    y = encoders.unary("relu", y, leave, after)
    y = batch.node(rows_by(conv, leave, leave, after, one, three), y)
    changes = (strides == 2) | (enter != leave)
    brought = batch.node(rows_by(conv, enter, leave, after, strides, one), x, changes)
    add = rows_by(
        lambda width, size: batch.row("add", channels_in=width, extent=encoders.extent(size)),
        leave, after,
    )  # fmt: skip
    return batch.join("add", add, [np.where(changes, brought, x), y])


@cache
def _texts() -> tuple[str, ...]:
    """The texts of all networks."""
    space = TransNASMacro()
    found = []
    for length in range(LENGTHS[0], LENGTHS[1] + 1):
        for digits in product((1, 2, 3, 4), repeat=length):
            try:
                found.append(space.text(space.parse(digits)))
            except InvalidSpecError:
                continue
    return tuple(found)
