"""Ensembles of any predictor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from archcast._transforms import Transform
from archcast.encoders.errors import InvalidSettingError
from archcast.predictors._encoding import Encoding, take
from archcast.predictors._nested import reseed, template, unfitted
from archcast.predictors._protocol import Predictor, State
from archcast.predictors.bayes._sampling import IndependentSampling
from archcast.predictors.storage import pack, unpack

FloatArray = NDArray[np.float64]


class EnsemblePredictor(IndependentSampling):
    """``mean = mean_i(m_i)``, ``std² = mean_i(s_i²) + var_i(m_i)``: an even mixture of members.

    Each member is the base with a seed of its own (a deep ensemble), and with ``bootstrap`` rows
    of its own, too, which is what makes members of a family without chance differ.

    Args:
        base: a predictor of any family, or its name.
        options: keywords of the base's constructor.
        members: how many.
        bootstrap: whether each learns from rows drawn with replacement, not from all.
        transform: scale of the targets; the base must not have another one.
        seed: of the first member; the others follow it.
        progress: whether a progress bar is shown.

    Reference:
        Lakshminarayanan et al., "Simple and Scalable Predictive Uncertainty Estimation using Deep
        Ensembles", NeurIPS 2017; Breiman, "Bagging Predictors", Machine Learning 1996.
    """

    kind = "ensemble"

    def __init__(
        self,
        base: Predictor | str = "tabular",
        options: dict[str, Any] | None = None,
        members: int = 5,
        bootstrap: bool = False,
        transform: Transform = "identity",
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.base = base
        self.options = options
        self.members = members
        self.bootstrap = bootstrap
        self.transform: Transform = transform
        self.seed = seed
        self.progress = progress

    @property
    def encoding(self) -> Encoding:
        """What the base sees."""
        return template(self.base, self.options, self.transform).encoding

    def _fit(self, X: Any, y: FloatArray, groups: NDArray[np.intp] | None) -> None:
        if self.members < 1:
            raise InvalidSettingError(f"an ensemble of {self.members} members forecasts nothing")
        base = template(self.base, self.options, self.transform)
        rng = np.random.default_rng(self.seed)
        fitted = []
        for number in tqdm(range(self.members), disable=not self.progress, leave=False):
            rows = _drawn(len(y), rng) if self.bootstrap else np.arange(len(y))
            member = reseed(unfitted(base), self.seed + number)
            known = None if groups is None else groups[rows]
            fitted.append(member.fit(take(X, rows), y[rows], groups=known))
        self.members_: list[Predictor] = fitted

    def _predict(self, X: Any) -> tuple[FloatArray, FloatArray]:
        pairs = [member.predict(X, return_std=True) for member in self.members_]
        means, stds = (np.stack(part) for part in zip(*pairs, strict=True))
        return means.mean(0), np.sqrt((stds**2).mean(0) + means.var(0))

    def _adapt(self, X: Any, y: FloatArray) -> None:
        self.members_ = [member.adapt(X, y) for member in self.members_]

    def _state(self) -> State:
        facts, arrays = [], {}
        for number, member in enumerate(self.members_):
            packed, own = pack(member, f"member{number}/")
            facts.append(packed)
            arrays |= own
        return State(arrays, {"members": facts})

    def _restore(self, state: State) -> None:
        self.members_ = [
            unpack(packed, state.arrays, f"member{number}/")
            for number, packed in enumerate(state.facts["members"])
        ]


def _drawn(rows: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """As many row numbers as there are, with replacement; two of them differ at least."""
    while True:
        drawn = np.sort(rng.integers(rows, size=rows))
        if drawn[0] != drawn[-1]:
            return drawn
