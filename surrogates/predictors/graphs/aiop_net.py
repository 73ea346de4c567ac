"""AIO-P's networks: a frozen base, an adapter beside it for every task, a head on both."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from archcast.predictors.graphs._data import Batch, GraphData
from archcast.predictors.graphs.gennape_encoder import Encoder, GraphConvolution, pooled
from archcast.predictors.graphs.gennape_net import Heads
from archcast.predictors.losses import huber

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Patterns of missing labels up to which batches are made of one each.
_KINDS: Final = 8


class Base(nn.Module):
    """``W pool(h^(L)) + b``: the base on its own task, before it is frozen.

    Args:
        encoder: the base.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        width = encoder.operator.embedding_dim
        self.encoder = encoder
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, batch: Batch, tasks: Sequence[int] | None = None) -> Tensor:
        """(B, 1) forecasts; there is one task."""
        return self.head(self.encoder(batch))


class Adapter(nn.Module):
    """``a^(i+1) = a^(i) + relu(GraphConvolution([h^(i+1), a^(i)]))``, ``h`` the base's states.

    Args:
        width: length of the base's states and of its own.
        layers: as many as the base has.

    Reference:
        Mills et al., "AIO-P: Expanding Neural Performance Predictors Beyond Image Classification",
        AAAI 2023; K-adapters after Wang et al., "K-Adapter", Findings of ACL 2021.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.enter = nn.Linear(width, width)
        self.layers = nn.ModuleList(GraphConvolution(width, 2 * width) for _ in range(layers))

    def forward(self, states: Sequence[Tensor], batch: Batch) -> Tensor:
        """L + 1 states of the base, each (n, d), to (n, d) states."""
        own = self.enter(states[0])
        for layer, state in zip(self.layers, states[1:], strict=True):
            own = own + layer(torch.cat([state, own], 1), batch).relu()
        return own


class Aiop(nn.Module):
    """Frozen base, K adapters, and a head ``MLP_k(pool(h) ⊕ pool(a_k))`` for each.

    Args:
        encoder: the base; a frozen copy is kept.
        tasks: K.
    """

    def __init__(self, encoder: Encoder, tasks: int) -> None:
        super().__init__()
        width = encoder.operator.embedding_dim
        self.encoder = copy.deepcopy(encoder).requires_grad_(False)
        self.adapters = nn.ModuleList(Adapter(width, len(encoder.layers)) for _ in range(tasks))
        self.heads = TaskHeads(width, tasks)

    def views(self, batch: Batch, tasks: Sequence[int] | None = None) -> Tensor:
        """(B, K, 2d) what each task's head sees of each graph; of some tasks, if named."""
        with torch.no_grad():
            states = self.encoder.states(batch)
            base = pooled(states[-1], batch)
        chosen = range(len(self.adapters)) if tasks is None else tasks
        parts = [pooled(self.adapters[task](states, batch), batch) for task in chosen]
        return torch.stack([torch.cat([base, part], 1) for part in parts], 1)

    def forward(self, batch: Batch, tasks: Sequence[int] | None = None) -> Tensor:
        """(B, K) forecasts; of some tasks, if named."""
        return self.heads(self.views(batch, tasks), tasks)


class TaskHeads(Heads):
    """K heads that each see an input of their own: (B, K, 2d) to (B, K)."""

    def __init__(self, width: int, tasks: int) -> None:
        super().__init__(2 * width, tasks)

    def forward(self, z: Tensor, tasks: Sequence[int] | None = None) -> Tensor:
        """(B, K, 2d) views to (B, K) forecasts; of some tasks, if named."""
        at = slice(None) if tasks is None else list(tasks)
        hidden = torch.einsum("bkd,kdh->bkh", z, self.first[at]) + self.first_bias[at]
        return (hidden.relu() * self.second[at]).sum(2) + self.second_bias[at]


