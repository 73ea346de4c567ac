"""Contrastive learning: embeddings that are as alike as the wirings of their networks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archcast.predictors.graphs._data import GraphData
from archcast.predictors.graphs.gennape_topology import target_similarity

IntArray = NDArray[np.int64]


class Contrast:
    """``-Σ_i Σ_j a_ij log softmax_j(cos(z_i, z_j) / t)``, ``a`` from the distance of topologies.

    No label is seen. In a batch every graph is held against all others; where other methods have
    one positive pair, here all are positive in the measure of
    :func:`~archcast.predictors.graphs.gennape_topology.target_similarity`.

    Args:
        data: the graphs.
        spectra: (G, k) low ends of their Laplacians' spectra.
        batch: graphs that are held against each other.
        temperature: ``t``; smaller pushes unlike embeddings farther apart.
        softness: temperature of the target, in median distances of the batch.

    Reference:
        Mills et al., "GENNAPE: Towards Generalized Neural Architecture Performance Estimators",
        AAAI 2023.
    """

    def __init__(
        self,
        data: GraphData,
        spectra: NDArray[np.float64],
        batch: int,
        temperature: float,
        softness: float,
    ) -> None:
        self.data, self.spectra, self.batch = data, spectra, batch
        self.temperature, self.softness = temperature, softness

    def steps(self, rng: np.random.Generator) -> Sequence[IntArray]:
        """Distinct graphs at random; a last one alone has nothing to be held against."""
        order = rng.permutation(len(self.data))
        parts = [order[i : i + self.batch] for i in range(0, len(order), self.batch)]
        return [part for part in parts if len(part) > 1]

    def loss(self, model: torch.nn.Module, rows: IntArray) -> Tensor:
        """Cross-entropy of the target and the batch's cosines."""
        batch = self.data.batch(rows, next(model.parameters()).device)
        z = torch.nn.functional.normalize(model(batch).float(), dim=1)
        cosine = (z @ z.T) / self.temperature
        alone = torch.eye(len(z), dtype=torch.bool, device=z.device)
        log = cosine.masked_fill(alone, -torch.inf).log_softmax(1).masked_fill(alone, 0)
        target = target_similarity(self.spectra[rows], self.softness)
        return -(torch.from_numpy(target).to(log) * log).sum(1).mean()

    def validate(self, model: torch.nn.Module) -> float | None:
        """Nothing is held out: there are no labels to overfit."""
        return None

    def fingerprint(self) -> str:
        """Of the graphs and the settings."""
        digest = hashlib.sha256(self.spectra.tobytes() + self.data.op.tobytes()).hexdigest()
        return f"contrast {digest} {self.batch} {self.temperature} {self.softness}"
