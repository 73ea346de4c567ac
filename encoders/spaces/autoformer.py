"""AutoFormer: vision Transformers of chosen width and depth, with heads and MLPs a layer.

Reference:
    Chen et al., "AutoFormer: Searching Transformers for Visual Recognition", ICCV 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces._fields import Choices, Field
from archcast.encoders.spaces._layers import LayerSpace
from archcast.encoders.spaces._net import Net, Value
from archcast.encoders.spaces._transformer import project

_PATCH: Final = 16
#: Features of a head, whatever the width of the network.
_HEAD: Final = 64
#: Distances from here on share one relative position embedding.
_FARTHEST: Final = 14


class AutoFormer(LayerSpace):
    """Vision Transformers as ``layer_num=12;embed_dim=192;mlp_ratio=4.0,...;num_heads=3,...``.

    A mapping may also be the form of the original code, ``{"layer_num": 12, "embed_dim": [192] *
    12, "mlp_ratio": [...], "num_heads": [...]}``.

    The network: patches of 16 pixels, a class token, absolute position embeddings, pre-norm
    layers of self-attention (64 features a head, one projection for queries, keys and values, and
    relative positions in two dimensions added to both keys and values) and GELU MLPs, a last
    norm, the mean over the patches (not the class token) and a classifier. Dropout and stochastic
    depth of the training are left out.
    """

    depth = "layer_num"
    layered = frozenset(("mlp_ratio", "num_heads"))
    num_classes = 1000
    image_size = 224

    def parse(self, spec: Any) -> Choices:
        """Read a text, a mapping (the original code's too), or a tuple of choices."""
        if isinstance(spec, str):
            spec = self._split(spec.strip().removeprefix(f"{self.name}:"))
        if isinstance(spec, Mapping):
            spec = dict(spec)
            width = spec.get("embed_dim")
            if isinstance(width, (list, tuple)) and width:
                if any(w != width[0] for w in width):
                    raise InvalidSpecError(f"{self.name}: embed_dim differs from layer to layer")
                spec["embed_dim"] = width[0]
            ratios = spec.get("mlp_ratio")
            if isinstance(ratios, (list, tuple)):
                spec["mlp_ratio"] = [float(r) if isinstance(r, int) else r for r in ratios]
        return super().parse(spec)

    def build(self, net: Net, cell: Choices, num_classes: int, image_size: int) -> None:
        """The network; see :meth:`Space.build`."""
        width = self.chosen(cell, "embed_dim")[0]
        x = net.conv(
            net.input((3, image_size, image_size)),
            width, _PATCH, stride=_PATCH, padding=0, bias=True,
        )  # fmt: skip
        rows, columns = x.shape[1:]
        x = net.prepend(net.parameter(1, width), net.tokens_of(x))
        x = net.add(x, net.parameter(*x.shape))
        for ratio, heads in self.layers(cell, "mlp_ratio", "num_heads"):
            y = net.layer_norm(x)
            x = net.add(x, _attention(net, y, heads, _relative(rows, columns)))
            x = net.add(x, net.mlp(net.layer_norm(x), int(width * ratio)))
        x = net.layer_norm(x)
        net.output(net.linear(net.mean(net.slice(x, 1, x.shape[0])), num_classes))


def _attention(net: Net, x: Value, heads: int, relative: tuple[NDArray[np.int64], ...]) -> Value:
    """Self-attention with relative position embeddings of keys and values."""
    length, width = x.shape
    q, k, v = (
        net.reshape(part, length, heads, _HEAD) for part in project(net, x, 3, heads * _HEAD)
    )
    near_keys, near_values = (_table(net, relative) for _ in range(2))
    scores = net.matmul(net.permute(q, 1, 0, 2), net.permute(k, 1, 2, 0))
    near = net.matmul(near_keys, net.permute(q, 0, 2, 1))
    scores = net.scale(net.add(scores, net.permute(near, 2, 0, 1)), _HEAD**-0.5)
    weights = net.act("softmax", scores)
    seen = net.permute(net.matmul(weights, net.permute(v, 1, 0, 2)), 1, 0, 2)
    near = net.matmul(net.permute(weights, 1, 0, 2), near_values)
    return net.linear(net.reshape(net.add(seen, near), length, heads * _HEAD), width)


def _table(net: Net, relative: tuple[NDArray[np.int64], ...]) -> Value:
    """(length, length, 64) embeddings of how far one position is from another."""
    across = (net.parameter(2 * _FARTHEST + 2, _HEAD) for _ in relative)
    down, right = (net.excerpt(table, rows) for table, rows in zip(across, relative, strict=True))
    return net.add(down, right)


@lru_cache(maxsize=8)
def _relative(rows: int, columns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the tables for every pair of positions; row 0 is for the class token."""
    places = np.indices((rows, columns)).reshape(2, -1)
    far = np.clip(places[:, None, :] - places[:, :, None], -_FARTHEST, _FARTHEST)
    down, right = np.pad(far + _FARTHEST + 1, ((0, 0), (1, 0), (1, 0)))
    return down, right


class AutoFormerTiny(AutoFormer):
    """The space of about 6 million parameters."""

    name = "autoformer_tiny"
    fields = (
        Field("layer_num", (12, 13, 14)),
        Field("embed_dim", (192, 216, 240)),
        Field("mlp_ratio", (3.5, 4.0), 14),
        Field("num_heads", (3, 4), 14),
    )


class AutoFormerSmall(AutoFormer):
    """The space of about 23 million parameters."""

    name = "autoformer_small"
    fields = (
        Field("layer_num", (12, 13, 14)),
        Field("embed_dim", (320, 384, 448)),
        Field("mlp_ratio", (3.0, 3.5, 4.0), 14),
        Field("num_heads", (5, 6, 7), 14),
    )


class AutoFormerBase(AutoFormer):
    """The space of about 54 million parameters."""

    name = "autoformer_base"
    fields = (
        Field("layer_num", (14, 15, 16)),
        Field("embed_dim", (528, 576, 624)),
        Field("mlp_ratio", (3.0, 3.5, 4.0), 16),
        Field("num_heads", (8, 9, 10), 16),
    )
