"""HW-GPT-Bench: decoders of chosen width and depth, with heads and MLPs a layer.

Reference:
    Sukthanker et al., "HW-GPT-Bench: Hardware-Aware Architecture Benchmark for Language Models",
    NeurIPS 2024 Datasets and Benchmarks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from archcast.encoders.spaces._fields import Choices, Field
from archcast.encoders.spaces._layers import LayerSpace
from archcast.encoders.spaces._net import Net
from archcast.encoders.spaces._transformer import gated_mlp, self_attention

#: Features of a head, whatever the width of the network.
_HEAD: Final = 64
#: Share of a head's features that the rotary position embedding turns.
_ROTATED: Final = 0.25


class HWGPT(LayerSpace):
    """Decoders as ``embed_dim=384;n_layer=10;n_head=12,...;mlp_ratio=2,...;bias=0``.

    In a mapping, lists may also be written as the benchmark's table has them, ``"12|4|12"``.

    The network: token embeddings, layers whose causal self-attention (64 features a head, a
    quarter of them with rotary positions) and gated SiLU MLP both read the layer's input behind
    norms of their own and are added to it together, a last norm and an untied linear map to the
    words. ``bias`` is that of the linear maps in the layers.

    That is the network whose parameters and operations the benchmark's table counts, for every
    row. Its released configurations name a GELU MLP of two matrices and tied embeddings instead;
    which of the two the perplexities belong to could not be verified.
    """

    depth = "n_layer"
    layered = frozenset(("n_head", "mlp_ratio"))
    num_classes = 50254
    image_size = 1024

    def parse(self, spec: Any) -> Choices:
        """Read a text, a mapping (the table's too), or a tuple of choices."""
        if isinstance(spec, Mapping):
            spec = {
                name: values.split("|") if isinstance(values, str) and "|" in values else values
                for name, values in spec.items()
            }
        return super().parse(spec)

    def build(self, net: Net, cell: Choices, num_classes: int, image_size: int) -> None:
        """The network; see :meth:`Space.build`."""
        width, bias = self.chosen(cell, "embed_dim")[0], bool(self.chosen(cell, "bias")[0])
        ids = net.input((image_size,), tokens=True)
        x = net.embedding(ids, net.parameter(num_classes, width))
        for heads, ratio in self.layers(cell, "n_head", "mlp_ratio"):
            y = self_attention(
                net, net.layer_norm(x), heads, heads * _HEAD,
                bias=bias, causal=True, rotated=_ROTATED,
            )  # fmt: skip
            z = gated_mlp(net, net.layer_norm(x), width * ratio, bias=bias)
            x = net.add(z, y, x)
        net.output(net.linear(net.layer_norm(x), num_classes, bias=False))


def _fields(
    widths: tuple[int, ...], depths: tuple[int, ...], heads: tuple[int, ...]
) -> tuple[Field, ...]:
    return (
        Field("embed_dim", widths),
        Field("n_layer", depths),
        Field("n_head", heads, max(depths)),
        Field("mlp_ratio", (2, 3, 4), max(depths)),
        Field("bias", (0, 1)),
    )


class HWGPTSmall(HWGPT):
    """The space of the size of GPT-2 small."""

    name = "hwgpt_s"
    fields = _fields((192, 384, 768), (10, 11, 12), (4, 8, 12))


class HWGPTMedium(HWGPT):
    """The space of the size of GPT-2 medium."""

    name = "hwgpt_m"
    fields = _fields((256, 512, 1024), (22, 23, 24), (8, 12, 16))


class HWGPTLarge(HWGPT):
    """The space of the size of GPT-2 large."""

    name = "hwgpt_l"
    fields = _fields((320, 640, 1280), (34, 35, 36), (8, 16, 20))
