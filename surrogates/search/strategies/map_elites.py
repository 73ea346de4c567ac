"""MAP-Elites: the best architecture of every size, on a map of costs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import InvalidSettingError
from archcast.search.domain import Domain
from archcast.search.strategies._breeding import Breeding
from archcast.search.strategy import FloatArray, Measured

__all__ = ["EliteMap", "MAPElites"]

#: Architectures whose costs say where the bins are, and the share that may lie beyond each end.
_SAMPLE: Final = 256
_BEYOND: Final = 0.01


@dataclass(frozen=True, eq=False)
class EliteMap:
    """The best architecture found in every bin of the costs.

    Attributes:
        descriptors: the d costs.
        edges: for each of them the B + 1 ends of its bins, rising; the first and the last bin
            hold what lies beyond as well.
        bins: (n, d) bin of each architecture.
        specs: the n architectures, sorted by bin.
        costs: (n, d) their costs.
        merits: (n,) their first objective, higher is better.
    """

    descriptors: tuple[str, ...]
    edges: tuple[FloatArray, ...]
    bins: NDArray[np.intp]
    specs: tuple[str, ...]
    costs: FloatArray
    merits: FloatArray

    def __len__(self) -> int:
        return len(self.specs)

    @property
    def coverage(self) -> float:
        """Share of the bins that hold an architecture."""
        return len(self) / float(np.prod([len(ends) - 1 for ends in self.edges]))

    def grid(self) -> FloatArray:
        """Merits by bin, one axis a descriptor; NaN where nothing was found."""
        found = np.full([len(ends) - 1 for ends in self.edges], np.nan)
        found[tuple(self.bins.T)] = self.merits
        return found

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data that JSON can hold."""
        named = zip(self.descriptors, self.edges, strict=True)
        return {
            "edges": {name: ends.tolist() for name, ends in named},
            "elites": [
                {"bin": where, "spec": spec, "costs": costs, "merit": merit}
                for where, spec, costs, merit in zip(
                    self.bins.tolist(),
                    self.specs,
                    self.costs.tolist(),
                    self.merits.tolist(),
                    strict=True,
                )
            ],
        }

    def to_csv(self) -> str:
        """A table with a line of names: the bin in each cost, the costs, the merit."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        bins = [f"bin {name}" for name in self.descriptors]
        writer.writerow(["spec", *bins, *self.descriptors, "merit"])
        for row in self.to_dict()["elites"]:
            writer.writerow([row["spec"], *row["bin"], *row["costs"], row["merit"]])
        return text.getvalue()


class MAPElites(Breeding):
    """Keeps the best of every bin of some costs, and changes a random one of those kept.

    Good architectures of every size come out at once: :meth:`archive`. Bins are equally wide on
    the logarithmic scale of a cost, on the linear one if it may be negative. Where no edges are
    given, they reach over what a sample of the domain costs, the same for every seed, so maps of
    several searches can be laid over each other and a restored search has the same bins.

    Args:
        domain: the architectures to choose from; its costs are known without training.
        descriptors: names of costs; all of the domain if None.
        bins: how many for each descriptor, one number or one each; those with edges have their
            own.
        edges: name of a descriptor -> ends of its bins, rising.
        start: random architectures at the beginning.
        crossover: probability that a child has two parents.
        seed: of the random numbers.
        objectives: how many objectives are told; the first is what the map is of.

    Raises:
        InvalidSettingError: a setting makes no sense, or the domain has no costs.

    Reference:
        Mouret and Clune, "Illuminating search spaces by mapping elites", arXiv:1504.04909, 2015.
    """

    name = "map-elites"
    multi_objective = True

    def __init__(
        self,
        domain: Domain,
        *,
        descriptors: Sequence[str] | None = None,
        bins: int | Sequence[int] = 10,
        edges: Mapping[str, Sequence[float]] | None = None,
        start: int = 50,
        crossover: float = 0.0,
        seed: int = 0,
        objectives: int = 1,
    ) -> None:
        super().__init__(domain, start=start, crossover=crossover, seed=seed, objectives=objectives)
        self.descriptors = tuple(domain.costs if descriptors is None else descriptors)
        unknown = [name for name in self.descriptors if name not in domain.costs]
        if unknown or not self.descriptors:
            raise InvalidSettingError(
                f"map-elites maps costs of the domain ({', '.join(domain.costs) or 'it has none'})"
                + (f", not {unknown[0]}" if unknown else "; give it some, such as params and macs")
            )
        counts = [bins] * len(self.descriptors) if isinstance(bins, int) else list(bins)
        if len(counts) != len(self.descriptors) or min(counts) < 1:
            raise InvalidSettingError(f"bins is a count for each of {', '.join(self.descriptors)}")
        self.bins = tuple(counts)
        self._given = {name: _rising(name, ends) for name, ends in (edges or {}).items()}
        self._edges: tuple[FloatArray, ...] | None = None
        self._placed = 0
        self._elites: dict[tuple[int, ...], Measured] = {}

    @property
    def edges(self) -> tuple[FloatArray, ...]:
        """Ends of the bins of each descriptor.

        Raises:
            InfeasibleError: nothing meets the domain's constraints.
            InvalidSettingError: no architecture has one of the costs.
        """
        if self._edges is None:
            self._edges = tuple(
                self._given[name] if name in self._given else self._spanned(name, count)
                for name, count in zip(self.descriptors, self.bins, strict=True)
            )
        return self._edges

    def archive(self) -> EliteMap:
        """The best architecture measured in every bin."""
        self._place()
        order = sorted(self._elites)
        elites = [self._elites[where] for where in order]
        specs = [elite.spec for elite in elites]
        costs = [self.domain.cost(name, specs) for name in self.descriptors]
        return EliteMap(
            self.descriptors,
            self.edges,
            np.array(order, np.intp).reshape(len(order), len(self.descriptors)),
            tuple(specs),
            np.stack(costs, 1),
            np.array([elite.merits[0] for elite in elites], np.float64),
        )

    def _child(self, rng: np.random.Generator) -> str | None:
        self._place()
        if not self._elites:
            return None
        elites = list(self._elites.values())
        first, second = (elites[at].spec for at in rng.integers(len(elites), size=2).tolist())
        child = self._mixed(first, second, rng)
        return self.domain.mutate(first, rng) if child == first else child

    def _place(self) -> None:
        """Put what was told since the last time on the map."""
        told = self.history[self._placed :]
        self._placed = len(self.history)
        new = [m for m in told if m.fidelity >= 1 and not m.failed]
        if not new:
            return
        specs = [m.spec for m in new]
        costs = np.stack([self.domain.cost(name, specs) for name in self.descriptors], 1)
        for measured, row in zip(new, costs.tolist(), strict=True):
            ends = zip(self.edges, row, strict=True)
            place = tuple(int(np.searchsorted(e[1:-1], cost, "right")) for e, cost in ends)
            held = self._elites.get(place)
            better = held is None or measured.merits[0] > held.merits[0]
            if better and np.isfinite(row).all():
                self._elites[place] = measured

    def _spanned(self, name: str, count: int) -> FloatArray:
        """Edges over what a sample of the domain costs."""
        specs = self.domain.sample(_SAMPLE, np.random.default_rng(0))
        costs = self.domain.cost(name, specs)
        costs = costs[np.isfinite(costs)]
        if not len(costs):
            raise InvalidSettingError(f"no architecture of {self.domain.space.name} has a {name}")
        logarithmic = costs.min() >= 0 and costs.max() > 0
        if logarithmic:
            costs = costs[costs > 0]  # those that cost nothing are in the first bin
        low, high = np.quantile(costs, [_BEYOND, 1 - _BEYOND])
        if low == high:
            return np.array([low, high])
        between = np.geomspace if logarithmic else np.linspace
        return between(low, high, count + 1)


def _rising(name: str, ends: Sequence[float]) -> FloatArray:
    found = np.asarray(ends, np.float64)
    if found.ndim != 1 or len(found) < 2 or not (np.diff(found) > 0).all():
        raise InvalidSettingError(f"edges of {name} are two rising numbers at least")
    return found
