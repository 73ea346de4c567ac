"""Graphs of LEMUR's sources: recorded once in confined processes, and kept.

Sources that differ only in comments and layout are recorded once. A file holds the recordings of
one source in one list of settings, so a run that is cut short goes on where it was.
"""

from __future__ import annotations

import ast
import hashlib
import json
import lzma
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from threading import Lock
from typing import Any, Final

from tqdm import tqdm

from archcast.datasets._derived import derived
from archcast.datasets.benchmarks import _lemur_settings, _lemur_trials
from archcast.datasets.benchmarks._lemur_settings import Setting
from archcast.datasets.foreign import _recordings, _source
from archcast.datasets.foreign._process import Converted, ForeignCode
from archcast.encoders._cache import cache_folder
from archcast.encoders._files import write_atomically
from archcast.encoders._fingerprint import NOT_FOR_RECORDINGS, encoder_files, fingerprint
from archcast.encoders._simplify import simplify
from archcast.encoders._torch import capture, lower, record
from archcast.encoders.errors import ArchcastError, UnreadableModelError
from archcast.encoders.graph import ComputeGraph

#: Processes that record the whole of it.
_WORKERS: Final = 2
#: Settings that one process records of a source.
_SETTINGS: Final = 8
#: What reading half a file of recordings, or one with other bytes, raises.
_DAMAGED: Final = (EOFError, KeyError, TypeError, ValueError, lzma.LZMAError)
#: A name, and what its network is made for.
Key = tuple[str, Setting]


@dataclass(frozen=True)
class Job:
    """One source to be recorded.

    Attributes:
        digest: of its syntax tree; sources with the same one are recorded once.
        name: of the first source with that digest.
        settings: setting -> parameters.
    """

    digest: str
    name: str
    settings: Mapping[Setting, Mapping[str, Any]]

    @property
    def file(self) -> str:
        """Where its recordings are kept."""
        text = json.dumps([[str(s), dict(p)] for s, p in self.settings.items()])
        return f"{self.digest}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json.xz"


