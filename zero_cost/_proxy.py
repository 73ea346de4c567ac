"""``Proxy``: what a training-free score is, what it needs, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Need = Literal["data", "labels", "gradients"]


@dataclass(frozen=True)
class Proxy:
    """A training-free score; higher is better for every one of them.

    Attributes:
        name: how it is asked for.
        formula: what is computed, in one line.
        reference: the paper.
        where: ``module:attribute`` of what computes it (a function of a graph, an ``Observer``, or
            a function of a ``Lab``), imported when it is needed.
        needs: ``data`` (it looks at weights, or at what the network does with inputs), ``labels``
            (and at what these should become), ``gradients``. Nothing for scores of the graph.
        cost: about how many forward passes of the mini-batch it takes alone.
        weights: how many times its weights' size it takes in memory, if passes of its own make that
            more than usual.
        each: the same of its largest layer's weights, for each sample.
        flipped: whether lower is better for the published score, so that its sign is turned here.
        remark: what differs from the publication, if anything.
    """

    name: str
    formula: str
    reference: str
    where: str
    needs: frozenset[Need] = frozenset()
    cost: float = 0.0
    weights: float = 0.0
    each: float = 0.0
    flipped: bool = False
    remark: str = ""
