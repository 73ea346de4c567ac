"""Graphs of a model zoo's architectures: exported once, without weights, and kept."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from archcast.datasets import _libraries
from archcast.datasets._fetch import cache_folder
from archcast.datasets._fingerprint import encoder_files, fingerprint
from archcast.encoders._files import write_atomically
from archcast.encoders._simplify import simplify
from archcast.encoders._torch import capture, lower
from archcast.encoders.errors import ArchcastError, MissingExtraError, UnreadableModelError
from archcast.encoders.graph import ComputeGraph

#: Parts of the encoders that no torch module's graph depends on.
_NO_READERS: Final = ("_onnx", "spaces", "tabular")
#: Architecture and image size.
Key = tuple[str, int]


class ZooGraphs:
    """Builds and keeps graphs, one file each, so that a build cut short goes on where it was.

    What takes a second or two is ``torch.export``; its recordings are kept by the zoo's version,
    and serve until the recorder itself changes. Graphs are made of them in milliseconds, and kept
    by the version of the readers' source: older ones are never mixed with newer ones.
    """

    def __init__(self, library: str) -> None:
        """``library`` is ``timm`` or ``torchvision``."""
        self.library = library

    def graphs(self, keys: Sequence[Key]) -> list[ComputeGraph]:
        """Graphs of architectures, repeated ones built once.

        Args:
            keys: N architectures with their image sizes.

        Returns:
            (N,) graphs.

        Raises:
            UnreadableModelError: some cannot be built; :meth:`build` has the reasons.
            MissingExtraError: one must be built and the zoo is not installed.
        """
        failed = self.build(keys)
        if failed:
            key, reason = next(iter(failed.items()))
            raise UnreadableModelError(
                f"{len(failed)} architectures cannot be built, {key[0]}@{key[1]} for one: {reason}"
            )
        graphs = {key: ComputeGraph.load(self._graph_path(key)) for key in dict.fromkeys(keys)}
        return [graphs[key] for key in keys]

    def build(self, keys: Sequence[Key]) -> dict[Key, str]:
        """Build what is not there yet.

        Args:
            keys: architectures with their image sizes.

        Returns:
            Those that cannot be built, with the reason; they are not tried again.

        Raises:
            MissingExtraError: one must be built and the zoo is not installed.
        """
        wanted = list(dict.fromkeys(keys))
        failed = {key: self._failure(key) for key in wanted if self._failed_path(key).exists()}
        todo = [k for k in wanted if k not in failed and not self._graph_path(k).exists()]
        for key in tqdm(todo, desc=f"{self.library} graphs", disable=None):
            try:
                self._graph(key).save(self._graph_path(key))
            except MissingExtraError:
                raise
            except (ArchcastError, RuntimeError, ValueError, TypeError, AssertionError) as error:
                failed[key] = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"[:300]
                reason = json.dumps(failed[key]).encode()
                write_atomically(self._failed_path(key), lambda f, text=reason: f.write(text))
        return failed

    def _graph(self, key: Key) -> ComputeGraph:
        name, size = key
        return simplify(lower.lower(self._recording(key)), source="torch", name=f"{name}@{size}")

    def _recording(self, key: Key) -> capture.Recording:
        path = self.recordings / f"{key[0]}@{key[1]}.json.gz"
        if not path.exists():
            text = record(self.library, *key).to_json()
            data = gzip.compress(text.encode(), 6, mtime=0)
            write_atomically(path, lambda file: file.write(data))
        return capture.Recording.from_json(gzip.decompress(path.read_bytes()).decode())

    @cached_property
    def recordings(self) -> Path:
        """Where recordings are kept."""
        try:
            release = version(self.library)
        except PackageNotFoundError:
            release = "none"
        code = fingerprint([Path(capture.__file__)])
        return cache_folder() / "derived" / f"{self.library}-{release}-{code}"

    @cached_property
    def folder(self) -> Path:
        """Where graphs and the reasons of failures are kept."""
        files = encoder_files(_NO_READERS)
        return self.recordings / f"graphs-{fingerprint(files)}"

    def _graph_path(self, key: Key) -> Path:
        return self.folder / f"{key[0]}@{key[1]}.npz"

    def _failed_path(self, key: Key) -> Path:
        return self.folder / f"{key[0]}@{key[1]}.failed"

    def _failure(self, key: Key) -> str:
        return json.loads(self._failed_path(key).read_text("utf-8"))


def record(library: str, name: str, size: int) -> capture.Recording:
    """Record an architecture on torch's meta device, which needs no memory for weights."""
    makers: dict[str, Callable[[str, int], Any]] = {
        "timm": _libraries.timm_model,
        "torchvision": _libraries.torchvision_model,
    }
    torch = _libraries.import_torch()
    with torch.device("meta"):
        model = makers[library](name, size)
        example = torch.zeros(1, 3, size, size)
    return capture.capture(model, (example,))
