"""``TableDomain``: the measured architectures of a benchmark, as a domain to search in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.datasets import Benchmark
from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSettingError, InvalidSpecError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces import get_space
from archcast.search._nearest import Codes
from archcast.search.domain import Cost, Domain
from archcast.search.objectives import Constraint

__all__ = ["TableDomain"]

FloatArray = NDArray[np.float64]
#: Measured architectures that count as neighbours where few of the space were measured.
_NEAR: Final = 24
#: Share of the space from which on measured neighbours are the space's own.
_COMPLETE: Final = 0.5
_BATCH: Final = 4096


class Rows:
    """Measured architectures with all that is found out about them, shared by searches.

    Args:
        benchmark: the table.
        rows: (N,) row numbers that count; of rows with one text, the last.
    """

    def __init__(self, benchmark: Benchmark, rows: NDArray[np.integer[Any]]) -> None:
        self.benchmark = benchmark
        self.space = get_space(benchmark.space)
        last = {benchmark.specs[int(row)]: int(row) for row in rows}
        self.specs = list(last)
        self.rows = np.fromiter(last.values(), np.intp, len(last))
        self.place = {spec: at for at, spec in enumerate(self.specs)}
        self._features: NDArray[np.float32] | None = None
        self._known = np.zeros(len(self.specs), bool)
        self._near: dict[str, list[str]] = {}
        self._codes: Codes | None = None

    @property
    def complete(self) -> bool:
        """Whether the table is the space, or most of it."""
        size = self.space.size
        return size is not None and len(self.specs) >= _COMPLETE * size

    def at(self, arch: Any) -> int:
        """Position of an architecture.

        Raises:
            InvalidSpecError: it is not of this space, or was not measured.
        """
        if isinstance(arch, str) and arch in self.place:
            return self.place[arch]
        text = self.space.text(self.space.parse(arch))
        if text not in self.place:  # in the benchmark's own terms it may be one it has
            text = self.benchmark.specs[self.benchmark.index(text)]
        if text not in self.place:
            raise InvalidSpecError(f"{self.benchmark.name} has no measurement of {shown(arch)}")
        return self.place[text]

    def features(self, places: NDArray[np.intp]) -> NDArray[np.float32]:
        """(n, F) tabular features, computed once."""
        from archcast.encoders.tabular import feature_names, tabular

        if self._features is None:
            self._features = np.zeros((len(self.specs), len(feature_names())), np.float32)
        missing = np.unique(places[~self._known[places]])
        for start in range(0, len(missing), _BATCH):
            part = missing[start : start + _BATCH]
            self._features[part] = tabular(self.graphs(part)).values
            self._known[part] = True
        return self._features[places]

    def graphs(self, places: NDArray[np.intp]) -> list[ComputeGraph]:
        """Canonical graphs, of the benchmark's own task."""
        return self.space.graphs([self.specs[at] for at in places.tolist()])

    def neighbours(self, spec: str) -> list[str]:
        """Measured architectures one change away, or the nearest of a sample."""
        if spec not in self._near:
            if self.complete:
                near = self.space.neighbours(spec)
                found = [text for text in near if text in self.place]
            else:
                found = [self.specs[at] for at in self.codes.nearest(spec, _NEAR)]
            self._near[spec] = found
        return self._near[spec]

    def closest(self, spec: str) -> str:
        """The architecture itself if it was measured, else the nearest that was."""
        try:
            return self.specs[self.at(spec)]
        except InvalidSpecError:
            return self.specs[int(self.codes.distances(spec).argmin())]

    @property
    def codes(self) -> Codes:
        """What distances are measured with."""
        if self._codes is None:
            self._codes = Codes(self.space, self.specs)
        return self._codes


class TableDomain(Domain):
    """A domain of measured architectures only.

    Where the table is the whole space, neighbours and children are the space's own. Where it is a
    sample (30,001 of 423,624 cells of NAS-Bench-101), the neighbours of an architecture are the 24
    measured ones that differ in the fewest choices, and a child is the measured one nearest to
    what the space would give.

    Args:
        rows: the measured architectures.
        columns: name of a cost -> (N,) values of it in the benchmark's table, by row number of
            the benchmark.
        constraints: bounds on costs.
        costs: name of a cost -> how it is computed from graphs.
    """

    def __init__(
        self,
        rows: Rows,
        *,
        columns: Mapping[str, FloatArray] | None = None,
        constraints: Sequence[Constraint] = (),
        costs: Mapping[str, Cost] | None = None,
    ) -> None:
        self.table = rows
        self._columns = {name: values[rows.rows] for name, values in (columns or {}).items()}
        looked_up: dict[str, Cost] = dict.fromkeys(self._columns, _looked_up)
        super().__init__(rows.space, constraints=constraints, costs=looked_up | dict(costs or {}))

    @property
    def size(self) -> int | None:
        """Number of measured architectures."""
        return len(self.table.specs)

    def text(self, arch: Any) -> str:
        """The text of an architecture in the table; isomorphic ones share it where they do there.

        Raises:
            InvalidSpecError: it is not of this space, or was not measured.
        """
        return self.table.specs[self.table.at(arch)]

    def places(self, specs: Sequence[str]) -> NDArray[np.intp]:
        """(n,) positions of architectures in the table."""
        found = [self.table.place.get(spec, -1) for spec in specs]
        if -1 in found:
            found = [self.table.at(spec) for spec in specs]
        return np.array(found, np.intp)

    def features(self, specs: Sequence[str]) -> NDArray[np.float32]:
        """(n, F) tabular features, kept for all searches in the table."""
        return self.table.features(self.places(specs))

    def cost(self, name: str, specs: Sequence[str]) -> FloatArray:
        """(n,) values of a cost; see :meth:`Domain.cost`."""
        if name in self._columns:
            return self._columns[name][self.places(specs)]
        return super().cost(name, specs)

    # ----------------------------------------------------------------------------- private
    def _price(self, names: Sequence[str], specs: Sequence[str]) -> None:
        super()._price([name for name in names if name not in self._columns], specs)

    def _draw(self, n: int, rng: np.random.Generator) -> list[str]:
        drawn = rng.choice(len(self.table.specs), min(n, len(self.table.specs)), replace=False)
        return [self.table.specs[at] for at in drawn.tolist()]

    def _around(self, spec: str) -> list[str]:
        return self.table.neighbours(spec)

    def _child(self, first: str, second: str, rng: np.random.Generator) -> str:
        return self.table.closest(super()._child(first, second, rng))

    def _all(self) -> list[str]:
        return list(self.table.specs)


def _looked_up(graphs: Sequence[ComputeGraph]) -> FloatArray:
    raise InvalidSettingError("a cost of a benchmark's table is looked up, not computed of graphs")
