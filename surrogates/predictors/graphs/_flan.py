"""Flow attention: gated flow beside graph attention, along the computation and back."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv

from archcast.predictors.graphs._data import Batch


class FlowLayer(nn.Module):
    """Mean of ``s(W_o o) ⊙ (A X W) + X W + b`` and ``norm(s(W_g o) ⊙ GAT(X))``, s the sigmoid.

    ``o`` is the operator's embedding, which gates what flows into a node.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.flow = nn.Linear(width, width, bias=False)
        self.bias = nn.Parameter(torch.zeros(width))
        self.gates = nn.Linear(width, 2 * width)
        self.attention = GATConv(width, width // heads, heads, add_self_loops=True)
        self.norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, op: Tensor, edges: Tensor) -> Tensor:
        """(n, width) nodes; messages flow along ``edges``."""
        gate, other = torch.sigmoid(self.gates(op)).chunk(2, 1)
        carried = self.flow(x)
        heard = torch.zeros_like(carried).index_add(0, edges[1], carried[edges[0]])
        flow = gate * heard + carried + self.bias
        attention = self.norm(other * self.attention(x, edges))
        return self.drop(torch.relu((flow + attention) / 2))


class Flan(nn.Module):
    """Two rounds of flow: along the edges, back, and ``o' = o + MLP([forth, back, o])``.

    What flows back refines the embeddings of the operators, and the second round starts from them.
    A residual joins the layers of one direction (ours: full networks are deeper than cells).

    Reference:
        Akhauri and Abdelfattah, "Encodings for prediction-based neural architecture search",
        ICML 2024; Ning et al., "A generic graph-based neural architecture encoding scheme", 2020.
    """

    relations: ClassVar[tuple[str, ...]] = ("predecessors", "successors")
    rounds: ClassVar[int] = 2

    def __init__(self, width: int, depth: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.forth = nn.ModuleList(FlowLayer(width, heads, dropout) for _ in range(depth))
        self.back = nn.ModuleList(FlowLayer(width, heads, dropout) for _ in range(depth))
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * depth))
        self.refine = nn.Sequential(nn.Linear(3 * width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, h: Tensor, batch: Batch) -> Tensor:
        """The nodes after the last round's forward flow."""
        op = x = h
        for turn in range(self.rounds):
            x = self._flow(h, op, batch.edges["predecessors"], self.forth, 0)
            if turn + 1 < self.rounds:
                back = self._flow(x, op, batch.edges["successors"], self.back, len(self.forth))
                op = op + self.refine(torch.cat([x, back, op], 1))
        return x

    def _flow(self, x: Tensor, op: Tensor, edges: Tensor, layers: nn.ModuleList, at: int) -> Tensor:
        for i, layer in enumerate(layers):
            x = x + layer(self.norm[at + i](x), op, edges)
        return x
