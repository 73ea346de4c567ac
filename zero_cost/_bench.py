"""``Bench``: runs proxies on a few architectures, in launches that fit into memory.

What fails in company is tried again in smaller company, down to one architecture and one proxy, so
that a network that cannot be run costs nobody else a score.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from archcast.encoders.errors import ArchcastError, DeviceError
from archcast.zero_cost._allocator import kept_pages
from archcast.zero_cost._data import Data
from archcast.zero_cost._execute import Step
from archcast.zero_cost._lab import Lab, Observer
from archcast.zero_cost._program import Program, compile_graph
from archcast.zero_cost._settings import Found, Settings
from archcast.zero_cost._weights import Weights
from archcast.zero_cost.catalogue import implementation

if TYPE_CHECKING:
    from archcast.encoders.graph import ComputeGraph
    from archcast.zero_cost._proxy import Proxy

_TOO_BIG: Final = "needs about {0} of memory, of {1}: give fewer samples, or more memory"
#: What is needed most -> how much memory activations and weights take at once, by their own: a
#: little more than benchmarks/zero_cost_memory.py measures. Forward passes let go of activations.
_KEPT: Final = {"gradients": (2.5, 5.0), "data": (4.0, 2.0)}
#: Architectures in a launch that nobody chose a number for.
_MOST: Final = 64
#: Weights, and inputs, kept from one launch to the next may take one in so many parts of the
#: memory.
_KEEPSAKES: Final = 8


class Bench:
    """Scores architectures with one choice of settings and data.

    Args:
        settings: what the scores depend on.
        data: images and labels, or None.
        share: how many processes use this machine's memory together.

    Raises:
        DeviceError: no such device.
        InvalidSettingError: no such initialisation, fewer images than samples.
        ShapeError: images or labels of another shape.
    """

    def __init__(
        self, settings: Settings, data: tuple[Any, Any] | None = None, share: int = 1
    ) -> None:
        self.settings = settings
        self.device = _device(settings.device)
        self.memory = settings.memory or free_memory(self.device) // 2 // share
        self._room = self.memory
        images, labels = data or (None, None)
        self.data = Data(settings.samples, settings.seed, images, labels, device=self.device)
        self.weights = Weights(settings.seed, settings.init, self.device, torch.float32)

    def scores(self, graphs: Sequence[ComputeGraph], proxies: Sequence[Proxy]) -> Iterator[Found]:
        """Scores of graphs: one for each and each proxy, in any order."""
        programs: dict[int, Program] = {}
        for index, graph in enumerate(graphs):
            lack = ""
            try:
                programs[index] = compile_graph(graph)
                lack = _lack(programs[index])
            except Exception as error:  # see _Attempt
                lack = _line(error)
            if lack:
                programs.pop(index, None)
            for proxy in proxies if lack else ():
                yield Found(proxy.name, index, float("nan"), lack)
        with kept_pages():
            for chunk in self._chunks(programs, proxies):
                yield from self._safely(chunk, proxies)
                self.weights.forget(self.memory // _KEEPSAKES)
                self.data.forget(self.memory // _KEEPSAKES)

    # ------------------------------------------------------------------ memory
    def _bytes(self, program: Program, proxies: Sequence[Proxy]) -> int:
        """About what a program needs."""
        samples, needs = self.settings.samples, _needs(proxies)
        keys = [program.instructions[i].weight for i in program.weighted]
        sizes = [prod(key.shape) for key in keys if key] or [0]
        level = next(name for name in _KEPT if name == "data" or name in needs)
        values, weights = _KEPT[level]
        weights = max(weights, *(proxy.weights for proxy in proxies))
        each = max(proxy.each for proxy in proxies) * samples * max(sizes)
        activations = program.peak if level == "data" else program.elements
        return int(4 * (samples * values * activations + weights * sum(sizes) + each))

    def _chunks(
        self, programs: dict[int, Program], proxies: Sequence[Proxy]
    ) -> Iterator[dict[int, Program]]:
        """Architectures that are run together: neighbours, as many as fit."""
        chunk: dict[int, Program] = {}
        used = 0
        limit = self.settings.batch or _MOST
        if self.device.type == "cpu" and "gradients" in _needs(proxies):
            limit = 1  # nothing is shared, and what was just freed is still in the caches
        for index, program in programs.items():
            need = self._bytes(program, proxies)
            if chunk and (used + need > self._room or len(chunk) == limit):
                yield chunk
                chunk, used = {}, 0
            chunk[index] = program
            used += need
        if chunk:
            yield chunk

    def _width(self, programs: Sequence[Program]) -> int:
        """Architectures whose operators run in one call: many where values are small."""
        largest = max(program.largest for program in programs) * self.settings.samples * 4
        room = 1 << 18 if self.device.type == "cpu" else 1 << 30
        return max(1, min(len(programs), room // largest))

    # ------------------------------------------------------------------ scores
    def _safely(self, chunk: dict[int, Program], proxies: Sequence[Proxy]) -> Iterator[Found]:
        """Scores of a chunk; what failed is tried again, by halves."""
        refused: dict[str, str] = {}
        if len(chunk) == 1:
            refused = self._too_big(next(iter(chunk.values())), proxies)
            proxies = [proxy for proxy in proxies if proxy.name not in refused]
        attempt = _Attempt(self, chunk, proxies, self._width(list(chunk.values())))
        if proxies:
            attempt.run()
        yield from attempt.found
        if attempt.out_of_memory:
            self._room = max(self._room // 2, 1)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        failed = [proxy for proxy in proxies if proxy.name in attempt.failed]
        if failed and len(chunk) > 1:
            items = list(chunk.items())
            for half in (items[: len(items) // 2], items[len(items) // 2 :]):
                yield from self._safely(dict(half), failed)
            return
        if len(proxies) == 1:
            refused |= attempt.failed
        else:  # one may have spoiled it for the others
            for proxy in failed:
                yield from self._safely(chunk, [proxy])
        for name, reason in refused.items():
            yield Found(name, next(iter(chunk)), float("nan"), reason, lasting=False)

    def _too_big(self, program: Program, proxies: Sequence[Proxy]) -> dict[str, str]:
        """Proxies that an architecture alone has no memory for, and why."""
        needs = {proxy.name: self._bytes(program, [proxy]) for proxy in proxies}
        return {
            name: _TOO_BIG.format(_size(need), _size(self.memory))
            for name, need in needs.items()
            if need > self.memory
        }


class _Attempt:
    """One launch: what it found, and which proxies failed and why."""

    def __init__(
        self, bench: Bench, chunk: dict[int, Program], proxies: Sequence[Proxy], width: int
    ) -> None:
        self.bench, self.chunk, self.width = bench, chunk, width
        self.needs = _needs(proxies)
        self.made = {proxy.name: implementation(proxy) for proxy in proxies}
        self.found: list[Found] = []
        self.failed: dict[str, str] = {}
        self.out_of_memory = False

    def run(self) -> None:
        """Score, and note what fails."""
        programs = list(self.chunk.values())
        watched: dict[str, _Watched] = {}
        for name, compute in self.made.items():
            if isinstance(compute, type) and issubclass(compute, Observer):
                watched[name] = _Watched(compute(programs))
        lab = Lab(
            programs,
            self.bench.weights,
            self.bench.data,
            watched.values(),
            width=self.width,
            differentiate="gradients" in self.needs,
        )
        try:
            lab.watch()
        except Exception as error:  # any: of a million architectures, one may break anything
            self._note(error, *self.made)
            return
        for name, compute in self.made.items():
            if self.out_of_memory:  # the rest would fail as slowly
                self.failed.setdefault(name, "not enough memory")
                continue
            try:
                self._take(name, compute, watched.get(name), lab)
            except Exception as error:
                self._note(error, name)

    def _take(self, name: str, compute: Any, watched: _Watched | None, lab: Lab) -> None:
        if watched is None:
            lab.reasons = {}
            values, reasons = compute(lab), lab.reasons
        elif watched.error is not None:
            raise watched.error
        else:
            values, reasons = watched.observer.scores(), watched.observer.reasons
        for a, (index, value) in enumerate(zip(self.chunk, values.tolist(), strict=True)):
            self.found.append(_judged(name, index, float(value), reasons.get(a, "")))

    def _note(self, error: Exception, *names: str) -> None:
        """Keep the text alone: the error holds the frames, and these hold tensors."""
        self.failed.update(dict.fromkeys(names, _line(error)))
        self.out_of_memory |= _wants_memory(error)


class _Watched(Observer):
    """An observer whose failure is its own, and does not end the pass that others watch."""

    def __init__(self, observer: Observer) -> None:
        super().__init__(observer.programs)
        self.observer = observer
        self.samples = observer.samples  # type: ignore[misc]  # the lab asks each for its own
        self.error: Exception | None = None

    def see(self, step: Step) -> None:
        """Show a call to the observer."""
        if self.error is None:
            try:
                self.observer.see(step)
            except Exception as error:
                self.error = error.with_traceback(None)


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvail"))
    except (OSError, StopIteration):
        pass
    try:  # all of it, for want of a better number
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return 4 << 30


def _size(count: float) -> str:
    """Bytes in the largest unit that there is one of."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count:.0f} bytes"


def _lack(program: Program) -> str:
    """Why a program cannot be run, if so."""
    hungry = (s.op for s in program.instructions if s.op != "input" and not s.inputs)
    op = next(hungry, "")
    return f"no whole network: the operator {op} reads nothing" if op else ""


def _needs(proxies: Sequence[Proxy]) -> frozenset[str]:
    return frozenset(need for proxy in proxies for need in proxy.needs)


def _judged(name: str, index: int, value: float, reason: str) -> Found:
    """A score that is no number is none."""
    if value - value == 0:
        return Found(name, index, value)
    return Found(name, index, float("nan"), reason or f"the score is {value}")


def _line(error: BaseException) -> str:
    if "LinAlg" in type(error).__name__:  # torch exports its name under none that is public
        return "eigenvalues cannot be found: numbers are not finite, or too much alike"
    text = next((line for line in str(error).splitlines() if line.strip()), "")
    return (
        text[:200] if isinstance(error, ArchcastError) else f"{type(error).__name__}: {text[:200]}"
    )


def _wants_memory(error: Exception) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "alloc" in str(error).lower()


def _device(name: str) -> torch.device:
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError("no CUDA device is at hand; take device='cpu'")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"no such device {name!r}: {_line(error)}") from error