class Tuned(nn.Module):
    """``mean_k head_tk(view_k)`` for each of T new tasks: their heads begin as the K learned ones.

    Args:
        heads: of the K tasks learned from.
        tasks: T.
    """

    def __init__(self, heads: TaskHeads, tasks: int) -> None:
        super().__init__()
        self.tasks = nn.ModuleList(copy.deepcopy(heads) for _ in range(tasks))

    def opinions(self, views: Tensor) -> Tensor:
        """(B, K, 2d) views to (B, T, K) forecasts."""
        return torch.stack([heads(views) for heads in self.tasks], 1)

    def forward(self, views: Tensor) -> Tensor:
        """(B, K, 2d) views to (B, T) forecasts."""
        return self.opinions(views).mean(2)


@dataclass
class Tasks:
    """``huber`` over several tasks with missing labels.

    Attributes:
        data: the graphs.
        target: (G, T) standardised labels, NaN where there is none.
        learn: distinct graphs to learn from.
        check: those that are held out, perhaps none.
        batch: graphs in a step.
    """

    data: GraphData
    target: FloatArray
    learn: IntArray
    check: IntArray
    batch: int

    def steps(self, rng: np.random.Generator) -> Sequence[IntArray]:
        """All graphs to learn from, in random order.

        Those with labels of the same tasks are together, so that no adapter runs for nothing.
        """
        order = rng.permutation(self.learn)
        known = np.isfinite(self.target[order])
        kind = np.unique(known, axis=0, return_inverse=True)[1].reshape(-1)
        if kind.max(initial=0) >= _KINDS:
            kind[:] = 0
        parts = []
        for number in range(kind.max(initial=0) + 1):
            rows = order[kind == number]
            parts += [rows[i : i + self.batch] for i in range(0, len(rows), self.batch)]
        return [parts[i] for i in rng.permutation(len(parts))]

    def loss(self, model: nn.Module, rows: IntArray) -> Tensor:
        """Of some graphs, over the tasks that any of them has a label of."""
        target = self.target[rows]
        tasks = np.flatnonzero(np.isfinite(target).any(0)).tolist()
        value = model(self.data.batch(rows, next(model.parameters()).device), tasks)
        return huber(value, torch.from_numpy(target[:, tasks]).to(value))

    def validate(self, model: nn.Module) -> float | None:
        """Mean loss of what is held out."""
        parts = [self.check[i : i + 128] for i in range(0, len(self.check), 128)]
        if not parts:
            return None
        return float(np.mean([float(self.loss(model, rows)) for rows in parts]))

    def fingerprint(self) -> str:
        """Of the graphs and their labels."""
        parts = (self.data.op, self.target, self.learn)
        return hashlib.sha256(b"".join(p.tobytes() for p in parts)).hexdigest()


@dataclass
class FewLabels:
    """``huber`` of new heads on views that stay as they are, all rows in every step.

    Attributes:
        views: (n, K, 2d) float32.
        target: (n, T) standardised labels, NaN where there is none.
    """

    views: NDArray[np.float32]
    target: FloatArray

    def steps(self, rng: np.random.Generator) -> Sequence[IntArray]:
        """One."""
        return [np.arange(len(self.views))]

    def loss(self, model: nn.Module, rows: IntArray) -> Tensor:
        """Of all rows."""
        device = next(model.parameters()).device
        value = model(torch.from_numpy(self.views[rows]).to(device))
        return huber(value, torch.from_numpy(self.target[rows]).to(value))

    def validate(self, model: nn.Module) -> float | None:
        """There are too few labels to hold any out."""
        return None

    def fingerprint(self) -> str:
        """Of views and labels."""
        return hashlib.sha256(self.views.tobytes() + self.target.tobytes()).hexdigest()


def all_views(net: Aiop, data: GraphData) -> NDArray[np.float32]:
    """(G, K, 2d) what each task's head sees of all distinct graphs."""
    width = net.encoder.operator.embedding_dim
    found = np.empty((len(data), len(net.adapters), 2 * width), np.float32)
    with torch.no_grad():
        for rows, batch in data.batches():
            found[rows] = net.views(batch).numpy()
    return found


def fresh(kind: type[nn.Module], *arguments: object, seed: int) -> nn.Module:
    """A new module; torch's global generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(*arguments).eval()
