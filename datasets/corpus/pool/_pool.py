"""``Pool``: the pooled table, opened lazily and read by column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archcast.datasets._registry import unknown
from archcast.datasets.pool._columns import graphs_of
from archcast.datasets.pool._files import TABLES, Manifest, need_arrow, pool_folder
from archcast.encoders.errors import (
    StorageError,
    UnknownDatasetError,
    UnknownTaskError,
    UnreadableModelError,
)
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.tabular import feature_names


@dataclass(frozen=True)
class Pool:
    """Every benchmark in one form: architectures, graphs, features and labels.

    Four Parquet tables a benchmark, joined by the hash of the graph:

    * ``architectures``: ``row``, ``space``, ``spec``, ``hash``, ``family``;
    * ``graphs``: ``hash`` and the columns of :class:`~archcast.encoders.graph.ComputeGraph`;
    * ``features``: ``hash`` and the columns of :func:`~archcast.encoders.tabular.tabular`;
    * ``labels``: ``row``, ``space``, ``hash``, ``task``, ``value``, ``std``, ``seeds``, ``recipe``,
      ``family``.

    Nothing is read before it is asked for, and only the columns asked for.

    Attributes:
        folder: where it lies.
        manifests: benchmark name -> what its tables hold.
    """

    folder: Path
    manifests: dict[str, Manifest]

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Names of the benchmarks that are built, sorted."""
        return tuple(self.manifests)

    def table(
        self,
        name: str,
        benchmarks: Sequence[str] | str | None = None,
        columns: Sequence[str] | None = None,
        *,
        tasks: Sequence[str] | str | None = None,
    ) -> Any:
        """Read one of the four tables.

        Args:
            name: ``architectures``, ``graphs``, ``features`` or ``labels``.
            benchmarks: which benchmarks; all if None.
            columns: which columns; all if None. ``benchmark`` is one, too.
            tasks: labels of these tasks only.

        Returns:
            A ``pyarrow.Table``.

        Raises:
            UnknownDatasetError: no such table or benchmark here.
            UnknownTaskError: no such task, or tasks are asked of a table that has none.
            UnreadableModelError: a file is damaged, or has no such column.
        """
        pa = need_arrow()
        if name not in TABLES:
            raise UnknownDatasetError(unknown("table", name, list(TABLES)))
        if tasks is not None and name != "labels":
            raise UnknownTaskError(f"only the table of labels has tasks, not that of {name}")
        wanted = self._named(benchmarks)
        rows = [tasks] if isinstance(tasks, str) else tasks
        self._check_tasks(wanted, rows or ())
        stored = None if columns is None else [c for c in columns if c != "benchmark"]
        parts = []
        for benchmark in wanted:
            path = self.folder / benchmark / f"{name}.parquet"
            part = _read(path, stored, self._groups(benchmark, rows))
            if columns is None or "benchmark" in columns:
                index = pa.array(np.zeros(part.num_rows, np.int32))
                label = pa.DictionaryArray.from_arrays(index, pa.array([benchmark]))
                part = part.append_column("benchmark", label)
            parts.append(part)
        return pa.concat_tables(parts).unify_dictionaries()

    def features(
        self, benchmarks: Sequence[str] | str | None = None, columns: Sequence[str] | None = None
    ) -> tuple[NDArray[np.str_], NDArray[np.float32]]:
        """Tabular features of every distinct graph.

        Returns:
            (n,) hashes, and (n, F) values, every hash once.

        Raises:
            UnreadableModelError: the pool has other features than this version of the library.
        """
        names = list(columns) if columns is not None else list(feature_names())
        table = self.table("features", benchmarks, ["hash", *names])
        hashes, first = np.unique(table["hash"].to_numpy(), return_index=True)
        values = np.zeros((len(hashes), len(names)), np.float32)
        for at, name in enumerate(names):
            values[:, at] = table[name].to_numpy()[first]
        return hashes.astype(np.str_), values

    def graphs(self, benchmarks: Sequence[str] | str | None = None) -> dict[str, ComputeGraph]:
        """Every distinct graph by its hash.

        Raises:
            UnknownDatasetError: no such benchmark here.
            UnreadableModelError: a file is damaged.
        """
        table = self.table("graphs", benchmarks)
        return dict(zip(table["hash"].to_pylist(), graphs_of(table), strict=True))

    def stats(self) -> list[dict[str, Any]]:
        """One row a benchmark: space, architectures, hashes, shared hashes, tasks, labels, size.

        ``shared`` counts the hashes that another benchmark has, too.

        Raises:
            UnreadableModelError: a file is damaged.
        """
        shared = Counter(
            name for names in self._owners().values() for name in names if len(names) > 1
        )
        found = []
        for name, m in self.manifests.items():
            found.append(
                {
                    "benchmark": name,
                    "space": m.space,
                    "architectures": m.architectures,
                    "hashes": m.hashes,
                    "shared": shared[name],
                    "tasks": len(m.tasks),
                    "labels": m.labels,
                    "seconds": m.seconds,
                    "bytes": m.bytes,
                }
            )
        return found

    @property
    def distinct(self) -> int:
        """Number of distinct graphs in all benchmarks together."""
        return len(self._owners())

    def shared(self) -> dict[tuple[str, ...], int]:
        """Benchmarks that have graphs in common -> how many hashes exactly these share.

        Raises:
            UnreadableModelError: a file is damaged.
        """
        counts = Counter(names for names in self._owners().values() if len(names) > 1)
        return dict(counts.most_common())

    def _owners(self) -> dict[str, tuple[str, ...]]:
        owners: dict[str, tuple[str, ...]] = {}
        for name in self.manifests:
            table = self.table("features", name, ["hash"])
            for digest in table["hash"].to_pylist():
                owners[digest] = (*owners.get(digest, ()), name)
        return owners

    def _groups(self, benchmark: str, tasks: Sequence[str] | None) -> list[int] | None:
        """The row groups of some tasks' labels: a task is one, if it has any."""
        if tasks is None:
            return None
        written = [task for task, count in self.manifests[benchmark].tasks.items() if count]
        return [index for index, task in enumerate(written) if task in tasks]

    def _check_tasks(self, benchmarks: Sequence[str], tasks: Sequence[str]) -> None:
        known = sorted({task for name in benchmarks for task in self.manifests[name].tasks})
        for task in tasks:
            if task not in known:
                raise UnknownTaskError(unknown("task of these benchmarks", task, known))

    def _named(self, benchmarks: Sequence[str] | str | None) -> list[str]:
        wanted = [benchmarks] if isinstance(benchmarks, str) else benchmarks
        for name in wanted or ():
            if name not in self.manifests:
                raise UnknownDatasetError(
                    f"{unknown('benchmark of this pool', name, list(self.manifests))}; "
                    f"'archcast datasets build {name}' makes it"
                )
        if wanted is not None and not wanted:
            raise UnknownDatasetError("name at least one benchmark, or none at all for all")
        return list(self.manifests if wanted is None else wanted)


