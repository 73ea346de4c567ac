"""RoBoT: a weighting of scores that a few measurements choose, then greedy search down it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archcast.encoders.errors import InvalidSettingError
from archcast.zero_cost._ask_tell import ProxyGuided, SearchResult, run
from archcast.zero_cost._gaussian_process import GaussianProcess

__all__ = ["RoBoT", "SearchResult", "robot_search"]

FloatArray = NDArray[np.float64]
Scale = Literal["min-max", "rank"]
#: Standard deviations above the mean at which a weighting is judged.
KAPPA: Final = 2.576
#: Weightings the acquisition is looked up at: anywhere, and near the best ones tried.
_ANYWHERE, _NEARBY, _PARENTS, _STEP = 2048, 256, 4, 0.15


class RoBoT(ProxyGuided):
    """Bayesian optimisation of the weights of scores, then greedy search.

    Scores are brought to [0, 1]; an architecture is worth M(w) = Σ wᵢ·scoreᵢ with w in [-1, 1]^k.
    *Exploration*: a Gaussian process (Matérn-5/2) over weightings proposes, by upper confidence
    bound, which w to try; its value is the objective of the architecture that M(w) puts first.
    Many weightings put the same architecture first: it is measured once and answered from memory
    afterwards, at no cost. *Exploitation*: what is left of the budget goes down the ranking of the
    best weighting, past what was measured before.

    ``explore`` weightings are tried, as many as the budget unless said otherwise, which is the
    published setting; the measurements that repeats save are what the greedy stage has to spend.
    As repeats cost nothing, more weightings can be tried for the same budget, which guards against
    a first few that all put poor architectures first (``benchmarks/robot.py``).

    A missing score counts as the worst its weight allows (0 for a positive weight, the full weight
    for a negative one), so that nothing comes first for want of a score. Ties go to the lowest
    index. A constant score changes no ranking and is harmless.

    Args:
        scores: k names -> (N,) scores, NaN where not applicable.
        budget: measurements, at most.
        seed: of the random numbers.
        explore: weightings to try, at least one; the budget if None.
        scale: how scores are brought to [0, 1]: ``min-max`` as published, or ``rank``, which
            outliers cannot squeeze.

    Raises:
        InvalidSettingError: a setting makes no sense.
        ShapeError: scores of different lengths.

    Reference:
        He et al., Robustifying and Boosting Training-Free Neural Architecture Search, ICLR 2024.
    """

    def __init__(
        self,
        scores: Mapping[str, ArrayLike],
        budget: int,
        seed: int = 0,
        *,
        explore: int | None = None,
        scale: Scale = "min-max",
    ) -> None:
        super().__init__(scores, budget, seed)
        if explore is not None and explore < 1:
            raise InvalidSettingError(f"at least one weighting is tried, not {explore}")
        if scale not in get_args(Scale):
            raise InvalidSettingError(
                f"scale is one of {', '.join(get_args(Scale))}, not {scale!r}"
            )
        self.explore = self.budget if explore is None else int(explore)
        self.scale = scale
        self._missing = np.isnan(self._table).astype(np.float64)
        self._unit = np.stack([_unit(column, scale) for column in self._table.T], 1)
        self._tried: list[FloatArray] = []
        self._tops: list[int] = []

    @property
    def weights(self) -> dict[str, float]:
        """The best weighting tried so far; all zero before the first."""
        best = self._best_weights()
        return dict(zip(self.names, best.tolist(), strict=True))

    def merit(self, weights: ArrayLike) -> FloatArray:
        """What architectures are worth under a weighting.

        Args:
            weights: (k,) weights in the order of the scores.

        Returns:
            (N,) weighted scores.
        """
        w = np.asarray(weights, np.float64)
        return self._unit @ w + self._missing @ np.minimum(w, 0)

    def state(self) -> dict[str, Any]:
        """Where the search stands, as plain numbers and lists (JSON, except for NaN values)."""
        own = {"explore": self.explore, "scale": self.scale}
        return super().state() | own | {"tried": [w.tolist() for w in self._tried]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state` was taken; made with the same arguments as then.

        Raises:
            InvalidSettingError: the state is of another kind of search, or of other arguments.
        """
        for name, own in (("explore", self.explore), ("scale", self.scale)):
            if name in state and state[name] != own:
                raise InvalidSettingError(
                    f"this state is of a search with {name} {state[name]!r}, not {own!r}"
                )
        super().restore(state)
        self._tried = [np.array(w, np.float64) for w in state["tried"]]
        self._tops = [int(self.merit(w).argmax()) for w in self._tried]

    def _next(self) -> int:
        # The last weighting's architecture may have been asked for and not told yet.
        while not self._tops or self._tops[-1] in self._values:
            if len(self._tried) >= self.explore:
                return self._greedy()
            self._tried.append(self._propose())
            self._tops.append(int(self.merit(self._tried[-1]).argmax()))
        return self._tops[-1]

    def _propose(self) -> FloatArray:
        rng = np.random.default_rng([self.seed, len(self._tried)])
        anywhere = rng.uniform(-1, 1, (_ANYWHERE, len(self.names)))
        if not self._tried:
            return anywhere[0]
        worth = self._worth()
        tried, values = np.stack(self._tried), np.array([worth[top] for top in self._tops])
        parents = tried[np.argsort(-values, kind="stable")[:_PARENTS]]
        steps = rng.normal(0, _STEP, (_NEARBY, *parents.shape))
        nearby = np.clip(parents + steps, -1, 1).reshape(-1, len(self.names))
        candidates = np.concatenate([anywhere, nearby])
        mean, std = GaussianProcess().fit([tried], values).predict([candidates])
        return candidates[np.argmax(mean + KAPPA * std)]

    def _greedy(self) -> int:
        merit = self.merit(self._best_weights())
        merit[list(self._values)] = -np.inf
        return int(merit.argmax())

    def _best_weights(self) -> FloatArray:
        worth = self._worth()
        # Of equally good ones the latest, which the process had seen most for.
        known = [(worth[top], at) for at, top in enumerate(self._tops) if top in worth]
        return self._tried[max(known)[1]] if known else np.zeros(len(self.names))


def robot_search(
    scores: Mapping[str, ArrayLike],
    objective: Callable[[int], float],
    budget: int,
    *,
    seed: int = 0,
    explore: int | None = None,
    scale: Scale = "min-max",
) -> SearchResult:
    """Search with :class:`RoBoT` from start to end.

    Args:
        scores: k names -> (N,) scores, NaN where not applicable.
        objective: index of an architecture -> its value, higher is better; called at most
            ``budget`` times, never twice for one architecture.
        budget: measurements, at most.
        seed: of the random numbers.
        explore: weightings to try; the budget if None.
        scale: ``min-max`` or ``rank``.

    Returns:
        The best architecture measured, and all measurements.

    Raises:
        InvalidSettingError: a setting makes no sense.
        ShapeError: scores of different lengths.

    Reference:
        He et al., Robustifying and Boosting Training-Free Neural Architecture Search, ICLR 2024.
    """
    return run(RoBoT(scores, budget, seed, explore=explore, scale=scale), objective)


def _unit(values: FloatArray, scale: Scale) -> FloatArray:
    """Scores in [0, 1], 0 where missing or all are equal."""
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    clipped = np.clip(np.where(np.isnan(values), low, values), low, high)
    if scale == "rank":
        distinct = np.unique(clipped)
        clipped = np.searchsorted(distinct, clipped).astype(np.float64)
        low, high = 0.0, max(len(distinct) - 1.0, 0.0)
    return (clipped - low) / (high - low) if high > low else np.zeros(len(values))
