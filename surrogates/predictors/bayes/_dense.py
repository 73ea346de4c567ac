"""Several small dense nets, trained side by side by numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

FloatArray = NDArray[np.float64]
Weights = list[NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How nets are trained.

    Attributes:
        epochs: passes over the rows.
        batch: rows a step.
        rate: Adam's first step size; it falls to zero along half a cosine.
        progress: whether a progress bar is shown.
    """

    epochs: int
    batch: int
    rate: float
    progress: bool = False


@dataclass(frozen=True, slots=True)
class Nets:
    """M nets ``x -> W_L relu(… relu(W_1 x + b_1) …) + b_L``.

    Attributes:
        weights: for each layer (M, in, out).
        biases: for each layer (M, 1, out).
    """

    weights: Weights
    biases: Weights

    @classmethod
    def draw(cls, members: int, widths: list[int], seed: int) -> Nets:
        """Random nets with layers of those widths, the input's and the output's included."""
        rng = np.random.default_rng(seed)
        weights, biases = [], []
        for enter, leave in pairwise(widths):
            scale = np.sqrt(2 / max(enter, 1))
            drawn = scale * rng.standard_normal((members, enter, leave))
            weights.append(drawn.astype(np.float32))
            biases.append(np.zeros((members, 1, leave), np.float32))
        return cls(weights, biases)

    def forward(self, x: NDArray[np.float32]) -> Weights:
        """What enters each layer, and the (M, n, 1) output, for (n, F) or (M, n, F) rows."""
        states = [x if x.ndim == 3 else np.broadcast_to(x, (len(self.weights[0]), *x.shape))]
        for at, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            state = states[-1] @ weight + bias
            states.append(np.maximum(state, 0) if at < len(self.weights) - 1 else state)
        return states

    def predict(self, x: NDArray[np.float32]) -> FloatArray:
        """(M, n) outputs for (n, F) rows."""
        return self.forward(x)[-1][..., 0].astype(np.float64)

    def gradients(self, states: Weights, slope: NDArray[np.float32]) -> Weights:
        """Derivatives by weights, then by biases, from those by the (M, n, 1) output."""
        by_weight, by_bias = [], []
        for at in reversed(range(len(self.weights))):
            by_weight.append(states[at].transpose(0, 2, 1) @ slope)
            by_bias.append(slope.sum(1, keepdims=True))
            if at:
                slope = (slope @ self.weights[at].transpose(0, 2, 1)) * (states[at] > 0)
        return by_weight[::-1] + by_bias[::-1]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The nets as named arrays."""
        named = {f"weight{i}": w for i, w in enumerate(self.weights)}
        return named | {f"bias{i}": b for i, b in enumerate(self.biases)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Nets:
        """The inverse of :meth:`arrays`."""
        layers = range(sum(name.startswith("weight") for name in arrays))
        return cls([arrays[f"weight{i}"] for i in layers], [arrays[f"bias{i}"] for i in layers])


def train(
    nets: Nets,
    x: NDArray[np.float32],
    y: FloatArray,
    importance: FloatArray,
    schedule: Schedule,
    seed: int,
) -> None:
    """Minimise ``mean importance |f(x) - y|`` by Adam, each net with batches of its own, in place.

    Args:
        nets: M nets.
        x: (n, F) inputs.
        y: (n,) targets.
        importance: (n,) positive weights.
        schedule: how.
        seed: of the order of rows.
    """
    rng = np.random.default_rng(seed)
    params = nets.weights + nets.biases
    first, second = [np.zeros_like(p) for p in params], [np.zeros_like(p) for p in params]
    members, count = len(nets.weights[0]), len(y)
    batch = min(schedule.batch, count)
    target, worth = y.astype(np.float32), (importance / importance.mean()).astype(np.float32)
    total = schedule.epochs * -(-count // batch)
    step = 0
    for _ in tqdm(range(schedule.epochs), disable=not schedule.progress, leave=False):
        order = np.argsort(rng.random((members, count)), 1)
        for start in range(0, count, batch):
            rows = order[:, start : start + batch]
            states = nets.forward(x[rows])
            sign = np.sign(states[-1][..., 0] - target[rows]) * worth[rows] / rows.shape[1]
            step += 1
            rate = schedule.rate * 0.5 * (1 + np.cos(np.pi * step / total))
            slopes = nets.gradients(states, sign[..., None].astype(np.float32))
            for p, g, m, v in zip(params, slopes, first, second, strict=True):
                np.add(m, 0.1 * (g - m), out=m)
                np.add(v, 0.001 * (g * g - v), out=v)
                root = np.sqrt(v / (1 - 0.999**step)) + 1e-8
                np.subtract(p, np.float32(rate / (1 - 0.9**step)) * m / root, out=p)
