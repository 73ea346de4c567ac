"""The directed transformer: attention between neighbours and siblings of a directed graph."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.utils import softmax

from archcast.predictors.graphs._data import RELATIONS, Batch


class NeighbourAttention(nn.Module):
    """``softmax(Q Kᵀ / √d, masked by I + M_k) V`` with masks A, Aᵀ, AAᵀ, AᵀA, one a group of heads.

    All masks are sparse, so that the scores of the pairs they keep are all that is computed: the
    result of dense attention, in memory linear in the edges.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.each = max(heads // len(RELATIONS), 1)
        self.size = width // (self.each * len(RELATIONS))
        inner = self.size * self.each
        self.into = nn.ModuleDict({name: nn.Linear(width, 3 * inner) for name in RELATIONS})
        self.out = nn.Linear(inner * len(RELATIONS), width)

    def forward(self, h: Tensor, masks: dict[str, Tensor]) -> Tensor:
        """(n, width) nodes; masks are the pairs they keep."""
        found = []
        for name, into in self.into.items():
            source, target = masks[name]
            q, k, v = into(h).view(len(h), 3, self.each, self.size).unbind(1)
            score = (q[target] * k[source]).sum(-1) / self.size**0.5
            share = softmax(score, target, num_nodes=len(h)).to(v.dtype)
            heard = torch.zeros_like(v).index_add(0, target, share[..., None] * v[source])
            found.append(heard.flatten(1))
        return self.out(torch.cat(found, 1))


class NeighbourForward(nn.Module):
    """``ReLU(H W₁ + [A H W, Aᵀ H W']) W₂``: a feed-forward that looks one edge far."""

    def __init__(self, width: int, factor: int = 2) -> None:
        super().__init__()
        self.first = nn.Linear(width, factor * width)
        half = factor * width // 2
        self.users = nn.Linear(width, half, bias=False)
        self.inputs = nn.Linear(width, half, bias=False)
        self.second = nn.Linear(2 * half, width)

    def forward(self, h: Tensor, batch: Batch) -> Tensor:
        """(n, width) nodes."""
        parts = []
        for name, linear in (("successors", self.users), ("predecessors", self.inputs)):
            source, target = batch.edges[name]
            x = linear(h)
            parts.append(torch.zeros_like(x).index_add(0, target, x[source]))
        return self.second(torch.relu(self.first(h) + torch.cat(parts, 1)))


class NNFormer(nn.Module):
    """``h + FFN(h + attention(h))`` with heads masked by I+A, I+Aᵀ, I+AAᵀ, I+AᵀA.

    No positional encoding. Norms stand before attention and feed-forward.

    Reference:
        Xu et al., "NN-Former: rethinking graph structure in neural architecture representation",
        CVPR 2025.
    """

    relations: ClassVar[tuple[str, ...]] = RELATIONS

    def __init__(self, width: int, depth: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.ModuleList(NeighbourAttention(width, heads) for _ in range(depth))
        self.forwards = nn.ModuleList(NeighbourForward(width) for _ in range(depth))
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * depth))
        self.drop = nn.Dropout(dropout)

    def forward(self, h: Tensor, batch: Batch) -> Tensor:
        """The nodes after all layers."""
        masks = {name: _mask(batch.edges[name], len(h)) for name in RELATIONS}
        for i, (attention, forward) in enumerate(zip(self.attention, self.forwards, strict=True)):
            h = h + self.drop(attention(self.norm[2 * i](h), masks))
            h = h + self.drop(forward(self.norm[2 * i + 1](h), batch))
        return h


def _mask(pairs: Tensor, n: int) -> Tensor:
    """(2, e) pairs that I + M keeps, each once: a mask does not count (``x + x`` has two edges)."""
    own = torch.arange(n, device=pairs.device)
    keys = torch.unique(torch.cat([pairs[0] * n + pairs[1], own * (n + 1)]))
    return torch.stack([keys // n, keys % n])
