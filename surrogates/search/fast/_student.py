"""Small networks that answer for a slow predictor, from codes alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from archcast.search.fast._codes import Codes

FloatArray = NDArray[np.float64]
Single = NDArray[np.float32]

_WIDTHS: Final = (128, 64)
#: Networks whose mean answers: their errors differ, as their beginnings do.
_MEMBERS: Final = 6
_EPOCHS: Final = 20
#: Fewest steps, however few the rows.
_STEPS: Final = 700
_BATCH: Final = 256
_RATE: Final = 3e-3
_DECAY: Final = 1e-4
_MOMENTS: Final = (0.9, 0.99)
#: Rows answered at once: their hidden units stay in the cache.
_BLOCK: Final = 2048


@dataclass(frozen=True, slots=True)
class Student:
    """The mean of M networks ``W3 relu(W2 relu(Σ_p table[column_p] + b1) + b2) + b3``.

    Attributes:
        offsets: (P,) from codes to columns.
        layers: tables (M, C, H), biases (M, H) and matrices, from the codes to the targets, of all
            members.
        centre: (T,) of the targets.
        spread: (T,) of the targets.
    """

    offsets: NDArray[np.int32]
    layers: tuple[Single, ...]
    centre: FloatArray
    spread: FloatArray

    @classmethod
    def fit(
        cls, codes: Codes, targets: FloatArray, offsets: NDArray[np.int32], columns: int, seed: int
    ) -> Student:
        """Learn (n, T) targets from (n, P) codes, by squared error.

        Args:
            codes: of the architectures.
            targets: what is to be answered.
            offsets: (P,) see :class:`~archcast.search.fast._codes.Coder`.
            columns: how many there are.
            seed: of the weights and of the order of the rows.

        Reference:
            Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015;
            Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019;
            Lakshminarayanan, Pritzel and Blundell, "Simple and Scalable Predictive Uncertainty
            Estimation using Deep Ensembles", NeurIPS 2017.
        """
        centre, spread = targets.mean(0), np.maximum(targets.std(0), 1e-12)
        scaled, hot = (targets - centre) / spread, codes + offsets
        members = [_train(hot, scaled, columns, [seed, k]) for k in range(_MEMBERS)]
        layers = tuple(np.stack(layer) for layer in zip(*members, strict=True))
        return cls(offsets, layers, centre, spread)

    def answer(self, codes: Codes) -> FloatArray:
        """(n, P) codes to (n, T) targets."""
        found = np.zeros((len(codes), len(self.centre)))
        for member in zip(*self.layers, strict=True):
            for start in range(0, len(codes), _BLOCK):
                rows = codes[start : start + _BLOCK] + self.offsets
                found[start : start + _BLOCK] += _answer(member, rows)
        return self.centre + self.spread * found / len(self.layers[0])

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """As named arrays, the inverse of :meth:`from_arrays`."""
        layers = {f"layer{k}": layer for k, layer in enumerate(self.layers)}
        scale = {"centre": self.centre, "spread": self.spread}
        return {"offsets": self.offsets, **scale, **layers}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Student:
        """Rebuild what :meth:`arrays` gave.

        Raises:
            KeyError: an array is missing.
        """
        layers = tuple(np.asarray(arrays[f"layer{k}"], np.float32) for k in range(6))
        centre, spread = (np.asarray(arrays[k], np.float64) for k in ("centre", "spread"))
        return cls(np.asarray(arrays["offsets"], np.int32), layers, centre, spread)


def _answer(member: tuple[Single, ...], columns: Codes) -> Single:
    """(n, P) columns to the (n, T) scaled targets of one network."""
    table, b1, w2, b2, w3, b3 = member
    hidden = np.repeat(b1[None], len(columns), 0)
    for column in columns.T:
        hidden += table.take(column, 0)
    np.maximum(hidden, 0, out=hidden)
    return np.maximum(hidden @ w2 + b2, 0) @ w3 + b3


def _train(columns: Codes, targets: FloatArray, width: int, seed: list[int]) -> list[Single]:
    """Weights after :data:`_EPOCHS` epochs of AdamW or more, its rate falling as a cosine."""
    rng = np.random.default_rng(seed)
    hot = np.zeros((len(columns), width), np.float32)
    for place in columns.T:  # two edges of a node may be equal, and then count twice
        hot[np.arange(len(hot)), place] += 1
    layers = _begin(columns.shape[1], width, targets.shape[1], rng)
    first, second = ([np.zeros_like(p) for p in layers] for _ in range(2))
    goal = targets.astype(np.float32)
    size = min(_BATCH, len(hot))
    steps = max(_EPOCHS * (len(hot) // size), _STEPS)
    order = np.arange(len(hot))
    for step in range(steps):
        at = step % (len(hot) // size)
        if at == 0:
            order = rng.permutation(len(hot))
        rows = order[at * size : (at + 1) * size]
        rate = _RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
        slopes = _slopes(layers, hot[rows], goal[rows])
        for parts in zip(layers, first, second, slopes, strict=True):
            _descend(*parts, step + 1, float(rate))
    return layers


def _descend(
    weights: Single, first: Single, second: Single, slope: Single, step: int, rate: float
) -> None:
    """One step of AdamW, in place."""
    a, b = _MOMENTS
    first += (1 - a) * (slope - first)
    second += (1 - b) * (slope * slope - second)
    pace = first / (1 - a**step) / (np.sqrt(second / (1 - b**step)) + 1e-8)
    weights -= rate * (pace + _DECAY * weights)


def _begin(places: int, width: int, targets: int, rng: np.random.Generator) -> list[Single]:
    """He-initialised weights; a row of the first table is one of so many that are summed."""
    one, two = _WIDTHS
    shapes = ((width, one, 2 / places), (one, two, 2 / one), (two, targets, 1 / two))
    found: list[Single] = []
    for enter, leave, variance in shapes:
        found.append(rng.normal(0, np.sqrt(variance), (enter, leave)).astype(np.float32))
        found.append(np.zeros(leave, np.float32))
    return found


def _slopes(layers: list[Single], x: Single, y: Single) -> list[Single]:
    """Gradients of the mean squared error by the layers, in their order."""
    w1, b1, w2, b2, w3, b3 = layers
    one = np.maximum(x @ w1 + b1, 0)
    two = np.maximum(one @ w2 + b2, 0)
    g3 = (two @ w3 + b3 - y) * np.float32(2 / len(x))
    g2 = (g3 @ w3.T) * (two > 0)
    g1 = (g2 @ w2.T) * (one > 0)
    return [x.T @ g1, g1.sum(0), one.T @ g2, g2.sum(0), two.T @ g3, g3.sum(0)]
