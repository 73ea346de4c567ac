"""``Benchmark``: architectures and what they were measured to score."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from archcast.datasets._cards import DataCard, card, names
from archcast.datasets._registry import unknown
from archcast.encoders.errors import (
    InvalidSpecError,
    MissingExtraError,
    UnknownDatasetError,
    UnknownTaskError,
)

if TYPE_CHECKING:
    import pandas as pd

    from archcast.encoders.graph import ComputeGraph

FloatArray = NDArray[np.float64]
#: Recipe fields; a value is one for all rows, or an (N,) array of one for each.
Recipe = Mapping[str, Any]
#: Reads an array of one row an architecture, when first asked for.
Reader = Callable[[], FloatArray]


class Benchmark:
    """A table of N architectures and their measured labels.

    Labels are read when first asked for and kept. Accuracies are in percent.

    Args:
        name: name of the benchmark.
        specs: (N,) texts that name the architectures.
        labels: task name -> function that reads its (N,) labels, NaN where missing.
        graphs: function from row numbers to canonical graphs.
        space: name of the search space the texts belong to; the benchmark's if empty.
        key: brings a text to the form two texts of one architecture share.
        recipes: task name -> how the networks of that label were trained.
        seeds: task name -> function that reads (N, seeds) single measurements, NaN where missing.
        stds: task name -> function that reads (N,) standard deviations, where only those are known.
        families: function that reads the (N,) family of every row; see :attr:`families`.
        proxies: name -> function that reads (N,) published scores of a training-free proxy.
        curves: task name -> function that reads (N, steps) values during training.
        with_graph: function that gives the row numbers whose graph is known; all rows if None.
        version: function that gives a text which changes when the graphs of the rows do.
    """

    def __init__(
        self,
        name: str,
        specs: Sequence[str],
        labels: Mapping[str, Reader],
        graphs: Callable[[Sequence[int]], list[ComputeGraph]],
        *,
        space: str = "",
        key: Callable[[str], Hashable] = str,
        recipes: Mapping[str, Recipe] | None = None,
        seeds: Mapping[str, Reader] | None = None,
        stds: Mapping[str, Reader] | None = None,
        families: Callable[[], Sequence[str]] | None = None,
        proxies: Mapping[str, Reader] | None = None,
        curves: Mapping[str, Reader] | None = None,
        with_graph: Callable[[], Sequence[int] | NDArray[np.integer[Any]]] | None = None,
        version: Callable[[], str] | None = None,
    ) -> None:
        self.name = name
        self.space = space or name
        self.specs = specs
        self._readers = labels
        self._graphs = graphs
        self._key = key
        self._recipes = recipes or {}
        self._seed_readers = seeds or {}
        self._std_readers = stds or {}
        self._family_reader = families
        self._proxy_readers = proxies or {}
        self._curve_readers = curves or {}
        self._with_graph = with_graph
        self._version = version
        self._arrays: dict[tuple[str, str], FloatArray] = {}

    def __len__(self) -> int:
        return len(self.specs)

    def __repr__(self) -> str:
        more = len(self.tasks) - 5
        tasks = ", ".join(self.tasks[:5]) + (f" and {more} more" if more > 0 else "")
        return f"Benchmark({self.name!r}, {len(self):,} rows, tasks: {tasks})"

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks, ``<data set>/<metric>``."""
        return tuple(self._readers)

    @property
    def card(self) -> DataCard:
        """Where the data comes from, what it means, and what to beware of.

        Raises:
            UnknownDatasetError: a benchmark of one's own has none.
        """
        if self.name not in names():
            raise UnknownDatasetError(f"{self.name} is a benchmark of one's own, without a card")
        return card(self.name)

    def labels(self, task: str) -> FloatArray:
        """The measured values of a task.

        Args:
            task: one of :attr:`tasks`.

        Returns:
            (N,) values aligned with :attr:`specs`, read-only; NaN where missing.

        Raises:
            UnknownTaskError: no such task.
            DownloadError: the data is not here and cannot be fetched.
        """
        self._check(task)
        return self._kept("labels", task, self._readers[task])

    def seeds(self, task: str) -> FloatArray:
        """The single measurements behind a task's labels.

        Returns:
            (N, seeds) values, read-only; NaN where missing; no column where only means are known.

        Raises:
            UnknownTaskError: no such task.
        """
        self._check(task)
        reader = self._seed_readers.get(task, lambda: np.zeros((len(self), 0)))
        return self._kept("seeds", task, reader)

    def label_std(self, task: str) -> FloatArray:
        """Standard deviation over the seeds of each row.

        Returns:
            (N,) values, with Bessel's correction; NaN where the source tells neither the deviation
            nor at least two seeds.

        Raises:
            UnknownTaskError: no such task.
        """
        self._check(task)
        if task in self._std_readers:
            return self._kept("stds", task, self._std_readers[task])
        seeds = self.seeds(task)
        count = np.isfinite(seeds).sum(1)
        several = count > 1
        std = np.full(len(self), np.nan)
        if several.any():
            std[several] = np.nanstd(seeds[several], axis=1, ddof=1)
        return std

    @cached_property
    def families(self) -> tuple[str, ...]:
        """(N,) family of every row: what must stay together in a split by family.

        The space's name for all rows where the source knows no families.

        Raises:
            DownloadError: the data is not here and cannot be fetched.
        """
        return tuple(self._family_reader()) if self._family_reader else (self.space,) * len(self)

    @property
    def proxies(self) -> tuple[str, ...]:
        """Names of training-free proxies whose scores were published, ``<data set>/<proxy>``."""
        return tuple(self._proxy_readers)

    def proxy_scores(self, name: str) -> FloatArray:
        """Published scores of a training-free proxy.

        Returns:
            (N,) scores as the source has them, read-only; NaN where missing.

        Raises:
            UnknownTaskError: no scores of that name.
        """
        if name not in self._proxy_readers:
            raise UnknownTaskError(unknown(f"proxy of {self.name}", name, list(self.proxies)))
        return self._kept("proxies", name, self._proxy_readers[name])

    def curves(self, task: str) -> FloatArray:
        """Values of a task during training.

        Returns:
            (N, steps) values, read-only; NaN where missing; no column where none are known. The
            data card says what a step is.

        Raises:
            UnknownTaskError: no such task.
        """
        self._check(task)
        reader = self._curve_readers.get(task, lambda: np.zeros((len(self), 0)))
        return self._kept("curves", task, reader)

    def recipe(self, task: str) -> Recipe:
        """How the networks behind a label were trained.

        Returns:
            Field -> value for all rows, or an (N,) array of one for each.

        Raises:
            UnknownTaskError: no such task.
        """
        self._check(task)
        return self._recipes.get(task, {})

    @property
    def version(self) -> str:
        """A text that changes when the graphs of the rows do, a pooled table is renewed then."""
        return self._version() if self._version else ""

    @cached_property
    def with_graph(self) -> NDArray[np.int64]:
        """Row numbers whose graph is known; nearly always all of them."""
        rows = range(len(self)) if self._with_graph is None else self._with_graph()
        return np.asarray(rows, np.int64)

    def graphs(
        self, indices: Sequence[int] | NDArray[np.integer[Any]] | None = None
    ) -> list[ComputeGraph]:
        """Canonical graphs of the full networks.

        Args:
            indices: row numbers; all rows of :attr:`with_graph` if None.

        Returns:
            One graph for each row asked for.

        Raises:
            UnreadableModelError: the graph of a row is not known; :attr:`with_graph` has those
                that are.
            DownloadError: the data is not here and cannot be fetched.
        """
        rows = (self.with_graph if indices is None else np.asarray(indices)).tolist()
        return self._graphs(rows)

    @overload
    def query(self, spec: str, task: str) -> float: ...
    @overload
    def query(self, spec: list[str] | tuple[str, ...], task: str) -> FloatArray: ...
    def query(self, spec: str | list[str] | tuple[str, ...], task: str) -> float | FloatArray:
        """Look measured values up.

        Args:
            spec: a text naming an architecture, or many.
            task: one of :attr:`tasks`.

        Returns:
            The value, or (len(spec),) values; NaN where it was not measured. Of several rows
            with the same text (one architecture under several recipes) the last one answers.

        Raises:
            InvalidSpecError: a text is not well formed, or not in the table.
            UnknownTaskError: no such task.
        """
        values = self.labels(task)
        if isinstance(spec, str):
            return float(values[self.index(spec)])
        if not isinstance(spec, (list, tuple, np.ndarray)):
            raise InvalidSpecError(
                f"{self.name}: query() takes a text or a list of them, not {spec!r}"
            )
        rows: list[Any] = list(map(self._rows.get, spec))
        if None in rows:
            rows = [
                self.index(s) if row is None else row for s, row in zip(spec, rows, strict=True)
            ]
        return values[rows]

    def __contains__(self, spec: object) -> bool:
        """Whether an architecture is in the table."""
        try:
            return isinstance(spec, str) and self.index(spec) >= 0
        except InvalidSpecError:
            return False

    def index(self, spec: str) -> int:
        """The row of an architecture.

        Raises:
            InvalidSpecError: the text is not well formed, or not in the table.
        """
        row = self._rows.get(spec)
        row = self._rows_by_key.get(self._key(spec)) if row is None else row
        if row is None:
            raise InvalidSpecError(
                f"{self.name} has no measurement of {spec!r}; 'spec in benchmark' asks first"
            )
        return row

    def to_pandas(self) -> pd.DataFrame:
        """Everything as one table: ``spec`` and a column a task.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError("tables need pandas: pip install 'archcast[train]'") from error
        return pd.DataFrame({"spec": list(self.specs)} | {t: self.labels(t) for t in self.tasks})

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {spec: row for row, spec in enumerate(self.specs)}

    @cached_property
    def _rows_by_key(self) -> dict[Hashable, int]:
        return {self._key(spec): row for row, spec in enumerate(self.specs)}

    def _check(self, task: str) -> None:
        if task not in self._readers:
            raise UnknownTaskError(unknown(f"task of {self.name}", task, list(self.tasks)))

    def _kept(self, kind: str, name: str, read: Reader) -> FloatArray:
        if (kind, name) not in self._arrays:
            values = np.asarray(read(), np.float64)
            values.setflags(write=False)
            self._arrays[kind, name] = values
        return self._arrays[kind, name]
