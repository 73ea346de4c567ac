"""``score``: training-free scores of any architectures, many at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from archcast.encoders._engine import Engine, run
from archcast.encoders.errors import (
    DeviceError,
    InvalidSettingError,
    MissingExtraError,
    ShapeError,
)
from archcast.zero_cost._cache import Kept, ScoreCache, data_fingerprint
from archcast.zero_cost._settings import Found, Settings
from archcast.zero_cost._weights import check_initialisation
from archcast.zero_cost.catalogue import CLASSIC, get_proxy, implementation

if TYPE_CHECKING:
    import pandas as pd

    from archcast.encoders.graph import ComputeGraph
    from archcast.zero_cost._bench import Bench
    from archcast.zero_cost._proxy import Proxy

FloatArray = NDArray[np.float64]

#: Most architectures, and multiply-accumulates, of a part: some ten seconds of a processor. What a
#: part found is kept in the cache before the next one is looked at.
_PART: Final = 64
_PART_MACS: Final = 2e12
_PART_MACS_GPU: Final = 2e14
#: Kinds of devices whose names are understood.
_DEVICES: Final = ("cpu", "cuda", "mps", "xpu")


@dataclass
class Scores(Mapping[str, FloatArray]):
    """Scores by proxy; a mapping from names to (N,) arrays, higher is better.

    Attributes:
        table: name -> (N,) scores, NaN where there is none.
        reasons: name -> {row: why there is none}.
    """

    table: dict[str, FloatArray]
    reasons: dict[str, dict[int, str]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> FloatArray:
        return self.table[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)

    def to_pandas(self) -> pd.DataFrame:
        """A table with a row for each architecture and a column for each proxy.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError("to_pandas needs pandas: pip install 'archcast[train]'") from (
                error
            )
        return pd.DataFrame(self.table)


def score(
    archs: Iterable[Any],
    proxies: Sequence[str] = CLASSIC,
    *,
    samples: int = 32,
    batch: int | None = None,
    device: str = "cpu",
    seed: int = 0,
    init: str = "kaiming",
    data: Any = None,
    input_shape: Any = None,
    memory: int | None = None,
    cache: bool | str | os.PathLike[str] = True,
    engine: Engine = "local",
    workers: int = 1,
    progress: bool = False,
) -> Scores:
    """Score architectures without training them.

    Equal architectures are scored once. Scores are kept on disk as they are found, so that a call
    that was interrupted goes on where it was when it is made again.

    Args:
        archs: N architectures, whatever :func:`archcast.encoders.read` takes: ONNX files, modules,
            specifications of search spaces, graphs.
        proxies: names of :data:`~archcast.zero_cost.catalogue.PROXIES`, or one name.
        samples: B, samples in the mini-batch.
        batch: most architectures in one launch; by default as many as fit.
        device: ``cpu`` or ``cuda``.
        seed: of weights, inputs and labels; equal seeds give equal scores, in whatever company.
        init: of the weights: kaiming, pytorch, xavier, orthogonal or normal.
        data: (images, labels): a mini-batch of at least B samples, (N, C, H, W) standardised
            numbers and (N,) whole numbers (or None, or images alone: labels by chance); resized
            to what a network takes, which has no score of the loss if a label is none of its
            classes. By default
            random pictures with the spectrum of photographs, standard normal numbers where there
            is no picture, uniform token ids, and labels by chance.
        input_shape: for sources that do not say what they take.
        memory: bytes to use; half of what is free by default.
        cache: whether scores found before are taken and new ones kept, in the library's cache
            folder; or the file to keep them in. Device, batch, memory and workers do not matter to
            it; settings, data and the proxy's code do.
        engine: ``local`` processes, or ``ray``: a Ray cluster, that of ``RAY_ADDRESS`` or one
            started on this machine. Only this process touches the cache.
        workers: processes to score with.
        progress: show a progress bar.

    Returns:
        Name -> (N,) scores, higher is better; NaN with a reason where a proxy does not apply.

    Raises:
        InvalidSettingError: no such proxy, initialisation or engine; a number below 1; a single
            architecture that is in no list; data that are not finite.
        ShapeError: data of another shape.
        MissingExtraError: torch is not installed, and a proxy runs networks; Ray is not.
        DeviceError: no such device.
        StorageError: ``cache`` names a file that is no cache of scores.
        ArchcastError: an architecture cannot be read.
    """
    from archcast.encoders import read_all

    names = (proxies,) if isinstance(proxies, str) else proxies
    wanted = {name: get_proxy(name) for name in names}
    _check_numbers(samples=samples, batch=batch, workers=workers, memory=memory, seed=seed)
    check_initialisation(init)
    if engine not in get_args(Engine):
        raise InvalidSettingError(f"unknown engine {engine!r}; there are 'local' and 'ray'")
    device = str(device)
    _check_device(device)
    arrays = _arrays(data)
    module = hasattr(archs, "named_parameters")  # some modules are iterables of their layers
    if module or isinstance(archs, (str, bytes, os.PathLike)) or not isinstance(archs, Iterable):
        raise InvalidSettingError("architectures are given as a list; of one, too: score([arch])")
    graphs = read_all(archs, input_shape)
    places: dict[ComputeGraph, list[int]] = {}
    for row, graph in enumerate(graphs):
        places.setdefault(graph, []).append(row)
    scores = Scores(
        {name: np.full(len(graphs), np.nan) for name in wanted}, {name: {} for name in wanted}
    )
    moving = {name: proxy for name, proxy in wanted.items() if proxy.needs}
    for name in wanted.keys() - moving.keys():
        compute = implementation(wanted[name])
        for graph, rows in places.items():
            scores.table[name][rows] = compute(graph)
    if moving and graphs:
        settings = Settings(samples, seed, init, device, batch, memory)  # type: ignore[arg-type]
        work = _Work(moving, settings, arrays, engine, workers, progress)
        for name, graph, (value, reason) in work.results(list(places), cache):
            scores.table[name][places[graph]] = value
            if reason:
                scores.reasons[name].update((row, reason) for row in places[graph])
    return scores