class _Shared:
    """Jobs that several threads take from."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = iter(jobs)
        self._lock = Lock()
        self._stopped = False

    def take(self) -> Job | None:
        """The next one; None if there are no more."""
        with self._lock:
            return None if self._stopped else next(self._jobs, None)

    def stop(self) -> None:
        """Give no more."""
        self._stopped = True


class LemurGraphs:
    """Builds and keeps recordings of foreign sources; graphs are made of them in milliseconds."""

    def __init__(self) -> None:
        self._passing: dict[str, str] = {}  # file -> why there is none, which may not last

    def graphs(self, keys: Sequence[Key]) -> list[ComputeGraph]:
        """Graphs of sources in settings; what is not recorded yet is recorded now.

        Args:
            keys: names and settings.

        Returns:
            One graph for each.

        Raises:
            UnreadableModelError: a source gives no network in a setting; the message has the
                reason.
            SandboxError: foreign code must be run and this machine cannot confine it.
            MissingExtraError: foreign code must be run and torch is not installed.
        """
        wanted = list(dict.fromkeys(keys))
        self.record([self._jobs[key] if key in self._jobs else _single(key) for key in wanted])
        graphs = {key: self._graph(key) for key in wanted}
        return [graphs[key] for key in keys]

    def failed(self) -> dict[Key, str]:
        """What gives no graph of all that trials need, with the reason; records what is missing.

        The answer is kept by the version of the readers' source.

        Raises:
            SandboxError: foreign code must be run and this machine cannot confine it.
            MissingExtraError: foreign code must be run and torch is not installed.
        """
        kept = self.folder / f"failed-{fingerprint(encoder_files(NOT_FOR_RECORDINGS))}.json"
        reasons = _kept_reasons(kept)
        if reasons is None:
            self.record(self.jobs, workers=_WORKERS)
            found = self._reasons()
            reasons = {
                _coded(key): found[job.file, key[1]]
                for key, job in self._jobs.items()
                if (job.file, key[1]) in found
            }
            if not self._passing:  # what ended in passing may succeed next time
                data = json.dumps(reasons).encode()
                write_atomically(kept, lambda file: file.write(data))
        return {_decoded(text): reason for text, reason in reasons.items()}

    def other(self, rows: Iterable[int]) -> list[int]:
        """Those of some trials whose network is not the one recorded of their source and setting.

        A source is recorded once in a setting, with the parameters of its best trial there; some
        trials had patches or kernels of another size.
        """
        trials = _lemur_trials.trials()
        kinds, shaping = _lemur_settings.settings(trials), _lemur_settings.shaping
        found = []
        for row in rows:
            kind = kinds[row]
            recorded = self._jobs[str(trials.net[row]), kind].settings[kind]
            if shaping(recorded) != shaping(_lemur_settings.extra(trials, row)):
                found.append(row)
        return found

    def usual(self, name: str) -> Setting:
        """The setting most trials of a network have; CIFAR-10's where it has none."""
        return self._usual.get(name, Setting((3, 32, 32), (10,)))

    def record(self, jobs: Iterable[Job], *, workers: int = 1, progress: bool = False) -> None:
        """Record what is not kept yet.

        Args:
            jobs: sources and settings.
            workers: processes that do so side by side.
            progress: show a progress bar, also where nobody may look.

        Raises:
            SandboxError: this machine cannot confine foreign code.
            MissingExtraError: torch is not installed.
        """
        todo = {job.file: job for job in jobs if not (self.folder / job.file).exists()}
        if not todo:
            return
        shown = None if not progress else False
        with tqdm(todo.values(), desc="lemur sources", disable=shown) as bar:
            shared = _Shared(bar)
            with ThreadPoolExecutor(workers) as threads:
                # A thread waits for its own process; all take from one line.
                try:
                    for done in [threads.submit(self._record, shared) for _ in range(workers)]:
                        done.result()
                finally:
                    shared.stop()  # Ctrl-C reaches this thread alone

    def _record(self, jobs: _Shared) -> None:
        sources = _lemur_trials.sources()
        with ForeignCode() as worker:
            while (job := jobs.take()) is not None:
                asked = [_asked(kind, prm) for kind, prm in job.settings.items()]
                try:
                    self._keep(job, worker.convert(sources[job.name], asked))
                except BaseException:
                    jobs.stop()
                    raise

    @cached_property
    def jobs(self) -> list[Job]:
        """What all sources with results need: first each one's commonest setting, then others."""
        wanted = _lemur_settings.wanted(_lemur_trials.trials())
        codes = digests()
        merged: dict[str, tuple[str, dict[Setting, dict[str, Any]]]] = {}
        for name, kinds in wanted.items():
            _, known = merged.setdefault(codes[name], (name, {}))
            for kind, prm in kinds.items():
                known.setdefault(kind, prm)
        first, others = [], []
        for code, (name, kinds) in merged.items():
            items = list(kinds.items())
            first.append(Job(code, name, dict(items[:1])))
            starts = range(1, len(items), _SETTINGS)
            others += [Job(code, name, dict(items[i : i + _SETTINGS])) for i in starts]
        return [*first, *others]

    @cached_property
    def _jobs(self) -> dict[Key, Job]:
        wanted = _lemur_settings.wanted(_lemur_trials.trials())
        by_digest = {(job.digest, kind): job for job in self.jobs for kind in job.settings}
        codes = digests()
        return {
            (name, kind): by_digest[codes[name], kind]
            for name, kinds in wanted.items()
            for kind in kinds
        }

    @cached_property
    def _usual(self) -> dict[str, Setting]:
        return dict(reversed(self._jobs))  # the first setting of a name wins

    @cached_property
    def folder(self) -> Path:
        """Where recordings are kept."""
        try:
            release = version("torch")
        except PackageNotFoundError:
            release = "none"
        modules = (capture, record, _source, _recordings)
        code = fingerprint([Path(str(module.__file__)) for module in modules])
        return cache_folder() / "derived" / f"lemur-torch{release}-{code}"

    def entry(self, job: Job) -> dict[str, Any] | None:
        """What is kept of a job: ``seconds``, ``held`` and ``results``; None if it is not there.

        A damaged file is removed and counts as none.
        """
        path = self.folder / job.file
        try:
            return _entry(path)
        except FileNotFoundError:
            return None
        except _DAMAGED:
            path.unlink(missing_ok=True)
            return None

    def _keep(self, job: Job, done: Converted) -> None:
        if done.passing:
            self._passing[job.file] = str(done.results[0])
            return
        self._passing.pop(job.file, None)
        results = [
            {"recording": text, "on": device} if text else {"reason": result}
            for result, text, device in zip(done.results, done.texts, done.on, strict=True)
        ]
        held = list(done.held)
        entry = {"name": job.name, "seconds": done.seconds, "held": held, "results": results}
        data = lzma.compress(json.dumps(entry).encode(), preset=1)
        write_atomically(self.folder / job.file, lambda file: file.write(data))

    def result(self, key: Key) -> dict[str, Any]:
        """What is kept of a name in a setting: ``recording`` and ``on``, or ``reason``."""
        job = self._jobs[key] if key in self._jobs else _single(key)
        entry = self.entry(job)
        if entry is None and job.file not in self._passing:
            self.record([job])
            entry = self.entry(job)
        if entry is None:
            return {"reason": self._passing.get(job.file, "not kept")}
        return entry["results"][list(job.settings).index(key[1])]

    def _reasons(self) -> dict[tuple[str, Setting], str]:
        """File and setting of what gives no graph, with the reason."""
        jobs = [job for job in self.jobs if job.file not in self._passing]
        paths = [self.folder / job.file for job in jobs]
        # Spawned, not forked: numerical libraries hold threads that do not survive a fork.
        with ProcessPoolExecutor(_WORKERS, mp_context=get_context("spawn")) as executor:
            told = list(executor.map(_reasons_of, paths, chunksize=64))
        for at, job in enumerate(jobs):
            if told[at] is None:
                paths[at].unlink(missing_ok=True)
                self.record([job])
                told[at] = None if job.file in self._passing else _reasons_of(paths[at])
        lasting = {
            (job.file, kind): reason
            for job, reasons in zip(jobs, told, strict=True)
            for kind, reason in zip(job.settings, reasons or [""] * len(job.settings), strict=True)
            if reason
        }
        passing = {
            (job.file, kind): self._passing[job.file]
            for job in self.jobs
            for kind in job.settings
            if job.file in self._passing
        }
        return lasting | passing

    def _graph(self, key: Key) -> ComputeGraph:
        name, kind = key
        result = self.result(key)
        if "recording" not in result:
            reason = result["reason"]
            raise UnreadableModelError(f"lemur:{name} in {kind} gives no network: {reason}")
        return graph_of(result["recording"], name)


