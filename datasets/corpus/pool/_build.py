"""Building the pooled table: benchmark by benchmark, part by part, resumable."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

import archcast.datasets as corpus
from archcast.datasets._benchmark import Benchmark
from archcast.datasets.pool._columns import feature_table, graph_table, label_table
from archcast.datasets.pool._files import (
    TABLES,
    Manifest,
    need_arrow,
    pool_folder,
    version_of,
    write_table,
)
from archcast.encoders._engine import Engine, run
from archcast.encoders._files import write_atomically
from archcast.encoders.errors import InvalidSpecError, MissingExtraError, StorageError

#: Architectures of a part: what is lost at most when a build is killed.
_PART: Final = 256
_NAME: Final = re.compile(r"\w[\w.-]*", re.ASCII)


def build_pool(
    benchmarks: Sequence[str | Benchmark] | str | Benchmark | None = None,
    folder: str | Path | None = None,
    *,
    workers: int = 1,
    engine: Engine = "local",
    progress: bool = True,
) -> list[Manifest]:
    """Build the pooled table, or what is missing of it.

    What is there and of this version is kept. Each benchmark is built in parts of 256
    architectures; a build that was killed goes on with the first part that is missing. Two builds
    at once share the work by benchmark: each takes those that the other does not hold.

    Args:
        benchmarks: names, or benchmarks of one's own; all of the library's if None.
        folder: where the pool lies; ``pool`` in the cache if None.
        workers: processes; each part is the work of one. Benchmarks of one's own have one only.
        engine: ``local`` processes, or ``ray``: a Ray cluster, that of ``RAY_ADDRESS`` or one
            started on this machine; all of its machines must see the same cache and folder.
        progress: show a progress bar.

    Returns:
        One manifest a benchmark, in their order.

    Raises:
        UnknownDatasetError: no such benchmark.
        InvalidSpecError: a benchmark of one's own is called as no folder can be, as one of the
            library's, or as another one here.
        DownloadError: data is not here and cannot be fetched.
        MissingExtraError: pyarrow, filelock, or a model zoo is not installed.
        StorageError: the disk is full, or the folder cannot be written.
    """
    need_arrow()
    if isinstance(benchmarks, (str, Benchmark)):
        benchmarks = [benchmarks]
    wanted = list(corpus.list_benchmarks() if benchmarks is None else benchmarks)
    names = [_checked(item) for item in wanted]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise InvalidSpecError(
            f"{repeated[0]!r} is the name of several benchmarks; rename all but one"
        )
    place = pool_folder(folder)
    waiting = dict(zip(names, wanted, strict=True))
    done: dict[str, Manifest] = {}
    while waiting:
        for name, item in list(waiting.items()):
            with _lock(place, name) as ours:
                if ours:
                    done[name] = _build_one(item, place, workers, engine, progress)
                    del waiting[name]
        if waiting:  # what is left is held by another process
            time.sleep(0.5)
    return [done[name] for name in names]


def _checked(item: str | Benchmark) -> str:
    """The name of a benchmark, which its folder gets."""
    if isinstance(item, str):
        return corpus.info(item).name
    if not _NAME.fullmatch(item.name):
        raise InvalidSpecError(
            f"{item.name!r} cannot be a folder's name; use letters, digits, - and _ alone"
        )
    if item.name in corpus.list_benchmarks():
        raise InvalidSpecError(
            f"{item.name!r} is a benchmark of the library; give your own another name"
        )
    return item.name


@contextmanager
def _lock(place: Path, name: str) -> Iterator[bool]:
    """Whether this process may build the benchmark; the lock goes with the process."""
    try:
        from filelock import FileLock, Timeout
    except ImportError as error:
        raise MissingExtraError(
            "building the pool needs filelock: pip install 'archcast[train]'"
        ) from error
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place / f".{name}.lock")
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    except OSError as error:
        raise StorageError(f"cannot write {place}: {error.strerror or error}") from error
    try:
        yield True
    finally:
        lock.release()


def _build_one(
    item: str | Benchmark, place: Path, workers: int, engine: Engine, progress: bool
) -> Manifest:
    name = item if isinstance(item, str) else item.name
    final, version = place / name, version_of(item)
    manifest = Manifest.load(final)
    if manifest is not None and manifest.fingerprint == version:
        return manifest
    work = place / f".{name}.{version}-v"
    for stale in place.glob(f".{name}.*-v"):
        if stale != work:
            shutil.rmtree(stale, ignore_errors=True)
    manifest = Manifest.load(work)
    if manifest is not None:  # stopped when all but its place was ready
        _swap(work, final)
        return manifest
    started = time.monotonic()
    spent = _spent(work)
    benchmark = _opened(item)
    # Texts with a common beginning often share graphs and what they are read from.
    rows = sorted(benchmark.with_graph.tolist(), key=list(benchmark.specs).__getitem__)
    parts = [rows[i : i + _PART] for i in range(0, max(len(rows), 1), _PART)]
    missing = [i for i in range(len(parts)) if not _part(work, i, "architectures").exists()]
    with tqdm(
        total=len(rows), initial=len(rows) - sum(len(parts[i]) for i in missing),
        desc=f"pool: {name}", unit="nets", disable=None if progress else True,
    ) as bar:  # fmt: skip
        for index in _work(item, work, parts, missing, workers, engine):
            bar.update(len(parts[index]))
            _note(work, spent + time.monotonic() - started)
    seconds = spent + time.monotonic() - started
    manifest = _assemble(benchmark, work, len(parts), version, seconds)
    _swap(work, final)
    return manifest


def _work(
    item: str | Benchmark,
    work: Path,
    parts: list[list[int]],
    missing: list[int],
    workers: int,
    engine: Engine,
) -> Iterator[int]:
    """Make the missing parts, giving the number of each that is done."""
    own = not isinstance(item, str) or len(missing) <= 1
    jobs = [(item, work, index, parts[index]) for index in missing]
    yield from run(
        _make_part, jobs, workers=1 if own else workers, engine="local" if own else engine
    )


def _opened(item: str | Benchmark) -> Benchmark:
    return _loaded(item) if isinstance(item, str) else item


@lru_cache(maxsize=2)
def _loaded(name: str) -> Benchmark:
    return corpus.load(name)


def _make_part(item: str | Benchmark, work: Path, index: int, rows: list[int]) -> int:
    pa = need_arrow()
    benchmark = _opened(item)
    graphs = benchmark.graphs(rows)
    hashes = [graph.hash for graph in graphs]
    distinct = list(dict(zip(hashes, graphs, strict=True)).values())
    write_table(_part(work, index, "graphs"), graph_table(distinct))
    write_table(_part(work, index, "features"), feature_table(distinct))
    table = pa.table({"row": pa.array(rows, pa.int32()), "hash": pa.array(hashes, pa.string())})
    write_table(_part(work, index, "architectures"), table)  # last: it says the part is whole
    return index


def _part(work: Path, index: int, table: str) -> Path:
    return work / "parts" / f"{index:05d}.{table}.parquet"


def _assemble(
    benchmark: Benchmark, work: Path, parts: int, version: str, seconds: float
) -> Manifest:
    pa = need_arrow()
    hashes: list[str | None] = [None] * len(benchmark)
    for index in range(parts):
        table = pa.parquet.read_table(_part(work, index, "architectures"))
        for row, digest in zip(*(table[c].to_pylist() for c in ("row", "hash")), strict=True):
            hashes[row] = digest
    count = len(benchmark)
    architectures = pa.table(
        {
            "row": pa.array(range(count), pa.int32()),
            "space": pa.array([benchmark.space] * count, pa.string()).dictionary_encode(),
            "spec": pa.array(list(benchmark.specs), pa.string()),
            "hash": pa.array(hashes, pa.string()),
            "family": pa.array(list(benchmark.families), pa.string()).dictionary_encode(),
        }
    )
    write_table(work / "architectures.parquet", architectures)
    for table in ("graphs", "features"):
        _join_parts(work, parts, table)
    tasks = {task: label_table(benchmark, task, hashes) for task in benchmark.tasks}
    _write_labels(work / "labels.parquet", list(tasks.values()))
    manifest = Manifest(
        benchmark.name,
        benchmark.space,
        version,
        count,
        len(set(hashes) - {None}),
        {task: table.num_rows for task, table in tasks.items()},
        round(seconds, 2),
        sum((work / f"{table}.parquet").stat().st_size for table in TABLES),
    )
    manifest.save(work)
    return manifest


def _join_parts(work: Path, parts: int, name: str) -> None:
    """All parts in one file, every hash once."""
    pa = need_arrow()
    seen: set[str] = set()
    tables = []
    for index in range(parts):
        table = pa.parquet.read_table(_part(work, index, name))
        hashes = table["hash"].to_pylist()
        tables.append(table.filter(pa.array([digest not in seen for digest in hashes], pa.bool_())))
        seen.update(hashes)
    write_table(work / f"{name}.parquet", pa.concat_tables(tables))


def _write_labels(path: Path, tables: list[Any]) -> None:
    """A row group a task, so that one task can be read without the others."""
    pq = need_arrow().parquet

    def write(file: Any) -> None:
        schema = tables[0].schema if tables else need_arrow().schema([("hash", "string")])
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for table in tables:
                if table.num_rows:
                    writer.write_table(table, row_group_size=table.num_rows)

    write_atomically(path, write)


def _swap(work: Path, final: Path) -> None:
    """Put the finished folder in its place."""
    try:
        if final.exists():
            old = final.with_name(f".{final.name}.old-{os.getpid()}-v")  # swept by the next build
            final.rename(old)
            work.rename(final)
            shutil.rmtree(old, ignore_errors=True)
        else:
            work.rename(final)
    except OSError as error:
        raise StorageError(f"cannot write {final}: {error.strerror or error}") from error
    shutil.rmtree(final / "parts", ignore_errors=True)
    (final / "seconds").unlink(missing_ok=True)


def _note(work: Path, seconds: float) -> None:
    """Remember the time spent, for the manifest of a build that is resumed."""
    (work / "seconds").write_text(f"{seconds:.2f}")


def _spent(work: Path) -> float:
    try:
        return float((work / "seconds").read_text())
    except (OSError, ValueError):
        return 0.0