#: Name of a proxy, architecture, its score.
_Result = tuple[str, "ComputeGraph", Kept]


@dataclass(frozen=True)
class _Work:
    """Proxies that run networks, and how they are run."""

    proxies: dict[str, Proxy]
    settings: Settings
    data: tuple[Any, Any] | None
    engine: Engine
    workers: int
    progress: bool

    def results(
        self, graphs: Sequence[ComputeGraph], cache: bool | str | os.PathLike[str]
    ) -> Iterator[_Result]:
        """Scores of graphs that all differ: those known, then others as they are found."""
        kept = self._cache(cache)
        try:
            missing: dict[ComputeGraph, list[str]] = {graph: [] for graph in graphs}
            hashes = [graph.hash for graph in graphs]
            for name, proxy in self.proxies.items():
                known = kept.find(proxy, hashes) if kept else {}
                for graph in graphs:
                    if graph.hash in known:
                        yield name, graph, known[graph.hash]
                    else:
                        missing[graph].append(name)
            for part, found in self._computed(missing):
                if kept:
                    rows = [
                        (f.proxy, part[f.place].hash, (f.value, f.reason))
                        for f in found
                        if f.lasting
                    ]
                    kept.keep(self.proxies, rows)
                for f in found:
                    yield f.proxy, part[f.place], (f.value, f.reason)
        finally:
            if kept:
                kept.close()

    def _cache(self, cache: bool | str | os.PathLike[str]) -> ScoreCache | None:
        if cache is False:
            return None
        images, labels = self.data or (None, None)
        matters = {
            "samples": self.settings.samples,
            "seed": self.settings.seed,
            "init": self.settings.init,
            "data": data_fingerprint(images, labels) if self.data else "",
            "dtype": "float32",
        }
        return ScoreCache(None if cache is True else Path(cache), matters)

    def _computed(
        self, missing: Mapping[ComputeGraph, list[str]]
    ) -> Iterator[tuple[list[ComputeGraph], list[Found]]]:
        """Parts and their scores, as they are found."""
        groups: dict[tuple[str, ...], list[ComputeGraph]] = {}
        for graph, names in missing.items():
            if names:
                groups.setdefault(tuple(names), []).append(graph)
        jobs = [
            (part, names, self.settings, self.data, *self._division())
            for names, graphs in groups.items()
            for part in self._parts(graphs, names)
        ]
        found = run(
            _score_part,
            jobs,
            workers=self.workers,
            engine=self.engine,
            label="scoring" if self.progress else "",
            unit="nets",
            sizes=[len(job[0]) for job in jobs],
        )
        try:
            for job, results in zip(jobs, found, strict=True):
                yield job[0], results
        finally:
            _BENCHES.clear()

    def _division(self) -> tuple[int, int]:
        """Processes that share a machine's memory, and threads of each (0: as they are)."""
        if self.workers == 1 and self.engine == "local":
            return 1, 0
        processors = os.cpu_count() or 1
        share = max(min(self.workers, processors), 1)
        return share, processors // share if self.engine == "local" else 0  # Ray sees to its own

    def _parts(
        self, graphs: Sequence[ComputeGraph], names: Sequence[str]
    ) -> Iterator[list[ComputeGraph]]:
        """Graphs in parts of about one cost, in order."""
        passes = max(sum(self.proxies[name].cost for name in names), 1.0)
        most = _PART_MACS_GPU if self.settings.device.startswith("cuda") else _PART_MACS
        part: list[ComputeGraph] = []
        spent = 0.0
        for graph in graphs:
            cost = graph.macs * self.settings.samples * passes
            if part and (len(part) >= (self.settings.batch or _PART) or spent + cost > most):
                yield part
                part, spent = [], 0.0
            part.append(graph)
            spent += cost
        if part:
            yield part