def graph_of(text: str, name: str) -> ComputeGraph:
    """The graph of a recording of foreign code.

    Raises:
        UnreadableModelError: the readers cannot make one of it.
    """
    try:
        return simplify(lower.lower(_recordings.checked(text)), source="lemur", name=name)
    except ArchcastError as error:
        raise UnreadableModelError(f"lemur:{name} gives no network: read: {error}") from error
    except Exception as error:  # a false recording can make the rules raise nearly anything
        reason = f"{type(error).__name__}: {error}"
        raise UnreadableModelError(f"lemur:{name} gives no network: read: {reason}") from error


def _reasons_of(path: Path) -> list[str] | None:
    """For every recording of a file why it gives no graph; empty where it gives one.

    None if the file is damaged.
    """
    try:
        results = _entry(path)["results"]
    except (FileNotFoundError, *_DAMAGED):
        return None
    return [_reason(result) for result in results]


def _reason(result: dict[str, Any]) -> str:
    if "recording" not in result:
        return result["reason"]
    try:
        graph_of(result["recording"], "")
    except UnreadableModelError as error:
        return str(error)
    return ""


def digest(source: str) -> str:
    """16 digits that sources differing only in comments and layout share."""
    try:
        text = ast.dump(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError):
        text = source
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def digests() -> dict[str, str]:
    """Name -> digest of its source; kept, because parsing 10,483 sources takes 20 seconds."""
    sources = _lemur_trials.sources()
    known = hashlib.sha256("".join(sources.values()).encode()).hexdigest()[:8]

    def make() -> bytes:
        return json.dumps({name: digest(code) for name, code in sources.items()}).encode()

    return json.loads(derived("lemur-digests.json", known, make).read_bytes())


@lru_cache(maxsize=64)
def _entry(path: Path) -> dict[str, Any]:
    entry = json.loads(lzma.decompress(path.read_bytes()))
    return {name: entry[name] for name in ("name", "seconds", "held", "results")}


def _kept_reasons(path: Path) -> dict[str, str] | None:
    """What an earlier call of :meth:`LemurGraphs.failed` found; None if there was none."""
    try:
        return dict(json.loads(path.read_bytes()))
    except (FileNotFoundError, *_DAMAGED):
        return None


def _coded(key: Key) -> str:
    return f"{key[0]}@{key[1]}"


def _decoded(text: str) -> Key:
    name, _, kind = text.partition("@")
    return name, _lemur_settings.parsed(kind)


def _asked(kind: Setting, prm: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "input": (1, *kind.input),
        "out_shape": kind.outputs,
        "dtype": kind.dtype,
        "prm": dict(prm),
    }


@cache
def _single(key: Key) -> Job:
    name, kind = key
    return Job(digests()[name], name, {kind: {}})


def causes(reasons: Iterable[str]) -> Counter[str]:
    """How often each cause occurs: reasons without what is particular to one source."""
    return Counter(_cause(reason) for reason in reasons)


def _cause(reason: str) -> str:
    stage, colon, rest = reason.partition(": ")
    kind, _, text = rest.partition(": ")
    if not colon:
        return reason
    if kind == "ModuleNotFoundError":
        return f"{stage}: {kind}: {text.split(';')[0]}"
    return f"{stage}: {re.split(r'[;(]', kind)[0].rstrip()}"
