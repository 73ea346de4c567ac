"""The k-GNN that GENNAPE and AIO-P read computation graphs with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from archcast.encoders.ops import OPS
from archcast.predictors.graphs._data import NUMBERS, Batch, GraphData

#: Standardised numbers are cut off here: beyond, farther is only "far".
_CLIP = 3.0


class GraphConvolution(nn.Module):
    """``LayerNorm(W_0 h_i + W_1 Σ_(j→i) h_j + W_2 Σ_(i→j) h_j)``: k-GNN's layer, edges both ways.

    Args:
        width: d, length of a node's state.
        inside: length of the states that come in; ``width`` if None.

    Reference:
        Morris et al., "Weisfeiler and Leman Go Neural", AAAI 2019, equation 4 (k = 1).
    """

    def __init__(self, width: int, inside: int | None = None) -> None:
        super().__init__()
        self.mix = nn.Linear(3 * (inside or width), width)
        self.norm = nn.LayerNorm(width)

    def forward(self, h: Tensor, batch: Batch) -> Tensor:
        """(n, inside) states to (n, width) messages."""
        sums = [h]
        for relation in ("predecessors", "successors"):
            source, target = batch.edges[relation]
            sums.append(torch.zeros_like(h).index_add(0, target, h[source]))
        return self.norm(self.mix(torch.cat(sums, 1)))


class Encoder(nn.Module):
    """``mean_i h_i^(L)`` with ``h^(l+1) = h^(l) + relu(GraphConvolution(h^(l)))``.

    Residuals and norms are ours: without them six layers forecast worse across spaces.

    Args:
        width: d, length of a node's state and of the embedding.
        layers: L.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.operator = nn.Embedding(len(OPS), width)
        self.numbers = nn.Linear(NUMBERS, width)
        self.layers = nn.ModuleList(GraphConvolution(width) for _ in range(layers))
        self.register_buffer("centre", torch.zeros(NUMBERS))
        self.register_buffer("scale", torch.ones(NUMBERS))

    def standardise(self, data: GraphData) -> None:
        """Take the scale of the nodes' numbers from the graphs to learn from."""
        self.centre.copy_(torch.from_numpy(data.numbers.mean(0)))
        self.scale.copy_(torch.from_numpy(data.numbers.std(0) + 0.05))

    def states(self, batch: Batch) -> list[Tensor]:
        """``[h^(0), …, h^(L)]``, each (n, d)."""
        sizes = ((batch.numbers - self.centre) / self.scale).clamp(-_CLIP, _CLIP)
        found = [self.operator(batch.op) + self.numbers(sizes)]
        for layer in self.layers:
            found.append(found[-1] + layer(found[-1], batch).relu())
        return found

    def forward(self, batch: Batch) -> Tensor:
        """(B, d) embeddings."""
        return pooled(self.states(batch)[-1], batch)


def pooled(h: Tensor, batch: Batch) -> Tensor:
    """(B, d) means of (n, d) states over the nodes of each graph."""
    total = h.new_zeros(len(batch), h.shape[1]).index_add(0, batch.graph, h)
    return total / batch.counts[:, None]


def embed(encoder: nn.Module, data: GraphData) -> np.ndarray:
    """(G, d) embeddings of all distinct graphs, without gradients."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    with torch.no_grad():
        for rows, batch in data.batches():
            found.append((rows, encoder(batch).double().numpy()))
    result = np.empty((len(data), found[0][1].shape[1]))
    for rows, values in found:
        result[rows] = values
    return result
