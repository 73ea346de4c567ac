"""Graphs of a model zoo's architectures: recorded once, without weights, and kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from tqdm import tqdm

from archcast.encoders._files import write_atomically
from archcast.encoders._fingerprint import NOT_FOR_RECORDINGS, encoder_files, fingerprint
from archcast.encoders.errors import ArchcastError, MissingExtraError, UnreadableModelError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.spaces._zoo_recordings import folder as recordings
from archcast.encoders.spaces.zoos import recorded_graph

#: Architecture and image size.
Key = tuple[str, int]


class ZooGraphs:
    """Builds and keeps graphs, one file each, so that a build cut short goes on where it was.

    Graphs are made in milliseconds of recordings that are kept too, and kept by the version of the
    readers' source: older ones are never mixed with newer ones.
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
        graphs = {key: self._kept(key) for key in dict.fromkeys(keys)}
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
        return replace(recorded_graph(self.library, key), name=f"{key[0]}@{key[1]}")

    def _kept(self, key: Key) -> ComputeGraph:
        try:
            return ComputeGraph.load(self._graph_path(key))
        except UnreadableModelError:  # damaged: build it again
            self._graph(key).save(self._graph_path(key))
            return ComputeGraph.load(self._graph_path(key))

    @cached_property
    def folder(self) -> Path:
        """Where graphs and the reasons of failures are kept."""
        files = encoder_files(NOT_FOR_RECORDINGS)
        return recordings(self.library) / f"graphs-{fingerprint(files)}"

    def _graph_path(self, key: Key) -> Path:
        return self.folder / f"{key[0]}@{key[1]}.npz"

    def _failed_path(self, key: Key) -> Path:
        return self.folder / f"{key[0]}@{key[1]}.failed"

    def _failure(self, key: Key) -> str:
        return json.loads(self._failed_path(key).read_text("utf-8"))
