"""Gymnasium: an environment whose actions are architectures, after ArchGym's convention.

>>> from archcast.search.adapters.gymnasium import ArchitectureEnv
>>> env = ArchitectureEnv("nasbench201", "cifar10/test_accuracy")  # doctest: +SKIP
>>> observation, info = env.reset(seed=0)  # doctest: +SKIP
>>> observation, reward, *_, info = env.step(env.action_space.sample())  # doctest: +SKIP
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import InvalidSettingError
from archcast.search.adapters._common import Problem, Wanted, missing
from archcast.search.domain import Domain

try:
    import gymnasium
    from gymnasium import spaces
except ImportError as _error:
    raise missing("gymnasium") from _error

__all__ = ["ArchitectureEnv"]

FloatArray = NDArray[np.float64]


class ArchitectureEnv(gymnasium.Env[FloatArray, NDArray[np.int64]]):
    """An action is a whole architecture; what it scores is observed, and rewarded.

    * **Action**: a position among the choices of each parameter (``MultiDiscrete``).
    * **Observation**: the objectives, then the costs of the domain that are no objectives, each
      in its unit; zeros after a reset and where there is no architecture to observe.
    * **Reward**: the objectives turned so that higher is better, weighed and summed; or, with
      ``target``, the product over its objectives of ``target / |target - value|``, at most ``cap``.
    * **info**: the architecture's text ``spec``, its ``values``, ``interval`` and ``source``;
      ``why`` where an action is no architecture or breaks a constraint.

    Args:
        domain: the architectures, or the name of a space.
        objectives: one or several; see :class:`~archcast.search.adapters.Problem`.
        weights: of the objectives in the reward; 1 each if None.
        target: name of an objective -> value to come near to.
        max_steps: actions of an episode.
        penalty: reward of what is no architecture or breaks a constraint; take one that is below
            all others.
        cap: greatest reward of a target that is met.

    Raises:
        InvalidSettingError: the space has no fixed choices, or a setting makes no sense.

    Reference:
        Krishnan et al., "ArchGym: An Open-Source Gymnasium for Machine Learning Assisted
        Architecture Design", ISCA 2023.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  (as the base has it)

    def __init__(
        self,
        domain: Domain | str,
        objectives: Wanted | Sequence[Wanted],
        *,
        weights: Sequence[float] | None = None,
        target: Mapping[str, float] | None = None,
        max_steps: int = 1,
        penalty: float = -100.0,
        cap: float = 1000.0,
    ) -> None:
        self.problem = Problem(domain, objectives)
        names = [objective.name for objective in self.problem.objectives]
        self.weights = np.ones(len(names)) if weights is None else np.array(weights, np.float64)
        self.target = dict(target or {})
        self.max_steps, self.penalty, self.cap = max_steps, penalty, cap
        _check(names, self.weights, self.target, max_steps)
        self.costs = [name for name in self.problem.domain.costs if name not in names]
        sizes = [len(labels) for labels in self.problem.parameters.options]
        self.action_space = spaces.MultiDiscrete(sizes)
        width = len(names) + len(self.costs)
        self.observation_space = spaces.Box(-np.inf, np.inf, (width,), np.float64)
        self._step = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[FloatArray, dict[str, Any]]:
        """Begin an episode; nothing is evaluated.

        Returns:
            Zeros, (objectives + costs,), and an empty info.
        """
        super().reset(seed=seed, options=options)
        self._step = 0
        return self._nothing(), {}

    def step(
        self, action: NDArray[np.int64]
    ) -> tuple[FloatArray, float, bool, bool, dict[str, Any]]:
        """Score an architecture.

        Args:
            action: (P,) positions in the parameters' choices.

        Returns:
            Observation, reward, whether the episode has ended, False (it is never cut short),
            and info.
        """
        self._step += 1
        observation, reward, info = self._scored(action)
        return observation, reward, self._step >= self.max_steps, False, info

    # ----------------------------------------------------------------- private
    def _scored(self, action: NDArray[np.int64]) -> tuple[FloatArray, float, dict[str, Any]]:
        spec = self.problem.parameters.spec(np.asarray(action).tolist())
        if spec is None:
            return self._nothing(), self.penalty, {"why": "no architecture makes these choices"}
        if not self.problem.domain.feasible([spec])[0]:
            broken = self.problem.violations([spec])[0] > 0
            kept = zip(self.problem.domain.constraints, broken, strict=True)
            why = f"it breaks {' and '.join(str(c) for c, b in kept if b)}"
            return self._nothing(), self.penalty, {"spec": spec, "why": why}
        found = self.problem.scored([spec])[0]
        costs = [float(self.problem.domain.cost(name, [spec])[0]) for name in self.costs]
        observation = np.nan_to_num(np.array([*found.values, *costs], np.float64))
        info = {
            "spec": spec,
            "values": found.values,
            "interval": tuple(zip(found.low, found.high, strict=True)),
            "source": found.origins,
        }
        if any(np.isnan(found.values)):
            return observation, self.penalty, {**info, "why": "it could not be measured"}
        return observation, self._reward(np.array(found.values)), info

    def _reward(self, values: FloatArray) -> float:
        if not self.target:
            return float(self.problem.merits(values[None])[0] @ self.weights)
        names = [objective.name for objective in self.problem.objectives]
        found = 1.0
        for name, wanted in self.target.items():
            distance = abs(wanted - values[names.index(name)])
            found *= abs(wanted) / distance if distance else math.inf
        return float(min(found, self.cap))

    def _nothing(self) -> FloatArray:
        return np.zeros(self.observation_space.shape or (), np.float64)


def _check(
    names: list[str], weights: FloatArray, target: Mapping[str, float], max_steps: int
) -> None:
    if weights.shape != (len(names),):
        raise InvalidSettingError(f"{len(names)} objective(s), but weights {weights.shape}")
    unknown = [name for name in target if name not in names]
    if unknown:
        raise InvalidSettingError(
            f"a target for {unknown[0]!r}, which is no objective: {', '.join(names)}"
        )
    if not all(target.values()):
        raise InvalidSettingError("a target is not 0: the reward is in units of the target")
    if max_steps < 1:
        raise InvalidSettingError(f"an episode has one step at least, not {max_steps}")
