"""In words: what makes an architecture near to a task's training set, or far from it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.graph import ComputeGraph
from archcast.encoders.tabular import feature_names
from archcast.forecast import Familiarity, Word
from archcast.predictors.tabular_predictor import TabularPredictor

#: Score from which on a word holds: half of the held-out architectures were farther away, …
_WORDS: tuple[tuple[float, Word], ...] = (
    (0.5, "familiar"),
    (0.1, "near"),
    (0.001, "far"),
    (0.0, "alien"),
)
#: Sizes that are worth saying by how much they exceed everything seen.
_SIZES = {
    "log_weights": "weights",
    "log_macs": "multiply-accumulates",
    "log_written": "activations",
    "log_layers": "layers",
    "log_widest": "channels",
}


def word_of(score: float) -> Word:
    """A familiarity's score in one word."""
    return next(word for least, word in _WORDS if score >= least)


def described(
    graph: ComputeGraph,
    x: NDArray[np.float32],
    near: float,
    neighbour: int,
    predictor: TabularPredictor,
) -> Familiarity:
    """Describe one architecture.

    Args:
        graph: the architecture.
        x: (F,) its features.
        near: its distance to the training set.
        neighbour: index of the nearest member of the support.
        predictor: what it was forecast by.
    """
    cloud = predictor.cloud_
    score = float(cloud.score(np.array([near]))[0])
    if near == 0:
        score = 1.0
    word = word_of(score)
    name = cloud.names[neighbour]
    if word in ("familiar", "near"):
        return Familiarity(score, word, name, f"nearest known architecture: {name}")
    return Familiarity(
        score, word, name, _strangeness(graph, x, predictor) or f"unlike even {name}"
    )


def _strangeness(graph: ComputeGraph, x: NDArray[np.float32], predictor: TabularPredictor) -> str:
    if graph.labels:
        unknown = sorted(set(graph.labels.values()))
        more = ", …" if len(unknown) > 3 else ""
        return f"operators never seen: {', '.join(unknown[:3])}{more}"
    excess = predictor.members_.excess(x[None])[0]
    names = feature_names()
    values = dict(zip(names, x.tolist(), strict=True))
    for column, what in _SIZES.items():
        i = names.index(column)
        low, high = predictor.members_.envelope[:, i].tolist()
        if values[column] > high + 0.5:
            return f"{_times(values[column] - high)} times more {what} than anything seen"
        if values[column] < low - 0.5:
            return f"{_times(low - values[column])} times fewer {what} than anything seen"
    top = [i for i in np.argsort(-excess)[:3].tolist() if excess[i] > 0.1]
    return f"out of the known range in {', '.join(_plain(names[i]) for i in top)}" if top else ""


def _times(octaves: float) -> str:
    factor = 2**octaves
    return (
        f"{factor:.1f}"
        if factor < 10
        else f"{factor:.0f}"
        if octaves < 20
        else f"2^{math.floor(octaves)}"
    )


def _plain(column: str) -> str:
    return column.removeprefix("log_").replace("_", " ")
