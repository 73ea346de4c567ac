"""FlexiBERT: small encoders whose layers differ in operation, heads and feed-forward stack.

References:
    Tuli et al., "FlexiBERT: Are Current Transformer Architectures too Homogeneous and Rigid?",
    JAIR 2023 (the space).
    Serianni and Kalita, "Training-free Neural Architecture Search for RNNs and Transformers",
    ACL 2023 (NAS-Bench-BERT).
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

_VOCABULARY: Final = 30522
_EMBEDDED: Final = 128
_POSITIONS: Final = 512
#: (operation_type, operation_parameter) of the benchmark -> name here.
_OPERATIONS: Final = {
    ("SA", "SDP"): "SDP",
    ("SA", "WMA"): "WMA",
    ("LT", "DFT"): "DFT",
    ("LT", "DCT"): "DCT",
    ("DSC", "5"): "DSC5",
    ("DSC", "9"): "DSC9",
}


class FlexiBERT(LayerSpace):
    """Encoders as ``hidden=256;layers=2;operation=SDP,DSC5;heads=4,2;feed_forward=512,1024;...``.

    Operations are self-attention with scaled dot products (SDP) or a weight between queries and
    keys (WMA), the real part of the two-dimensional Fourier transform (DFT), the cosine transform
    (DCT), and span-based dynamic convolution of 5 or 9 tokens beside attention of half the heads
    (DSC5, DSC9). ``stack`` is the number of hidden layers of the feed-forward part. A mapping may
    also be the benchmark's own, ``{"hidden_size": ..., "nas_config": {"encoder_layers": [...]}}``.

    The network is ELECTRA-small's: embeddings of 128 features for words, types and positions with
    a norm, a linear map to the hidden size where it differs, layers of operation and feed-forward
    part with a norm behind each sum, and a classifier on the first token. The transforms are
    written as products with fixed matrices: their operations are those of the products, not of
    fast transforms.

    It is the described network. The code that trained the benchmark may have trained another: see
    the traps of ``nasbench_bert``.
    """

    name = "flexibert"
    depth = "layers"
    layered = frozenset(("operation", "heads", "feed_forward", "stack"))
    fields = (
        Field("hidden", (128, 256)),
        Field("layers", (2, 4)),
        Field("operation", tuple(_OPERATIONS.values()), 4),
        Field("heads", (2, 4), 4),
        Field("feed_forward", (512, 1024), 4),
        Field("stack", (1, 3), 4),
    )
    num_classes = 2
    image_size = 128

    def parse(self, spec: Any) -> Choices:
        """Read a text, a mapping (the benchmark's too), or a tuple of choices."""
        if isinstance(spec, Mapping) and "nas_config" in spec:
            spec = self._from_benchmark(spec)
        return super().parse(spec)

    def build(self, net: Net, cell: Choices, num_classes: int, image_size: int) -> None:
        """The network; see :meth:`Space.build`."""
        words, types = (net.input((image_size,), tokens=True) for _ in range(2))
        places = net.excerpt(net.parameter(_POSITIONS, _EMBEDDED), np.arange(image_size))
        x = net.add(
            net.embedding(words, net.parameter(_VOCABULARY, _EMBEDDED)),
            net.embedding(types, net.parameter(2, _EMBEDDED)),
            places,
        )
        x = net.layer_norm(x)
        hidden = self.chosen(cell, "hidden")[0]
        if hidden != _EMBEDDED:
            x = net.linear(x, hidden)
        for operation, heads, wide, stack in self.layers(
            cell, "operation", "heads", "feed_forward", "stack"
        ):
            y = net.linear(_operation(net, x, operation, heads), hidden)
            x = net.layer_norm(net.add(x, y))
            y = x
            for _ in range(stack):
                y = net.act("gelu", net.linear(y, wide))
            x = net.layer_norm(net.add(x, net.linear(y, hidden)))
        net.output(net.linear(net.reshape(net.slice(x, 0, 1), hidden), num_classes))

    def _from_benchmark(self, spec: Mapping[Any, Any]) -> dict[str, Any]:
        try:
            layers = spec["nas_config"]["encoder_layers"]
            kinds = [(v["operation_type"], str(v["operation_parameter"])) for v in layers]
            rest = {
                "hidden": spec["hidden_size"],
                "layers": len(layers),
                "heads": [layer["num_operation_heads"] for layer in layers],
                "feed_forward": [layer["feed_forward_dimension"] for layer in layers],
                "stack": [layer["num_feed_forward"] for layer in layers],
            }
        except (KeyError, TypeError) as error:
            raise InvalidSpecError(f"{self.name}: {error} is missing or not as expected") from error
        unknown = next((kind for kind in kinds if kind not in _OPERATIONS), None)
        if unknown is not None:
            raise InvalidSpecError(f"{self.name}: no operation {'-'.join(map(str, unknown))}")
        return rest | {"operation": [_OPERATIONS[kind] for kind in kinds]}


def _operation(net: Net, x: Value, operation: str, heads: int) -> Value:
    if operation.startswith("DSC"):
        return _dynamic_convolution(net, x, heads, int(operation[3:]))
    if operation in ("DFT", "DCT"):
        return _transform(net, x, heads, operation)
    width = x.shape[-1]
    q, k, v = (net.linear(x, width) for _ in range(3))
    if operation == "WMA":
        q = net.linear(q, width, bias=False)
    return net.attention(q, k, v, heads)


def _dynamic_convolution(net: Net, x: Value, heads: int, window: int) -> Value:
    """Attention of half of the heads, beside convolutions whose kernels depend on the place.

    Reference:
        Jiang et al., "ConvBERT: Improving BERT with Span-based Dynamic Convolution", NeurIPS 2020.
    """
    length, width = x.shape
    features, heads = width // heads, heads // 2
    inner = features * heads
    q, k, v = (net.linear(x, inner) for _ in range(3))
    spans = net.conv(net.permute(x, 1, 0), width, window, groups=width)
    spans = net.permute(net.conv(spans, inner, 1, bias=True), 1, 0)
    kernels = net.linear(net.mul(spans, q), heads * window)
    kernels = net.act("softmax", net.reshape(kernels, length, heads, window))
    windows = net.unfold(net.linear(x, inner), window)
    light = net.matmul(
        net.reshape(windows, length, heads, features, window),
        net.reshape(kernels, length, heads, window, 1),
    )
    seen = net.attention(q, k, v, heads)
    return net.concat([seen, net.reshape(light, length, inner)], axis=1)


def _transform(net: Net, x: Value, heads: int, kind: str) -> Value:
    """A transform over the positions and the features of every head."""
    length, width = x.shape
    features = width // heads
    parts = net.permute(net.reshape(net.linear(x, width), length, heads, features), 1, 0, 2)
    sides = zip(_matrices(kind, length), _matrices(kind, features), strict=True)
    products = [
        net.matmul(net.matmul(net.constant(left), parts), net.constant(right.T))
        for left, right in sides
    ]
    y = products[0] if len(products) == 1 else net.sub(*products)
    return net.reshape(net.permute(y, 1, 0, 2), length, width)


@lru_cache(maxsize=32)
def _matrices(kind: str, size: int) -> tuple[NDArray[np.float64], ...]:
    """Cosines and sines of the Fourier transform, or the second cosine transform."""
    rows, columns = np.indices((size, size))
    if kind == "DCT":
        return (2 * np.cos(np.pi * rows * (2 * columns + 1) / (2 * size)),)
    angles = 2 * np.pi * rows * columns / size
    return np.cos(angles), np.sin(angles)
