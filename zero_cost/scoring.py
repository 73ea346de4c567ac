"""``score``: training-free scores of any architectures, many at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from archcast.encoders.errors import DeviceError, InvalidSettingError, MissingExtraError
from archcast.zero_cost._program import Program, compile_graph
from archcast.zero_cost.catalogue import CLASSIC, get_proxy, implementation

if TYPE_CHECKING:
    import torch

    from archcast.encoders.graph import ComputeGraph
    from archcast.zero_cost._proxy import Proxy

FloatArray = NDArray[np.float64]
#: Why a score is missing where the network did not fit.
_TOO_BIG: Final = "needs about {0:.1f} GB of memory, of {1:.1f} GB: give fewer samples"
#: Values kept for each activation: by a forward pass that lets go of them, and for gradients.
_KEPT_FOR_GRADIENTS: Final = 3


@dataclass(frozen=True)
class Settings:
    """What scores depend on, beside the architecture and the code.

    Attributes:
        samples: B, samples in the mini-batch.
        seed: of weights, inputs and labels.
        init: initialisation, see :class:`~archcast.zero_cost._weights.Weights`.
        device: ``cpu``, ``cuda``, ``cuda:1``, …
        batch: most architectures in one launch; None adapts it to the memory.
        memory: bytes to use; None takes half of what is free.
    """

    samples: int = 32
    seed: int = 0
    init: str = "kaiming"
    device: str = "cpu"
    batch: int | None = None
    memory: int | None = None


@dataclass
class Scores(Mapping[str, FloatArray]):
    """Scores by proxy; a mapping from names to (N,) arrays, higher is better.

    Attributes:
        values: name -> (N,) scores, NaN where there is none.
        reasons: name -> {row: why there is none}.
    """

    values: dict[str, FloatArray]
    reasons: dict[str, dict[int, str]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> FloatArray:
        return self.values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)


def score_graphs(
    graphs: Sequence[ComputeGraph],
    proxies: Sequence[str],
    settings: Settings,
    data: tuple[Any, Any] | None = None,
) -> Scores:
    """Scores of graphs, in this process and without a cache; see :func:`score`."""
    wanted = [get_proxy(name) for name in proxies]
    scores = Scores({p.name: np.full(len(graphs), np.nan) for p in wanted}, {})
    scores.reasons.update({p.name: {} for p in wanted})
    rows: dict[ComputeGraph, list[int]] = {}
    for row, graph in enumerate(graphs):
        rows.setdefault(graph, []).append(row)
    different = list(rows)
    for proxy in wanted:
        if not proxy.needs:
            compute = implementation(proxy)
            for graph, places in rows.items():
                scores.values[proxy.name][places] = compute(graph)
    run = [proxy for proxy in wanted if proxy.needs]
    if run and different:
        bench = _Bench(run, settings, data)
        for found in bench.all(different):
            for name, index, value, reason in found:
                places = rows[different[index]]
                scores.values[name][places] = value
                if reason:
                    scores.reasons[name].update(dict.fromkeys(places, reason))
    return scores


#: Proxy, architecture, score, and why there is none.
_Found = tuple[str, int, float, str]


class _Bench:
    """Runs proxies on chunks of architectures that fit into memory."""

    def __init__(
        self, proxies: Sequence[Proxy], settings: Settings, data: tuple[Any, Any] | None
    ) -> None:
        try:
            import torch
        except ImportError as error:
            raise MissingExtraError(
                f"{proxies[0].name} runs networks: pip install 'archcast[torch]'"
            ) from error
        from archcast.zero_cost._data import Data
        from archcast.zero_cost._weights import Weights

        self.proxies, self.settings = proxies, settings
        self.device = _device(settings.device)
        self.memory = settings.memory or _free_memory(self.device) // 2
        images, labels = data or (None, None)
        self.data = Data(settings.samples, settings.seed, images, labels, device=self.device)
        init: Any = settings.init
        self.weights = Weights(settings.seed, init, self.device, torch.float32)
        self.differentiate = any("gradients" in p.needs for p in proxies)
        self.twice = any("second_gradients" in p.needs for p in proxies)

    def all(self, graphs: Sequence[ComputeGraph]) -> Iterator[list[_Found]]:
        """Scores of all graphs, as they are found."""
        programs = [compile_graph(graph) for graph in graphs]
        for chunk in self._chunks(programs):
            yield self._safely(chunk, programs)

    def _bytes(self, program: Program) -> int:
        """About what a program needs."""
        values = program.elements * _KEPT_FOR_GRADIENTS if self.differentiate else program.peak
        return 4 * self.settings.samples * values * (2 if self.twice else 1)

    def _chunks(self, programs: Sequence[Program]) -> Iterator[list[int]]:
        """Architectures that are run together: neighbours, as many as fit."""
        chunk: list[int] = []
        used = 0
        limit = self.settings.batch or 64
        for index, program in enumerate(programs):
            need = self._bytes(program)
            if chunk and (used + need > self.memory or len(chunk) == limit):
                yield chunk
                chunk, used = [], 0
            chunk.append(index)
            used += need
        if chunk:
            yield chunk

    def _safely(self, chunk: list[int], programs: Sequence[Program]) -> list[_Found]:
        """Scores of a chunk; where that fails, of its halves, down to one architecture."""
        need = max(self._bytes(programs[i]) for i in chunk)
        if len(chunk) == 1 and need > self.memory:
            reason = _TOO_BIG.format(need / 1e9, self.memory / 1e9)
            return [(p.name, chunk[0], np.nan, reason) for p in self.proxies]
        try:
            return self._scored(chunk, programs, self.proxies)
        except (RuntimeError, ArithmeticError, MemoryError) as error:
            if len(chunk) > 1:
                half = len(chunk) // 2
                return [
                    *self._safely(chunk[:half], programs),
                    *self._safely(chunk[half:], programs),
                ]
            if len(self.proxies) == 1:
                return [(self.proxies[0].name, chunk[0], np.nan, _line(error))]
        found = []
        for proxy in self.proxies:  # one of them spoils it: find out which
            try:
                found += self._scored(chunk, programs, [proxy])
            except (RuntimeError, ArithmeticError, MemoryError) as error:
                found.append((proxy.name, chunk[0], np.nan, _line(error)))
        return found

    def _scored(
        self, chunk: list[int], programs: Sequence[Program], proxies: Sequence[Proxy]
    ) -> list[_Found]:
        from archcast.zero_cost._lab import Lab, Observer

        chosen = [programs[i] for i in chunk]
        made = {p.name: implementation(p) for p in proxies}
        observers = {
            name: compute(chosen)
            for name, compute in made.items()
            if isinstance(compute, type) and issubclass(compute, Observer)
        }
        lab = Lab(
            chosen,
            self.weights,
            self.data,
            observers.values(),
            width=self._width(chosen),
            differentiate=self.differentiate,
            twice=self.twice,
        )
        lab.watch()
        found: list[_Found] = []
        for name, compute in made.items():
            if name in observers:
                values, reasons = observers[name].scores(), observers[name].reasons
            else:
                lab.reasons = {}
                values, reasons = compute(lab), lab.reasons
            for index, a, value in zip(chunk, range(len(chunk)), values.tolist(), strict=True):
                found.append(_judged(name, index, float(value), reasons.get(a, "")))
        return found

    def _width(self, programs: Sequence[Program]) -> int:
        """Architectures whose operators run in one call: many where values are small."""
        largest = max(program.largest for program in programs) * self.settings.samples * 4
        room = 1 << 18 if self.device.type == "cpu" else 1 << 30
        return max(1, min(len(programs), room // largest))


def _judged(name: str, index: int, value: float, reason: str) -> _Found:
    """A score that is no number is none."""
    if np.isfinite(value):
        return name, index, value, ""
    return name, index, np.nan, reason or f"the score is {value}"


def _line(error: BaseException) -> str:
    text = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text[:200]}"


def _device(name: str) -> torch.device:
    import torch

    if name.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError("no CUDA device is at hand; take device='cpu'")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"no such device {name!r}: {_line(error)}") from error


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def score(
    archs: Iterable[Any],
    proxies: Sequence[str] = CLASSIC,
    *,
    samples: int = 32,
    batch: int | None = None,
    device: str = "cpu",
    seed: int = 0,
    init: str = "kaiming",
    data: tuple[Any, Any] | None = None,
    input_shape: Any = None,
    memory: int | None = None,
) -> Scores:
    """Score architectures without training them.

    Args:
        archs: N architectures, whatever :func:`archcast.encoders.read` takes: ONNX files, modules,
            specifications of search spaces, graphs.
        proxies: names of :data:`~archcast.zero_cost.catalogue.PROXIES`.
        samples: B, samples in the mini-batch.
        batch: most architectures in one launch; by default as many as fit.
        device: ``cpu`` or ``cuda``.
        seed: of weights, inputs and labels; equal seeds give equal scores, in whatever company.
        init: of the weights: kaiming, pytorch, xavier, orthogonal or normal.
        data: (images, labels): a mini-batch of at least B samples, (N, C, H, W) standardised
            numbers and (N,) whole numbers (or None); resized to what a network takes. By default
            standard normal numbers, uniform token ids, and labels by chance.
        input_shape: for sources that do not say what they take.
        memory: bytes to use; half of what is free by default.

    Returns:
        Name -> (N,) scores, higher is better; NaN with a reason where a proxy does not apply.

    Raises:
        InvalidSettingError: no such proxy or initialisation.
        MissingExtraError: torch is not installed, and a proxy runs networks.
        DeviceError: no such device.
        ArchcastError: an architecture cannot be read.
    """
    from archcast.encoders import read_all

    if samples < 1 or (batch is not None and batch < 1):
        raise InvalidSettingError("samples and batch are at least 1")
    settings = Settings(samples, seed, init, device, batch, memory)
    return score_graphs(read_all(archs, input_shape), proxies, settings, data)