def open_pool(folder: str | Path | None = None) -> Pool:
    """Open the pooled table that :func:`build_pool` made, without reading its tables.

    Args:
        folder: where it lies; ``pool`` in the cache if None.

    Returns:
        The pool; benchmarks that are not whole are left out.

    Raises:
        StorageError: nothing is built there.
        MissingExtraError: pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:  # to import it takes longer than to open the pool
        need_arrow()
    place = pool_folder(folder)
    found = {}
    for path in sorted(place.glob("[!.]*/manifest.json")):
        manifest = Manifest.load(path.parent)
        if manifest is not None:
            found[path.parent.name] = manifest
    if not found:
        raise StorageError(
            f"no benchmark is built in {place}; 'archcast datasets build' makes them"
        )
    return Pool(place, found)


def _read(path: Path, columns: list[str] | None, groups: list[int] | None) -> Any:
    pq = need_arrow().parquet
    try:
        with pq.ParquetFile(path) as file:
            missing = set(columns or ()) - set(file.schema_arrow.names)
            if not missing and groups is None:
                return file.read(columns)
            if not missing:
                return file.read_row_groups(groups, columns)
    except (OSError, ValueError, KeyError) as error:  # arrow's own errors are of these
        raise UnreadableModelError(
            f"{path} cannot be read ({str(error).partition(chr(10))[0]}); delete its folder and "
            "build the benchmark again"
        ) from error
    raise UnreadableModelError(
        f"{path} has no column {min(missing)!r}; if another version of archcast made it, "
        f"'archcast datasets build {path.parent.name}' renews it"
    )
