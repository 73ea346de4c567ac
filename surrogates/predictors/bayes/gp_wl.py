"""A Gaussian process that compares architectures by their subgraphs."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast._transforms import Transform
from archcast.encoders.errors import InvalidSettingError
from archcast.predictors._encoding import Encoding
from archcast.predictors._protocol import State
from archcast.predictors.bayes._exact import ExactProcess, evidence, some
from archcast.predictors.bayes._subtrees import Bags, gram, subtrees

FloatArray = NDArray[np.float64]

#: Widths that are tried; 0 stands for the plain kernel.
_WIDTHS: Final = (0.0, 0.1, 0.3, 1.0)


class GraphKernelPredictor(ExactProcess):
    """``f ~ GP(0, s² exp(-(1 - c) / w))``, ``c = <φ(G), φ(G')> / (‖φ(G)‖ ‖φ(G')‖)``.

    φ are the log counts of Weisfeiler-Lehman subtree patterns. A node is known by its operator,
    window, stride, grouping and coarse size; h refinements by what leads to it and what follows
    tell apart subtrees of height h, in both directions of the edges. The number of refinements,
    the width w (or the plain kernel ``s² c``, the published one), the noise and the signal's
    variance are those that make the labels likeliest, the variance in closed form.

    Args:
        iterations: most refinements that are tried.
        sizes: whether channels and positions, in half octaves, tell nodes apart.
        limit: most architectures that are conditioned on (their number cubed is the cost); of
            more, a random part.
        tuning: most architectures that the hyper-parameters are chosen on.
        transform: scale of the targets.
        seed: draws the parts.

    Reference:
        Ru et al., "Interpretable Neural Architecture Search via Bayesian Optimisation with
        Weisfeiler-Lehman Kernels", ICLR 2021; Shervashidze et al., JMLR 2011.
    """

    kind = "gp-wl"

    def __init__(
        self,
        iterations: int = 3,
        sizes: bool = True,
        limit: int = 3000,
        tuning: int = 500,
        transform: Transform = "identity",
        seed: int = 0,
    ) -> None:
        self.iterations = iterations
        self.sizes = sizes
        self.limit = limit
        self.tuning = tuning
        self.transform: Transform = transform
        self.seed = seed

    @property
    def encoding(self) -> Encoding:
        """Computation graphs."""
        return "graph"

    def _fit(self, X: Any, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        if self.iterations < 0:
            raise InvalidSettingError(f"iterations={self.iterations}: give 0 or more")
        kept = some(len(y), self.limit, self.seed)
        bags = subtrees([X[i] for i in kept], self.iterations, self.sizes)
        part = some(len(kept), self.tuning, self.seed + 1)
        found = {}
        for h in range(self.iterations + 1):
            few = bags.take(part).upto(h)
            cosine = gram(few, few)
            for width in _WIDTHS:
                found[h, width] = evidence(_bent(cosine, width), y[kept][part])
        best = max(found, key=lambda k: found[k][0])
        self.iterations_, self.width_ = best
        self._condition(bags.upto(self.iterations_), y[kept], *found[best][1:])

    def _represent(self, X: Any) -> Bags:
        return subtrees(X, self.iterations_, self.sizes)

    def _kernel(self, a: Bags, b: Bags) -> FloatArray:
        return _bent(gram(a, b), self.width_)

    def _state(self) -> State:
        state, rows = self._process_state(), self.rows_
        arrays = {f"rows.{name}": getattr(rows, name) for name in Bags.__slots__}
        facts = state.facts | {"iterations": self.iterations_, "width": self.width_}
        return State(state.arrays | arrays, facts)

    def _restore(self, state: State) -> None:
        self.iterations_, self.width_ = state.facts["iterations"], state.facts["width"]
        rows = Bags(*(state.arrays[f"rows.{name}"] for name in Bags.__slots__))
        self._restore_process(rows, state)


def _bent(cosine: FloatArray, width: float) -> FloatArray:
    """Half the squared distance of normalised bags is 1 - cosine: a squared-exponential kernel."""
    return np.exp((cosine - 1) / width) if width else cosine
