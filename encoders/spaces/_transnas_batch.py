"""Encoders and decoders of TransNAS-Bench-101, many networks at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.spaces._batch import GraphBatch, Mask, Triple, Value, rows_by

Ints = NDArray[np.int64]
_OPS: Final = ("conv", "conv_transpose")


class Encoders:
    """A batch of networks under construction, and their operators.

    Args:
        count: number of networks.
        depth: pieces the picture is cut into; they lie along the depth and are never mixed.
        pixels: height and width of a piece.
    """

    def __init__(self, count: int, depth: int, pixels: int) -> None:
        self.depth = depth
        self.pixels = pixels
        self.batch = GraphBatch(count, 3, self.extent(pixels))

    def extent(self, size: int) -> Triple:
        """Positions of a picture of that height."""
        return (self.depth, size, size)

    def conv(
        self,
        enter: int,
        leave: int,
        kernel: int,
        size: int,
        *,
        stride: int = 1,
        op: str = "conv",
        norms: int = 2,
    ) -> int:
        """The row of a convolution.

        Args:
            enter: channels entering.
            leave: channels leaving.
            kernel: height and width of the window.
            size: height leaving.
            stride: of height and width.
            op: ``conv`` or ``conv_transpose``.
            norms: parameters a channel: two of a norm, one of a bias, or both.
        """
        return self.batch.row(
            op,
            channels_in=enter,
            channels_out=leave,
            kernel=(1, kernel, kernel),
            stride=(1, stride, stride),
            extent=self.extent(size),
            params=enter * leave * kernel**2 + norms * leave,
        )

    def unary(
        self, op: str, x: Value, widths: int | Ints, sizes: int | Ints, where: Mask | None = None
    ) -> Value:
        """An activation on values of those channels and heights."""
        if isinstance(widths, int) and isinstance(sizes, int):
            rows: int | Ints = self._plain(op, widths, sizes)
        else:
            both = np.broadcast_arrays(widths, sizes)
            rows = rows_by(lambda width, size: self._plain(op, width, size), *both)
        return self.batch.shared(op, rows, x, where)

    def _plain(self, op: str, width: int, size: int) -> int:
        return self.batch.row(op, channels_in=width, extent=self.extent(size))

    def stem(self, width: int) -> Value:
        """Two convolutions, each of which halves the picture."""
        half = self.pixels // 2
        x = self.batch.node(self.conv(3, width // 2, 3, half, stride=2), self.batch.input)
        x = self.unary("relu", x, width // 2, half)
        return self.batch.node(self.conv(width // 2, width, 3, half // 2, stride=2), x)

    def vector(self, x: Value, widths: Ints, sizes: Ints, outputs: int) -> Value:
        """The mean over the positions of every piece, and a linear layer of all of them."""

        def pool(width: int, size: int) -> int:
            if self.depth == 1:
                return self.batch.row("global_avg_pool", channels_in=width)
            window = (1, size, size)
            return self.batch.row(
                "avg_pool", channels_in=width, kernel=window, stride=window, extent=self.extent(1)
            )

        def linear(width: int) -> int:
            enter = width * self.depth
            params = enter * outputs + outputs
            return self.batch.row("linear", channels_in=enter, channels_out=outputs, params=params)

        several = sizes > 1
        kind = "global_avg_pool" if self.depth == 1 else "avg_pool"
        pooled = self.batch.shared(kind, rows_by(pool, widths, sizes), x, several)
        x = np.where(several, pooled, x)
        return self.batch.node(rows_by(linear, widths), x)

    def picture(
        self,
        x: Value,
        widths: Ints,
        halvings: Ints,
        plans: Mapping[int, Sequence[tuple[int, bool]]],
        outputs: int,
    ) -> Value:
        """A decoder back to the size of the input, its last convolution without norm.

        Args:
            x: what the encoders give.
            widths: its channels.
            halvings: how often the picture was halved.
            plans: halvings -> channels of every layer, and whether it doubles the picture.
            outputs: channels leaving.
        """
        layers = range(len(next(iter(plans.values()))))
        sizes = self.pixels >> halvings
        for i in layers:
            out = np.zeros_like(widths)
            doubles = np.zeros_like(widths)
            for count, plan in plans.items():
                here = halvings == count
                out[here], doubles[here] = plan[i]
            sizes = sizes << doubles
            rows = rows_by(self._layer, widths, out, sizes, doubles)
            x = self.batch.node(rows, x)
            x = self.unary("leaky_relu", x, out, sizes)
            widths = out
        last = rows_by(lambda width: self.conv(width, outputs, 3, self.pixels, norms=1), widths)
        return self.batch.node(last, x)

    def _layer(self, enter: int, leave: int, size: int, doubles: int) -> int:
        return self.conv(enter, leave, 3, size, stride=1 + doubles, op=_OPS[doubles], norms=3)
