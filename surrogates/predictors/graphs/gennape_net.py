"""GENNAPE's heads: one a cluster, and two that compare pairs."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from archcast.predictors.graphs._data import Batch, GraphData
from archcast.predictors.graphs.gennape_encoder import Encoder
from archcast.predictors.losses import huber

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: What the pairwise classifiers are trained to tell: which has the higher label, which more MACs.
JUDGES: Final = ("label", "flops")
#: Column of the MACs among a graph's facts.
_MACS: Final = -1


class Heads(nn.Module):
    """``W_2c relu(W_1c z + b_1c) + b_2c`` for each of C clusters, all at once.

    Args:
        width: length of the embedding ``z``.
        clusters: C.
    """

    def __init__(self, width: int, clusters: int) -> None:
        super().__init__()
        hidden = width
        self.first = nn.Parameter(torch.randn(clusters, width, hidden) * (2 / width) ** 0.5)
        self.first_bias = nn.Parameter(torch.zeros(clusters, hidden))
        self.second = nn.Parameter(torch.randn(clusters, hidden) * hidden**-0.5)
        self.second_bias = nn.Parameter(torch.zeros(clusters))

    def forward(self, z: Tensor) -> Tensor:
        """(B, width) embeddings to (B, C) forecasts."""
        hidden = (torch.einsum("bd,cdh->bch", z, self.first) + self.first_bias).relu()
        return (hidden * self.second).sum(2) + self.second_bias


class Judge(nn.Module):
    """``P(x above x') = sigmoid(g(z, z') - g(z', z))``, ``g`` an MLP: a pairwise classifier.

    Args:
        width: length of an embedding ``z``.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.left = nn.Linear(width, width)
        self.right = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, 1, bias=False)

    def forward(self, z: Tensor, other: Tensor) -> Tensor:
        """(B, width) and (A, width) embeddings to (B, A) logits."""
        ahead = (self.left(z)[:, None] + self.right(other)[None]).relu()
        behind = (self.right(z)[:, None] + self.left(other)[None]).relu()
        return self.out(ahead - behind)[..., 0]


class Gennape(nn.Module):
    """Encoder, a head a cluster, and the pairwise classifiers.

    Args:
        encoder: already trained by contrast, or not.
        clusters: C.
        pairwise: whether there are pairwise classifiers.
    """

    def __init__(self, encoder: Encoder, clusters: int, pairwise: bool) -> None:
        super().__init__()
        width = encoder.operator.embedding_dim
        self.encoder = encoder
        self.heads = Heads(width, clusters)
        self.judges = nn.ModuleDict({name: Judge(width) for name in JUDGES} if pairwise else {})

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Embeddings (B, d), forecasts (B, C) and each classifier's logits (B, B)."""
        z = self.encoder(batch)
        return z, self.heads(z), {name: judge(z, z) for name, judge in self.judges.items()}


@dataclass
class Supervised:
    """``huber(Σ_c u_c head_c - y)`` and the pairwise classifiers' binary cross-entropies.

    The three are trained together on one encoder.

    Attributes:
        data: the graphs.
        target: (G,) standardised label of each distinct graph.
        membership: (G, C) shares ``u`` of the clusters.
        learn: distinct graphs to learn from.
        check: those that are held out, perhaps none.
        batch: graphs in a step.
    """

    data: GraphData
    target: FloatArray
    membership: FloatArray
    learn: IntArray
    check: IntArray
    batch: int

    def steps(self, rng: np.random.Generator) -> Sequence[IntArray]:
        """All graphs to learn from, in random order."""
        order = rng.permutation(self.learn)
        return [order[i : i + self.batch] for i in range(0, len(order), self.batch)]

    def loss(self, model: nn.Module, rows: IntArray) -> Tensor:
        """The sum of all losses."""
        batch = self.data.batch(rows, next(model.parameters()).device)
        _, heads, judged = model(batch)
        share, target = (
            torch.from_numpy(array[rows]).to(heads) for array in (self.membership, self.target)
        )
        total = huber((heads * share).sum(1)[:, None], target[:, None])
        truth = {"label": target, "flops": batch.facts[:, _MACS]}
        for name, logits in judged.items():
            total = total + _cross_entropy(logits, truth[name])
        return total

    def validate(self, model: nn.Module) -> float | None:
        """Mean loss of the forecasts that are held out."""
        if not len(self.check):
            return None
        total = 0.0
        for start in range(0, len(self.check), 128):
            rows = self.check[start : start + 128]
            _, heads, _ = model(self.data.batch(rows, next(model.parameters()).device))
            value = (heads.cpu().double().numpy() * self.membership[rows]).sum(1)
            total += float(np.abs(value - self.target[rows]).sum())
        return total / len(self.check)

    def fingerprint(self) -> str:
        """Of the graphs and their labels."""
        parts = (self.data.op, self.target, self.membership, self.learn)
        return hashlib.sha256(b"".join(p.tobytes() for p in parts)).hexdigest()


def _cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    """Of all pairs with different truths."""
    above = truth[:, None] > truth[None]
    different = above | above.T
    if not different.any():
        return logits.sum() * 0
    return nn.functional.binary_cross_entropy_with_logits(
        logits[different], above[different].to(logits)
    )


def new_encoder(width: int, layers: int, seed: int) -> Encoder:
    """A fresh encoder; torch's global generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder(width, layers)


def new_net(encoder: Encoder, clusters: int, pairwise: bool, seed: int) -> Gennape:
    """A network with fresh heads on a copy of the encoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Gennape(copy.deepcopy(encoder), clusters, pairwise)
    return net.requires_grad_(True).eval()


def opinions(
    net: Gennape, data: GraphData, anchors: NDArray[np.float32]
) -> tuple[FloatArray, FloatArray]:
    """What every part of a trained network says.

    Args:
        net: the network.
        data: G distinct graphs.
        anchors: (A, d) embeddings of architectures to compare with.

    Returns:
        (G, C) forecasts of the heads, and (G, K) mean logits of the K pairwise classifiers that
        the architecture is above an anchor.
    """
    heads = np.empty((len(data), len(net.heads.second_bias)))
    scores = np.empty((len(data), len(net.judges)))
    compared = torch.from_numpy(anchors)
    with torch.no_grad():
        for rows, batch in data.batches():
            z = net.encoder(batch)
            heads[rows] = net.heads(z).numpy()
            for at, judge in enumerate(net.judges.values()):
                scores[rows, at] = judge(z, compared).mean(1).numpy()
    return heads, scores


def weights(module: nn.Module) -> dict[str, NDArray[Any]]:
    """Name -> array of all that a module has learned."""
    return {name: value.detach().cpu().numpy() for name, value in module.state_dict().items()}


def load_weights(module: nn.Module, arrays: dict[str, NDArray[Any]], prefix: str) -> None:
    """The inverse of :func:`weights`; arrays whose names begin with the prefix."""
    found = {
        name.removeprefix(prefix): torch.from_numpy(np.array(value))
        for name, value in arrays.items()
        if name.startswith(prefix)
    }
    module.load_state_dict(found)
    module.eval()
