"""Graphs of timm architectures: exported once, without weights, and kept."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Sequence
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from archcast import encoders
from archcast.datasets._fetch import cache_folder
from archcast.encoders._files import write_atomically
from archcast.encoders.errors import ArchcastError, MissingExtraError, UnreadableModelError
from archcast.encoders.graph import ComputeGraph

#: Parts of the encoders that no torch module's graph depends on.
_NO_READERS: Final = {"_onnx", "spaces", "tabular", "_layout.py", "drawing.py", "summary.py"}
#: Architecture and image size.
Key = tuple[str, int]


class TimmGraphs:
    """Builds and keeps graphs, one file each, so that a build cut short goes on where it was.

    The folder's name holds the versions of timm and of the readers' own source: graphs of an
    older reader are never mixed with newer ones.
    """

    def graphs(self, keys: Sequence[Key]) -> list[ComputeGraph]:
        """Graphs of architectures, repeated ones built once.

        Args:
            keys: N architectures with their image sizes.

        Returns:
            (N,) graphs.

        Raises:
            UnreadableModelError: some cannot be built; :meth:`failures` has the reasons.
            MissingExtraError: one must be built and timm is not installed.
        """
        failed = self.build(keys)
        if failed:
            key, reason = next(iter(failed.items()))
            raise UnreadableModelError(
                f"{len(failed)} architectures cannot be built, {key[0]}@{key[1]} for one: {reason}"
            )
        graphs = {key: ComputeGraph.load(self._path(key)) for key in dict.fromkeys(keys)}
        return [graphs[key] for key in keys]

    def build(self, keys: Sequence[Key]) -> dict[Key, str]:
        """Build what is not there yet.

        Args:
            keys: architectures with their image sizes.

        Returns:
            Those that cannot be built, with the reason; they are not tried again.

        Raises:
            MissingExtraError: one must be built and timm is not installed.
        """
        wanted = list(dict.fromkeys(keys))
        failed = {key: self._failure(key) for key in wanted if self._path(key, "failed").exists()}
        todo = [key for key in wanted if key not in failed and not self._path(key).exists()]
        for key in tqdm(todo, desc="timm graphs", disable=None):
            try:
                _export(*key).save(self._path(key))
            except MissingExtraError:
                raise
            except (ArchcastError, RuntimeError, ValueError, TypeError, AssertionError) as error:
                failed[key] = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"[:300]
                reason = json.dumps(failed[key]).encode()
                write_atomically(self._path(key, "failed"), lambda f, text=reason: f.write(text))
        return failed

    @cached_property
    def folder(self) -> Path:
        """Where the graphs are kept."""
        try:
            timm = version("timm")
        except PackageNotFoundError:
            timm = "none"
        return cache_folder() / "derived" / f"timm-{timm}-{_reader_fingerprint()}"

    def _path(self, key: Key, suffix: str = "npz") -> Path:
        return self.folder / f"{key[0]}@{key[1]}.{suffix}"

    def _failure(self, key: Key) -> str:
        return json.loads(self._path(key, "failed").read_text("utf-8"))


@cache
def _reader_fingerprint() -> str:
    """Eight digits that change with the code of the readers, not with its comments or layout."""
    folder = Path(encoders.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        if not _NO_READERS & set(path.relative_to(folder).parts):
            digest.update(ast.dump(ast.parse(path.read_text("utf-8"))).encode())
    return digest.hexdigest()[:8]


def _export(name: str, size: int) -> ComputeGraph:
    timm = _timm()
    import torch

    with torch.device("meta"):
        try:
            model = timm.create_model(name, img_size=size)
        except TypeError as error:
            # Most convolutional constructors know no image size: they take any.
            if "img_size" not in str(error):
                raise
            model = timm.create_model(name)
    return encoders.read(model.eval(), input_shape=(1, 3, size, size), name=name)


@cache
def _timm() -> Any:
    """The timm package, made importable where torchvision's own operators do not load."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(
            "timm's graphs need torch: pip install 'archcast[torch]'"
        ) from error
    if not _torchvision_operators(torch):
        # Importing torchvision gives these two a form for meta tensors, so they must exist.
        for name in ("nms", "qnms"):
            signature = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            _declared(torch).define(signature)
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError("timm's graphs need timm: pip install 'archcast[torch]'") from error
    return timm


def _torchvision_operators(torch: Any) -> bool:
    """Whether torchvision's operators exist, or its compiled part can be loaded to make them."""
    if hasattr(torch.ops.torchvision, "nms"):
        return True
    spec = find_spec("torchvision")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else Path()
    for library in folder.glob("_C.*") if spec is not None else ():
        try:
            torch.ops.load_library(str(library))
        except OSError:  # built for another torch: a CUDA build beside a CPU one, usually
            continue
        return True
    return False


@cache
def _declared(torch: Any) -> Any:
    """Declarations live as long as this object."""
    return torch.library.Library("torchvision", "FRAGMENT")
