"""HAT: translation Transformers with heterogeneous layers and arbitrary encoder-decoder attention.

Reference:
    Wang et al., "HAT: Hardware-Aware Transformers for Efficient Natural Language Processing",
    ACL 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSpecError
from archcast.encoders.spaces._fields import Choices, Field
from archcast.encoders.spaces._layers import LayerSpace
from archcast.encoders.spaces._net import Net, Parameter, Value
from archcast.encoders.spaces._transformer import self_attention, sinusoids

#: Features of queries, keys and values of all heads, whatever the width.
_INNER: Final = 512
_ENCODER_LAYERS: Final = 6
_DECODER: Final = frozenset(
    ("decoder_ffn_embed_dim", "decoder_self_attention_heads", "decoder_ende_attention_heads",
     "decoder_arbitrary_ende_attn")
)  # fmt: skip


class HAT(LayerSpace):
    """Translators as ``encoder_embed_dim=640;...;decoder_layer_num=3;...``.

    ``decoder_arbitrary_ende_attn`` says what a layer of the decoder attends to: the last layer of
    the encoder (-1), the last two (1) or three (2), one behind the other. A mapping may also be
    the original code's, ``{"encoder": {...}, "decoder": {...}}``, where lists may be longer than
    the decoder is deep.

    The network: scaled token embeddings with sinusoidal positions, six layers of self-attention
    and ReLU MLP, the decoder's layers with attention to the encoder between the two, norms
    behind every sum, and a linear map to the words. Queries, keys and values have 512 features
    at any width, so the number of heads changes no weight. WMT tasks share one table of
    embeddings for both languages and the output; a narrower network reads its first columns.

    The options are those of the latency measurements, which contain those of the search. The
    dictionary of WMT'19 is not public where it could be checked; 40,000 is the number of its
    merges. The dictionaries of the other tasks are those of the usual preprocessed data.
    """

    depth = "decoder_layer_num"
    layered = _DECODER
    #: Words of the source language, where it has embeddings of its own.
    source_words: ClassVar[int | None] = None

    def parse(self, spec: Any) -> Choices:
        """Read a text, a mapping (the original code's too), or a tuple of choices."""
        if isinstance(spec, Mapping) and set(spec) == {"encoder", "decoder"}:
            spec = self._from_original(spec)
        return super().parse(spec)

    def owns(self, text: str) -> bool:
        """Never: the spaces of all tasks have the same texts."""
        del text
        return False

    def build(self, net: Net, cell: Choices, num_classes: int, image_size: int) -> None:
        """The network; see :meth:`Space.build`."""
        (wide,) = self.chosen(cell, "encoder_embed_dim")
        (width,) = self.chosen(cell, "decoder_embed_dim")
        source, target = (net.input((image_size,), tokens=True) for _ in range(2))
        if self.source_words is None:
            table = net.parameter(num_classes, max(wide, width))
            tables = [_columns(net, table, features) for features in (wide, width)]
            words = tables[1]
        else:
            tables = [net.parameter(self.source_words, wide), net.parameter(num_classes, width)]
            words = net.parameter(num_classes, width)
        memory = self._encoder(net, cell, _embedded(net, source, tables[0]))
        x = _embedded(net, target, tables[1])
        for hidden, heads, across, reach in self.layers(
            cell, "decoder_ffn_embed_dim", "decoder_self_attention_heads",
            "decoder_ende_attention_heads", "decoder_arbitrary_ende_attn",
        ):  # fmt: skip
            x = net.layer_norm(net.add(x, self_attention(net, x, heads, _INNER, causal=True)))
            seen = memory[-1 : -max(reach, 0) - 2 : -1]
            seen = seen[0] if len(seen) == 1 else net.concat(seen)
            q, k, v = (net.linear(y, _INNER) for y in (x, seen, seen))
            y = net.linear(net.attention(q, k, v, across), width)
            x = net.layer_norm(net.add(x, y))
            x = net.layer_norm(net.add(x, net.mlp(x, hidden, "relu")))
        net.output(net.linear(x, num_classes, bias=False, weight=words))

    def _encoder(self, net: Net, cell: Choices, x: Value) -> list[Value]:
        """What the encoder's layers give."""
        memory = []
        for hidden, heads in zip(
            self.chosen(cell, "encoder_ffn_embed_dim"),
            self.chosen(cell, "encoder_self_attention_heads"),
            strict=True,
        ):
            x = net.layer_norm(net.add(x, self_attention(net, x, heads, _INNER)))
            x = net.layer_norm(net.add(x, net.mlp(x, hidden, "relu")))
            memory.append(x)
        return memory

    def _from_original(self, spec: Mapping[Any, Any]) -> dict[str, Any]:
        """One mapping of both halves, its lists cut to the decoder's depth."""
        if not all(isinstance(half, Mapping) for half in spec.values()):
            raise InvalidSpecError(f"{self.name}: encoder and decoder are not mappings")
        flat = {**spec["encoder"], **spec["decoder"]}
        layers = flat.pop("encoder_layer_num", _ENCODER_LAYERS)
        if layers != _ENCODER_LAYERS:
            raise InvalidSpecError(
                f"{self.name}: encoder_layer_num is {_ENCODER_LAYERS}, not {shown(layers)}"
            )
        depth = flat.get(self.depth)
        if isinstance(depth, int):
            flat |= {k: list(flat[k])[:depth] for k in _DECODER if isinstance(flat.get(k), list)}
        return flat


def _columns(net: Net, table: Parameter, features: int) -> Parameter:
    return table if table.shape[1] == features else net.excerpt(table, columns=features)


def _embedded(net: Net, ids: Value, table: Parameter) -> Value:
    """Scaled embeddings with sinusoidal positions."""
    x = net.scale(net.embedding(ids, table), table.shape[1] ** 0.5)
    return net.add(x, net.constant(sinusoids(*x.shape)))


_WIDTHS: Final = (512, 640)
_HIDDEN: Final = (512, 1024, 2048, 3072)
_HEADS: Final = (2, 4, 8)
_FIELDS: Final = (
    Field("encoder_embed_dim", _WIDTHS),
    Field("encoder_ffn_embed_dim", _HIDDEN, _ENCODER_LAYERS),
    Field("encoder_self_attention_heads", _HEADS, _ENCODER_LAYERS),
    Field("decoder_embed_dim", _WIDTHS),
    Field("decoder_layer_num", (1, 2, 3, 4, 5, 6)),
    Field("decoder_ffn_embed_dim", _HIDDEN, 6),
    Field("decoder_self_attention_heads", _HEADS, 6),
    Field("decoder_ende_attention_heads", _HEADS, 6),
    Field("decoder_arbitrary_ende_attn", (-1, 1, 2), 6),
)


class HATIWSLT14(HAT):
    """German to English, IWSLT'14; sentences of 23 tokens."""

    name = "hat_iwslt14deen"
    fields = _FIELDS
    source_words = 8848
    num_classes = 6632
    image_size = 23


class HATWMT14German(HAT):
    """English to German, WMT'14; sentences of 30 tokens."""

    name = "hat_wmt14ende"
    fields = _FIELDS
    num_classes = 32768
    image_size = 30


class HATWMT14French(HAT):
    """English to French, WMT'14; sentences of 30 tokens."""

    name = "hat_wmt14enfr"
    fields = _FIELDS
    num_classes = 44512
    image_size = 30


class HATWMT19(HAT):
    """English to German, WMT'19; sentences of 30 tokens."""

    name = "hat_wmt19ende"
    fields = _FIELDS
    num_classes = 40000
    image_size = 30
