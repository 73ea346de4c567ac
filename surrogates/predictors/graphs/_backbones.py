"""Backbones: message passing along both directions of the edges, and its hybrids with attention.

A backbone maps (n, width) nodes and their batch to (n, width) nodes; ``relations`` says which
pairs of nodes it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn import GATv2Conv, GINConv

from archcast.encoders.errors import InvalidSettingError
from archcast.predictors.graphs._data import Batch
from archcast.predictors.graphs._flan import Flan
from archcast.predictors.graphs._nnformer import NNFormer

_BOTH: Final = ("predecessors", "successors")


def feed_forward(width: int, factor: int = 2) -> nn.Sequential:
    """Two layers with a ReLU between."""
    return nn.Sequential(
        nn.Linear(width, factor * width), nn.ReLU(), nn.Linear(factor * width, width)
    )


class BothWays(nn.Module):
    """``h + drop(conv_in(norm(h)) + conv_out(norm(h)))``: inputs and users speak to a node."""

    def __init__(self, make: Callable[[], Any], width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.conv = nn.ModuleDict({name: make() for name in _BOTH})
        self.drop = nn.Dropout(dropout)

    def forward(self, h: Tensor, batch: Batch) -> Tensor:
        """The nodes after one layer."""
        x = self.norm(h)
        heard = sum(conv(x, batch.edges[name]) for name, conv in self.conv.items())
        return h + self.drop(heard)


class Stack(nn.Module):
    """Layers of message passing, one after another.

    Args:
        make: makes one layer's convolution.
        width: of the nodes.
        depth: number of layers.
        dropout: share of a layer's output that is dropped in training.
    """

    relations: ClassVar[tuple[str, ...]] = _BOTH

    def __init__(self, make: Callable[[], Any], width: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(BothWays(make, width, dropout) for _ in range(depth))

    def forward(self, h: Tensor, batch: Batch) -> Tensor:
        """The nodes after all layers."""
        for layer in self.layers:
            h = layer(h, batch)
        return h


class GIN(Stack):
    """``h_v' = MLP((1 + ε) h_v + Σ_u h_u)``, one MLP a direction.

    Reference:
        Xu et al., "How powerful are graph neural networks?", ICLR 2019.
    """

    def __init__(self, width: int, depth: int, heads: int, dropout: float) -> None:
        super().__init__(
            lambda: GINConv(feed_forward(width, 1), train_eps=True), width, depth, dropout
        )


class GATv2(Stack):
    """``h_v' = Σ_u softmax_u(aᵀ LeakyReLU(W [h_v, h_u])) W h_u``, one attention a direction.

    Reference:
        Brody, Alon and Yahav, "How attentive are graph attention networks?", ICLR 2022.
    """

    def __init__(self, width: int, depth: int, heads: int, dropout: float) -> None:
        super().__init__(
            lambda: GATv2Conv(width, width // heads, heads, add_self_loops=True),
            width,
            depth,
            dropout,
        )


class Attention(nn.Module):
    """``softmax(Q Kᵀ / √d) V`` over the nodes of each graph, in memory linear in their number."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.into = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, h: Tensor, batch: Batch) -> Tensor:
        """(n, width) nodes; graphs are padded to the largest of the batch."""
        count, largest = len(batch), batch.largest
        first = batch.counts.cumsum(0) - batch.counts
        place = torch.arange(len(h), device=h.device) - first[batch.graph]
        slot = batch.graph * largest + place
        x = self.into(h)
        padded = x.new_zeros(count * largest, x.shape[1]).index_copy(0, slot, x)
        q, k, v = padded.view(count, largest, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        real = torch.arange(largest, device=h.device)[None] < batch.counts[:, None]
        if count == 1 or bool(real.all()):
            out = functional.scaled_dot_product_attention(q, k, v)
        else:
            out = functional.scaled_dot_product_attention(q, k, v, real[:, None, None, :])
        flat = out.transpose(1, 2).reshape(count * largest, -1)
        return self.out(flat[slot])


class GPS(nn.Module):
    """``FFN(GIN(h) + attention(h))``, layer by layer: local messages beside global attention.

    Without positional encodings: the sizes of a node tell where in the network it stands.

    Reference:
        Rampášek et al., "Recipe for a general, powerful, scalable graph transformer", 2022.
    """

    relations: ClassVar[tuple[str, ...]] = _BOTH

    def __init__(self, width: int, depth: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.local = GIN(width, depth, heads, dropout).layers
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * depth))
        self.attention = nn.ModuleList(Attention(width, heads) for _ in range(depth))
        self.forwards = nn.ModuleList(feed_forward(width) for _ in range(depth))
        self.drop = nn.Dropout(dropout)

    def forward(self, h: Tensor, batch: Batch) -> Tensor:
        """The nodes after all layers."""
        for i, (local, attention, forward) in enumerate(
            zip(self.local, self.attention, self.forwards, strict=True)
        ):
            h = local(h, batch) + self.drop(attention(self.norm[2 * i](h), batch))
            h = h + self.drop(forward(self.norm[2 * i + 1](h)))
        return h


BACKBONES: Final[dict[str, Any]] = {
    "gin": GIN,
    "gatv2": GATv2,
    "gps": GPS,
    "nnformer": NNFormer,
    "flan": Flan,
}


def backbone(name: str, width: int, depth: int, heads: int, dropout: float) -> Any:
    """A fresh backbone.

    Args:
        name: one of :data:`BACKBONES`.
        width: of the nodes; a multiple of ``heads``.
        depth: number of layers.
        heads: of attentions.
        dropout: share of a layer's output that is dropped in training.

    Raises:
        InvalidSettingError: no such backbone, or sizes that do not fit.
    """
    if name not in BACKBONES:
        raise InvalidSettingError(f"unknown backbone {name!r}; known: {', '.join(BACKBONES)}")
    if depth < 1 or heads < 1 or width < 1 or width % heads:
        raise InvalidSettingError(f"width {width} is no multiple of {heads} heads, or no depth")
    return BACKBONES[name](width, depth, heads, dropout)
