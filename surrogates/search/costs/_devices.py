"""Devices that the corpus has measurements of, and predictors fitted to them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from archcast import datasets
from archcast.datasets.pool import version_of
from archcast.encoders._cache import cache_folder
from archcast.encoders._files import write_atomically
from archcast.encoders._fingerprint import fingerprint, imported_files
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces import get_space
from archcast.evaluation.metrics import spearman
from archcast.search.costs._latency import Device, floored
from archcast.search.costs._operators import operator_costs

FloatArray = NDArray[np.float64]

#: Networks of a benchmark that a device is fitted to.
ROWS: Final = 1500
#: Share of them, in parts of this, that is held out to say how good the fit is.
_FOLDS: Final = 5
#: Benchmarks whose "devices" are data sets, and the one whose graphs are not known.
_NOT: Final = ("nasbench_graph", "ofa_latency")
#: Inputs that a device of NAS-Bench-201 was measured with: classes and pixels of the network.
#: NinaPro's and Darcy's inputs and heads are not those of the space's graphs.
_INPUTS: Final = {
    "cifar10": (10, 32),
    "cifar100": (100, 32),
    "imagenet16-120": (120, 16),
    "ninapro": None,
    "darcy-flow": None,
}
#: Batches that HW-GPT-Bench measured latency at; those of its energies are not known.
_BATCHES: Final = {"hwgpt_s": 8, "hwgpt_m": 4, "hwgpt_l": 1}
METRICS: Final = ("latency_ms", "energy_mj")


class Source(NamedTuple):
    """Where a device was measured.

    Attributes:
        benchmark: of the corpus.
        tasks: whose labels are added up.
        classes: outputs of the networks; None leaves the space's own.
        pixels: of their input; None leaves the space's own.
    """

    benchmark: str
    tasks: tuple[str, ...]
    classes: int | None = None
    pixels: int | None = None

    @property
    def name(self) -> str:
        """The benchmark, and the input if it is not the benchmark's own."""
        return self.benchmark if self.pixels is None else f"{self.benchmark}@{self.pixels}"


@dataclass(frozen=True, slots=True)
class Fit:
    """How right a device's forecasts are on networks held out.

    Attributes:
        networks: how many were fitted and held out together.
        spearman: rank correlation.
        mape: mean absolute error, as a percentage of the truth.
    """

    networks: int
    spearman: float
    mape: float


@cache
def sources() -> Mapping[str, Mapping[str, tuple[Source, ...]]]:
    """Metric -> device -> where it was measured; read off the data cards, nothing is fetched."""
    found: dict[str, dict[str, list[Source]]] = {metric: {} for metric in METRICS}
    for benchmark in datasets.list_benchmarks():
        if benchmark in _NOT:
            continue
        for task in datasets.info(benchmark).tasks:
            named = _named(benchmark, task)
            if named is not None:
                metric, device, source = named
                found[metric].setdefault(device, []).append(source)
    return {m: {d: tuple(s) for d, s in sorted(by.items())} for m, by in found.items()}


def _named(benchmark: str, task: str) -> tuple[str, str, Source] | None:
    device, _, metric = task.partition("/")
    tasks = (task,)
    if metric == "encoder_latency_ms":  # the decoder's is added to it
        metric, tasks = "latency_ms", (task, task.replace("encoder", "decoder"))
    if metric not in METRICS:
        return None
    if benchmark in _BATCHES:
        if metric != "latency_ms":
            return None
        batch = _BATCHES[benchmark]
        return metric, device if batch == 1 else f"{device}-batch{batch}", Source(benchmark, tasks)
    for data, size in _INPUTS.items():
        if device.endswith(f"-{data}"):
            device = device.removesuffix(f"-{data}")
            if size is None:
                return None
            own = size == (10, 32)
            return metric, device, Source(benchmark, tasks, *(() if own else size))
    return metric, device, Source(benchmark, tasks)


# ------------------------------------------------------------------------- measurements
@dataclass(frozen=True, slots=True)
class Sample:
    """Networks of a benchmark, no two alike.

    Attributes:
        rows: (n,) row numbers.
        costs: (n, K) operator costs.
    """

    rows: NDArray[np.int64]
    costs: FloatArray


