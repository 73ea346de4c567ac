"""``Domain``: the architectures that a search may propose, and what is known of them for free."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import InfeasibleError, InvalidSettingError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces import Space, get_space
from archcast.search.objectives import Constraint

__all__ = ["Cost", "Domain"]

FloatArray = NDArray[np.float64]
#: Graphs of n architectures -> (n,) values of a cost, NaN where it has none.
Cost = Callable[[Sequence[ComputeGraph]], FloatArray]
#: Draws before one gives up to find what meets the constraints; how many at once, first and later.
_DRAWS: Final = 20_000
_AT_ONCE: Final = 64
_MOST_AT_ONCE: Final = 2048
#: Size up to which a space is drawn from that often; larger ones are a tenth as often.
_SMALL: Final = 100_000
#: Draws after which, if none kept the constraints, one walks towards them: from so many of those
#: that were nearest, looking at so many neighbours at once.
_HOPELESS: Final = 400
_STARTS: Final = 3
_LOT: Final = 24
#: Looks around that found nothing new, after which nothing more is expected.
_IDLE: Final = 20
#: Architectures whose features and costs are remembered.
_REMEMBERED: Final = 200_000
_SEEDS: Final = 2**31
#: Up to so many graphs are built one operator at a time.
_SINGLY: Final = 2


class Domain:
    """A search space, narrowed by constraints, with features and costs that are computed once.

    Architectures are named by their canonical text in the space. Constraints are on what is known
    without training, so nothing that breaks them is ever proposed, whatever the strategy.

    Args:
        space: a search space or its name.
        constraints: bounds on costs.
        costs: name of a cost -> how it is computed; those named by constraints at least.
        num_classes: outputs of the networks; the space's own if None.
        image_size: pixels of their input, height and width; the space's own if None.

    Raises:
        InvalidSpecError: no space of that name.
        InvalidSettingError: a constraint on a cost that is not among ``costs``.
    """

    def __init__(
        self,
        space: Space[Any] | str,
        *,
        constraints: Sequence[Constraint] = (),
        costs: dict[str, Cost] | None = None,
        num_classes: int | None = None,
        image_size: int | None = None,
    ) -> None:
        self.space = space if isinstance(space, Space) else get_space(space)
        self.constraints = tuple(constraints)
        self.costs = dict(costs or {})
        self.num_classes = num_classes
        self.image_size = image_size
        for constraint in self.constraints:
            if constraint.cost not in self.costs:
                raise InvalidSettingError(
                    f"{constraint} bounds {constraint.cost!r}, which is not among the costs: "
                    f"{', '.join(self.costs) or 'there are none'}"
                )
        self._features: dict[str, NDArray[np.float32]] = {}
        self._costs: dict[str, dict[str, float]] = {name: {} for name in self.costs}

    @property
    def size(self) -> int | None:
        """Number of texts, those that break constraints included; None if there is no end."""
        return self.space.size

    def text(self, arch: Any) -> str:
        """The canonical text of an architecture.

        Raises:
            InvalidSpecError: it is not of this space.
        """
        return self.space.text(self.space.parse(arch))

    # ------------------------------------------------------------------ what is known for free
    def graphs(self, specs: Sequence[str]) -> list[ComputeGraph]:
        """Canonical graphs of n architectures."""
        own = type(self.space)
        written = own.build is not Space.build and own.__module__.startswith("archcast.encoders.")
        if len(specs) <= _SINGLY and written:  # equal graphs, but no steps made for batches
            return Space.graphs(self.space, list(specs), self.num_classes, self.image_size)
        return self.space.graphs(list(specs), self.num_classes, self.image_size)

    def features(self, specs: Sequence[str]) -> NDArray[np.float32]:
        """(n, F) tabular features; see :mod:`archcast.encoders.tabular`."""
        self._know(specs)
        if not len(specs):
            from archcast.encoders.tabular import feature_names

            return np.zeros((0, len(feature_names())), np.float32)
        return np.stack([self._features[spec] for spec in specs])

    def cost(self, name: str, specs: Sequence[str]) -> FloatArray:
        """(n,) values of a cost, NaN where an architecture has none.

        Raises:
            InvalidSettingError: no cost of that name.
        """
        if name not in self.costs:
            raise InvalidSettingError(f"no cost is called {name!r}; known: {', '.join(self.costs)}")
        self._price([name], specs)
        known = self._costs[name]
        return np.array([known[spec] for spec in specs], np.float64)

    def violation(self, specs: Sequence[str]) -> FloatArray:
        """(n,) by how much the constraints are missed, as shares of the bounds; 0 if kept."""
        total = np.zeros(len(specs))
        self._price([constraint.cost for constraint in self.constraints], specs)
        for constraint in self.constraints:
            bound = constraint.high if np.isfinite(constraint.high) else constraint.low
            missed = constraint.violation(self.cost(constraint.cost, specs))
            total += missed / (abs(bound) or 1.0)
        return total

    def feasible(self, specs: Sequence[str]) -> NDArray[np.bool_]:
        """(n,) whether the constraints hold."""
        if not self.constraints:
            return np.ones(len(specs), bool)
        return self.violation(specs) <= 0

    # ------------------------------------------------------------------------------- moves
    def sample(self, n: int, rng: np.random.Generator) -> list[str]:
        """Up to n different architectures at random; fewer if the space has no more.

        Raises:
            InfeasibleError: none that meets the constraints was found.
        """
        if not self.constraints:
            return self._draw(n, rng)
        small = self.size is not None and self.size <= _SMALL
        most = min(_DRAWS, 3 * (self.size or 0)) if small else _DRAWS // 10
        found: dict[str, None] = {}
        missed: dict[str, float] = {}
        drawn, at_once = 0, _AT_ONCE
        while len(found) < n and drawn < most:
            specs = self._draw(at_once, rng)
            at_once = min(2 * at_once, _MOST_AT_ONCE)
            drawn += max(len(specs), 1)
            missed = dict(zip(specs, self.violation(specs).tolist(), strict=True))
            found.update(dict.fromkeys(spec for spec, amount in missed.items() if amount <= 0))
            if not found and drawn >= _HOPELESS:
                break
        if not found:
            starts = sorted(missed, key=lambda spec: missed[spec])[:_STARTS]
            found.update(dict.fromkeys(self._walk(starts, rng)))
        self._spread(found, n, rng)
        return list(found)[:n]

    def neighbours(self, spec: str) -> list[str]:
        """The architectures one change away that meet the constraints."""
        near = self._around(spec)
        return [s for s, ok in zip(near, self.feasible(near), strict=True) if ok]

    def mutate(self, spec: str, rng: np.random.Generator) -> str | None:
        """A random neighbour that meets the constraints; None if there is none."""
        return next(self._near(spec, rng), None)

    def crossover(self, first: str, second: str, rng: np.random.Generator) -> str:
        """A child of two architectures; the first of them if no child meets the constraints."""
        for _ in range(8):
            child = self._child(first, second, rng)
            if self.feasible([child])[0]:
                return child
        return first

    def everything(self, limit: int = 100_000) -> list[str] | None:
        """All architectures that meet the constraints, or None if the space has more than limit."""
        if self.size is None or self.size > limit:
            return None
        specs = self._all()
        return [s for s, ok in zip(specs, self.feasible(specs), strict=True) if ok]

    # ----------------------------------------------------------------------------- private
    def _draw(self, n: int, rng: np.random.Generator) -> list[str]:
        if self.size is not None and self.size <= 2 * n:  # most of a small space, in any order
            specs = self._all()
            return [specs[at] for at in rng.permutation(len(specs))[:n].tolist()]
        return self.space.sample(n, int(rng.integers(_SEEDS)))

    def _around(self, spec: str) -> list[str]:
        """Those one change away, whatever the constraints."""
        return self.space.neighbours(spec)

    def _child(self, first: str, second: str, rng: np.random.Generator) -> str:
        """A child of two, whatever the constraints."""
        return self.space.crossover(first, second, int(rng.integers(_SEEDS)))

    def _all(self) -> list[str]:
        """All architectures, whatever the constraints."""
        return list(self.space.enumerate())

    def _near(self, spec: str, rng: np.random.Generator) -> Iterator[str]:
        near = self._around(spec)
        for at in rng.permutation(len(near)).tolist():
            if self.feasible([near[at]])[0]:
                yield near[at]

    def _walk(self, starts: Sequence[str], rng: np.random.Generator) -> list[str]:
        """Go downhill in what the constraints are missed by, until they are kept."""
        least, closest = np.inf, starts[0]
        for start in starts:
            spec, missed = start, float(self.violation([start])[0])
            while (step := self._step_down(spec, missed, rng)) is not None:
                spec, missed = step
                if missed <= 0:
                    return [spec]
            if missed < least:
                least, closest = missed, spec
        values = [f"{c.cost} {self.cost(c.cost, [closest])[0]:g}" for c in self.constraints]
        raise InfeasibleError(
            f"no architecture of {self.space.name} meets "
            f"{' and '.join(map(str, self.constraints))}; "
            f"the nearest found has {', '.join(values)}; loosen a bound"
        )

    def _step_down(
        self, spec: str, missed: float, rng: np.random.Generator
    ) -> tuple[str, float] | None:
        """A neighbour that misses the constraints by less; None if no neighbour does."""
        around = self._around(spec)
        order = rng.permutation(len(around))
        for start in range(0, len(order), _LOT):
            near = [around[at] for at in order[start : start + _LOT]]
            amounts = self.violation(near)
            if amounts.min() < missed:
                return near[int(amounts.argmin())], float(amounts.min())
        return None

    def _spread(self, found: dict[str, None], n: int, rng: np.random.Generator) -> None:
        """Add what lies around rare architectures that keep the constraints, up to n of them."""
        idle = 0
        while len(found) < n and idle < _IDLE:
            start = list(found)[int(rng.integers(len(found)))]
            near = next((spec for spec in self._near(start, rng) if spec not in found), None)
            idle += 1
            if near is not None:
                found[near], idle = None, 0

    def _price(self, names: Sequence[str], specs: Sequence[str]) -> None:
        """Find out costs that are not known yet; a network is built once for all of them."""
        missing: dict[str, list[str]] = {}
        for name in dict.fromkeys(names):
            known = self._costs[name]
            if len(known) > _REMEMBERED:
                known.clear()
            missing[name] = [spec for spec in dict.fromkeys(specs) if spec not in known]
        wanted = list(dict.fromkeys(spec for part in missing.values() for spec in part))
        if not wanted:
            return
        graphs = dict(zip(wanted, self.graphs(wanted), strict=True))
        for name, part in missing.items():
            if part:
                found = self.costs[name]([graphs[spec] for spec in part])
                self._costs[name].update(
                    zip(part, np.asarray(found, np.float64).tolist(), strict=True)
                )

    def _know(self, specs: Sequence[str]) -> None:
        from archcast.encoders.tabular import tabular

        if len(self._features) + len(specs) > _REMEMBERED:
            self._features = {s: self._features[s] for s in specs if s in self._features}
        missing = [spec for spec in dict.fromkeys(specs) if spec not in self._features]
        for start in range(0, len(missing), 4096):
            part = missing[start : start + 4096]
            values = tabular(self.graphs(part)).values
            self._features.update(zip(part, values, strict=True))