#: The bench of this process, by what it was made for: weights that it drew are used again.
_BENCHES: Final[dict[object, Bench]] = {}


def _score_part(
    graphs: Sequence[ComputeGraph],
    names: Sequence[str],
    settings: Settings,
    data: tuple[Any, Any] | None,
    share: int,
    threads: int,
) -> list[Found]:
    """Scores of a few graphs: what one process does at a time."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(
            f"{names[0]} runs networks: pip install 'archcast[torch]'"
        ) from error
    from archcast.zero_cost._bench import Bench

    if threads:
        torch.set_num_threads(threads)
    key = (settings, data_fingerprint(*data) if data else "", share)
    if key not in _BENCHES:
        _BENCHES.clear()
        _BENCHES[key] = Bench(settings, data, share)
    return list(_BENCHES[key].scores(graphs, [get_proxy(name) for name in names]))


def _check_numbers(**numbers: int | None) -> None:
    """Refuse what is no whole number, or below 1; a seed may be any whole number."""
    for name, number in numbers.items():
        if number is None and name in ("batch", "memory"):
            continue
        whole = isinstance(number, Integral) or (isinstance(number, float) and name == "memory")
        if not whole or isinstance(number, bool):
            raise InvalidSettingError(f"{name} is a whole number, not {number!r}")
        if name != "seed" and not number >= 1:  # type: ignore[operator]  # checked above
            raise InvalidSettingError(f"{name} is at least 1, not {number}")


def _check_device(device: str) -> None:
    """Refuse what is no device's name, which takes no torch; whether it is there, torch says."""
    kind, colon, index = device.partition(":")
    if kind not in _DEVICES or (colon and not index.isdecimal()):
        raise DeviceError(f"no such device {device!r}; it is cpu, cuda, cuda:1, …")


def _arrays(data: Any) -> tuple[Any, Any] | None:
    """Images and labels as arrays: tensors of a GPU do not travel."""
    if data is None:
        return None
    if hasattr(data, "shape"):  # images alone
        return _array(data), None
    if not isinstance(data, Sequence) or len(data) != 2:
        raise InvalidSettingError("data are (images, labels), or images alone")
    images, labels = data
    return _array(images), None if labels is None else _array(labels)


def _array(values: Any) -> NDArray[Any]:
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    found = np.asarray(values)
    if found.dtype.kind not in "fiub":
        raise ShapeError(f"data are arrays of numbers, not {type(values).__name__}")
    return found