@cache
def sample(benchmark: str, classes: int | None, pixels: int | None) -> Sample:
    """At most :data:`ROWS` distinct networks of a benchmark, drawn at random.

    Raises:
        DownloadError: the benchmark is not here and cannot be fetched.
    """
    data = datasets.load(benchmark)
    rows = np.random.default_rng(0).permutation(np.asarray(data.with_graph))[: 2 * ROWS]
    first: dict[str, int] = {}
    graphs: list[ComputeGraph] = []
    for start in range(0, len(rows), 250):
        if len(first) >= ROWS:
            break
        part = rows[start : start + 250]
        space = get_space(data.space) if classes else None
        specs = [data.specs[row] for row in part]
        found = data.graphs(part) if space is None else space.graphs(specs, classes, pixels)
        for row, graph in zip(part.tolist(), found, strict=True):
            if first.setdefault(graph.hash, row) == row:
                graphs.append(graph)
    kept = np.array(list(first.values())[:ROWS], np.int64)
    return Sample(kept, operator_costs(graphs[: len(kept)]))


def measurements(source: Source) -> tuple[FloatArray, FloatArray]:
    """(n, K) operator costs and (n,) values of networks that were measured.

    Raises:
        DownloadError: the benchmark is not here and cannot be fetched.
    """
    known = sample(source.benchmark, source.classes, source.pixels)
    data = datasets.load(source.benchmark)
    values = sum((data.labels(task)[known.rows] for task in source.tasks), np.zeros(1))
    measured = np.isfinite(values) & (values > 0)
    return known.costs[measured], values[measured]


def quality(
    known: Mapping[str, tuple[FloatArray, FloatArray]], held_out: Mapping[str, NDArray[np.bool_]]
) -> dict[str, Fit]:
    """Fit to the networks that are not held out, and forecast those that are.

    Args:
        known: space -> operator costs and values.
        held_out: space -> (n,) whether a network is held out.

    Returns:
        Space -> what was reached there.
    """
    rest = {name: (x[~held_out[name]], y[~held_out[name]]) for name, (x, y) in known.items()}
    device = Device.fit({name: part for name, part in rest.items() if len(part[1])})
    found = {}
    for name, (x, y) in known.items():
        test = held_out[name]
        truth, value = floored(y)[test], device.predict(x[test])
        error = 100 * float(np.abs(value / truth - 1).mean())
        found[name] = Fit(len(y), float(spearman(truth, value)), error)
    return found


def folds(known: Mapping[str, tuple[FloatArray, FloatArray]]) -> dict[str, NDArray[np.bool_]]:
    """A fifth of every space, at random as the samples are."""
    return {name: np.arange(len(y)) % _FOLDS == 0 for name, (_, y) in known.items()}


# ------------------------------------------------------------------------------- fitted
def fitted(device: str, metric: str, progress: bool = False) -> tuple[Device, dict[str, Fit]]:
    """The predictor of a device, read from the cache or fitted to the corpus.

    Args:
        device: one of ``sources()[metric]``.
        metric: ``latency_ms`` or ``energy_mj``.
        progress: show a bar while networks are read.

    Returns:
        The predictor, and how right it is on a fifth of each space that it did not see.

    Raises:
        DownloadError: the corpus is not here and cannot be fetched.
    """
    from archcast.encoders._engine import run

    places = sources()[metric][device]
    path = _path(device, metric, places)
    if path.is_file():
        found = _read(path)
        if found is not None:
            return found
    label = f"{device}: networks" if progress else ""
    parts = run(measurements, [(place,) for place in places], label=label, unit="tables")
    known = {place.name: part for place, part in zip(places, parts, strict=True)}
    known = {name: part for name, part in known.items() if len(part[1])}
    reached = quality(known, folds(known))
    model = Device.fit(known)
    _write(path, model, reached)
    return model, reached


def _path(device: str, metric: str, places: Sequence[Source]) -> Path:
    versions = [f"{place} {version_of(place.benchmark)}" for place in places]
    code = imported_files("archcast.search.costs._latency", "archcast.search.costs._operators")
    digits = fingerprint({*code, Path(__file__)}, device, metric, *versions)
    return cache_folder() / "search" / f"{metric}-{device}-{digits}.safetensors"


def _write(path: Path, model: Device, reached: Mapping[str, Fit]) -> None:
    from safetensors.numpy import save

    about = {name: [fit.networks, fit.spearman, fit.mape] for name, fit in reached.items()}
    data = save(model.arrays(), metadata={"held_out": json.dumps(about)})
    write_atomically(path, lambda file: file.write(data))


def _read(path: Path) -> tuple[Device, dict[str, Fit]] | None:
    """What is cached; None if the file is damaged, it is made anew."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            about: dict[str, Any] = json.loads((file.metadata() or {})["held_out"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return Device.from_arrays(arrays), {name: Fit(*fit) for name, fit in about.items()}
    except (SafetensorError, KeyError, ValueError, TypeError, OSError):
        return None
