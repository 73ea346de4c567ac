"""``head(readout(backbone(embedding(graph))))``: the parts that all graph networks share."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from archcast.encoders.ops import GROUP_OF, OPS
from archcast.predictors.graphs._data import FACTS, NUMBERS, Batch, GraphData

_GROUPS: Final = max(GROUP_OF) + 1
#: Bounds of the predicted log variance, of standardised targets.
_LOG_VARIANCE: Final = (-10.0, 4.0)


class Embedding(nn.Module):
    """``E_op + E_group + E_before + E_after + MLP(sizes)`` of each node.

    An operator that was never seen in training still has its group's embedding.
    """

    numbers: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.op = nn.Embedding(len(OPS), width)
        self.group = nn.Embedding(_GROUPS, width)
        nn.init.normal_(self.op.weight, std=0.02)
        nn.init.normal_(self.group.weight, std=0.3)
        self.before = nn.Embedding(len(OPS) + 1, width)
        self.after = nn.Embedding(len(OPS) + 1, width)
        nn.init.normal_(self.before.weight, std=0.3)
        nn.init.normal_(self.after.weight, std=0.3)
        self.sizes = nn.Sequential(nn.Linear(NUMBERS, width), nn.ReLU(), nn.Linear(width, width))
        self.register_buffer("numbers", torch.tensor([[0.0] * NUMBERS, [1.0] * NUMBERS]))
        self.register_buffer("group_of", torch.tensor(GROUP_OF), persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """(n, width) embeddings."""
        sizes = (batch.numbers - self.numbers[0]) / self.numbers[1]
        groups = self.get_buffer("group_of")[batch.op]
        fused = self.before(batch.fused[:, 0]) + self.after(batch.fused[:, 1])
        return self.op(batch.op) + self.group(groups) + fused + self.sizes(sizes.clamp(-5, 5))


class Readout(nn.Module):
    """``[mean_v h_v, max_v h_v, sizes of the graph]``, whatever the number of nodes."""

    facts: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.register_buffer("facts", torch.tensor([[0.0] * FACTS, [1.0] * FACTS]))
        self.width = 2 * width + FACTS

    def forward(self, h: Tensor, batch: Batch) -> Tensor:
        """(B, self.width) vectors of (n, width) nodes."""
        h = self.norm(h)
        count = len(batch)
        mean = h.new_zeros(count, h.shape[1]).index_add(0, batch.graph, h)
        mean = mean / batch.counts.clamp(min=1)[:, None].to(h.dtype)
        index = batch.graph[:, None].expand_as(h)
        top = h.new_zeros(count, h.shape[1]).scatter_reduce(0, index, h, "amax", include_self=False)
        facts = ((batch.facts - self.facts[0]) / self.facts[1]).clamp(-5, 5)
        return torch.cat([mean, top, facts.to(h.dtype)], 1)


class Network(nn.Module):
    """A backbone with everything before and after it.

    Args:
        backbone: from (n, width) nodes and the batch to (n, width) nodes.
        width: of the nodes.
        tasks: number of targets T.
        dropout: share of the readout that is dropped in training.
    """

    def __init__(self, backbone: nn.Module, width: int, tasks: int, dropout: float) -> None:
        super().__init__()
        self.embedding = Embedding(width)
        self.backbone = backbone
        self.readout = Readout(width)
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(self.readout.width, width),
            nn.ReLU(),
            nn.Linear(width, tasks),
        )
        self.noise = nn.Linear(self.readout.width, tasks)
        nn.init.zeros_(self.noise.weight)

    def scale_to(self, data: GraphData) -> None:
        """Standardise sizes as they are in the training data."""
        for target, table in (
            (self.embedding.numbers, data.numbers),
            (self.readout.facts, data.facts),
        ):
            spread = table.std(0)
            found = np.stack([table.mean(0), np.where(spread > 1e-3, spread, 1.0)])
            target.copy_(torch.from_numpy(found.astype(np.float32)))

    def embed(self, batch: Batch) -> Tensor:
        """(B, d) vectors that the head sees."""
        return self.readout(self.backbone(self.embedding(batch), batch), batch)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Scores and log variances, each (B, T).

        The variance learns beside, without a say in what the backbone becomes.
        """
        vector = self.embed(batch)
        noise = self.noise(vector.detach()).clamp(*_LOG_VARIANCE)
        return self.head(vector), noise


@torch.no_grad()
def evaluate(model: Any, data: GraphData, what: str = "forward") -> list[np.ndarray]:
    """Outputs of a model for all distinct graphs.

    Args:
        model: a :class:`Network`, in evaluation mode.
        data: G distinct graphs.
        what: name of the method: ``forward`` gives two outputs, ``embed`` one.

    Returns:
        (G, …) arrays.
    """
    device = next(model.parameters()).device
    found: list[np.ndarray] = []
    call = model if what == "forward" else getattr(model, what)
    for rows, batch in data.batches(device):
        out = call(batch)
        outs = [o.float().cpu().numpy() for o in (out if isinstance(out, tuple) else (out,))]
        found = found or [np.zeros((len(data), o.shape[1]), np.float32) for o in outs]
        for target, part in zip(found, outs, strict=True):
            target[rows] = part
    return found
