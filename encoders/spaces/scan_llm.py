"""Decoder-only language models by width, depth and number of heads.

Reference:
    ScAn-Bench, "Surrogate Benchmarks for Scaling Analysis" (PyPI package scan-bench 0.2.3).
"""

from __future__ import annotations

from typing import Final

from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces._fields import Choices, Field, FieldSpace
from archcast.encoders.spaces._net import Net
from archcast.encoders.spaces._transformer import gated_mlp, self_attention

#: Hidden features of the MLP are rounded up to a multiple of this.
_MULTIPLE: Final = 256


class ScanLLM(FieldSpace):
    """Decoders as ``d_model=320;n_layers=12;n_heads=16``.

    The network: token embeddings, pre-norm layers of causal self-attention with rotary positions
    and of a gated SiLU MLP with 8/3 of the width, all without biases and with RMS norms, a last
    norm, and the embeddings again as the map to the words. Every head has an even number of
    features, which not all combinations give.

    Parameters are those of the benchmark's table. That positions are rotary is not in the
    benchmark's files; it neither has position embeddings that are counted.
    """

    name = "scan_llm"
    fields = (
        Field("d_model", tuple(range(256, 1601, 64))),
        Field("n_layers", tuple(range(4, 31))),
        Field("n_heads", tuple(range(4, 41, 2))),
    )
    size = 27 * sum(d % (2 * h) == 0 for d in range(256, 1601, 64) for h in range(4, 41, 2))
    num_classes = 50277
    image_size = 2048

    def canonical(self, cell: Choices) -> Choices:
        """Check that the heads share the width.

        Raises:
            InvalidSpecError: they do not.
        """
        (width,), _, (heads,) = cell
        if width % (2 * heads):
            raise InvalidSpecError(
                f"{self.name}: n_heads={heads} does not divide d_model={width} into even parts"
            )
        return cell

    def build(self, net: Net, cell: Choices, num_classes: int, image_size: int) -> None:
        """The network; see :meth:`Space.build`."""
        (width,), (depth,), (heads,) = cell
        hidden = -(-(width * 8 // 3) // _MULTIPLE) * _MULTIPLE
        words = net.parameter(num_classes, width)
        x = net.embedding(net.input((image_size,), tokens=True), words)
        for _ in range(depth):
            y = net.rms_norm(x)
            y = self_attention(net, y, heads, width, bias=False, causal=True, rotated=1.0)
            x = net.add(x, y)
            x = net.add(x, gated_mlp(net, net.rms_norm(x), hidden, bias=False, joined=True))
        net.output(net.linear(net.rms_norm(x), num_classes, bias=False, weight=words))
