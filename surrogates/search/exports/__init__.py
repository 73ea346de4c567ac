"""Winners as files: their text, torch code that stands alone, and ONNX."""

from __future__ import annotations

import inspect
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from archcast.encoders._files import write_atomically
from archcast.encoders._words import shown
from archcast.encoders.errors import (
    ArchcastError,
    InvalidSettingError,
    MissingExtraError,
    NotANetworkError,
    SandboxError,
    StorageError,
    UnreadableModelError,
)
from archcast.encoders.spaces import Space, get_space
from archcast.encoders.spaces._base import building

if TYPE_CHECKING:
    import torch

__all__ = ["FORMATS", "export", "torch_source"]

#: What can be written.
FORMATS: Final = ("spec", "torch", "onnx")
#: Bytes of weights above which an ONNX file keeps them beside itself: one message ends at 2 GiB.
_LARGE: Final = 1_800_000_000


def export(
    spec: Any,
    space: Space[Any] | str,
    folder: str | os.PathLike[str],
    formats: Sequence[str] = FORMATS,
    *,
    name: str = "",
    facts: Mapping[str, Any] | None = None,
    num_classes: int | None = None,
    image_size: int | None = None,
) -> list[Path]:
    """Write an architecture as files.

    * ``spec``: ``<name>.json`` with the space, the text, the graph's hash, parameters, MACs, and
      what is passed as facts;
    * ``torch``: ``<name>.py``, a ``torch.nn.Module`` that imports nothing but torch;
    * ``onnx``: ``<name>.onnx``, with fresh weights and any batch size.

    Args:
        spec: anything the space reads.
        space: the search space or its name.
        folder: where the files go; made if it is missing.
        formats: which of :data:`FORMATS`.
        name: of the files; the space and the beginning of the graph's hash if empty.
        facts: what else the JSON file says: forecasts, measurements, costs.
        num_classes: outputs of the network; the space's own if None.
        image_size: pixels of its input, height and width; the space's own if None.

    Returns:
        The files, in the order of the formats.

    Raises:
        InvalidSpecError: the text is not of this space.
        InvalidSettingError: no such format, or one that this space does not have: torch code needs
            its ``build``, ONNX its ``module``. The message names those that it has.
        EvaluationError: a person's own code that builds the network failed.
        UnreadableModelError: torch cannot write the module as ONNX.
        MissingExtraError: ONNX needs torch and onnxscript.
        StorageError: a file cannot be written.
    """
    unknown = next((kind for kind in formats if kind not in FORMATS), None)
    if unknown is not None:
        raise InvalidSettingError(
            f"no format is called {shown(unknown)}; take {', '.join(FORMATS)}"
        )
    chosen = space if isinstance(space, Space) else get_space(space)
    text = chosen.text(chosen.parse(spec))
    graph = chosen.graph(text, num_classes, image_size)
    stem = name or f"{chosen.name}-{graph.hash[:8]}"
    place = Path(folder)
    made: list[Path] = []
    for kind in formats:
        if kind == "spec":
            document = {
                "space": chosen.name,
                "spec": text,
                "num_classes": num_classes or chosen.num_classes,
                "image_size": image_size or chosen.image_size,
                "hash": graph.hash,
                "params": int(graph.params),
                "macs": int(graph.macs),
                **(facts or {}),
            }
            data = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
            made.append(_written(place / f"{stem}.json", data))
        elif kind == "torch":
            source = torch_source(text, chosen, num_classes, image_size)
            made.append(_written(place / f"{stem}.py", source))
        else:
            path = place / f"{stem}.onnx"
            _write_onnx(path, chosen, text, num_classes, image_size)
            made.append(path)
    return made


def torch_source(
    spec: Any,
    space: Space[Any] | str,
    num_classes: int | None = None,
    image_size: int | None = None,
) -> str:
    """Python code of the network: a module ``Network`` that needs torch alone.

    Its layers are called and counted as in ``space.module(spec)``: ``layers.3_conv`` there is
    ``conv_3`` here, and ``shared.0`` is ``shared_0``. torch is not needed to write it.

    Args:
        spec: anything the space reads.
        space: the search space or its name.
        num_classes: outputs of the network; the space's own if None.
        image_size: pixels of its input, height and width; the space's own if None.

    Raises:
        InvalidSpecError: the text is not of this space.
        InvalidSettingError: the space does not say how its networks are built.
        EvaluationError: its ``build`` failed.
    """
    from archcast.search.exports._source import SourceNet

    chosen = space if isinstance(space, Space) else get_space(space)
    cell = chosen.parse(spec)
    text = chosen.text(cell)
    net = SourceNet()
    try:
        with building(chosen.name, text):
            chosen.build(
                net, cell, num_classes or chosen.num_classes, image_size or chosen.image_size
            )
            return net.source(chosen.name, text)
    except NotANetworkError as error:
        others = " and ".join(["spec", *(["onnx"] if _has_module(chosen, text) else [])])
        raise InvalidSettingError(
            f"{chosen.name} does not say how its networks are built, so there is no torch code of "
            f"them; what can be written: {others}"
        ) from error


def _says_how(space: Space[Any]) -> bool:
    return type(space).build is not Space.build


def _has_module(space: Space[Any], text: str) -> bool:
    """Whether a space makes modules, which only trying tells."""
    try:
        space.module(text)
    except MissingExtraError:  # it does, once that is installed
        return True
    except ArchcastError:
        return False
    return True


def _written(path: Path, text: str) -> Path:
    write_atomically(path, lambda file: file.write(text.encode()))
    return path


def _write_onnx(
    path: Path, space: Space[Any], text: str, num_classes: int | None, image_size: int | None
) -> None:
    try:
        import onnxscript  # noqa: F401  (the exporter needs it, and would say so at length)
        import torch
    except ImportError as error:
        raise MissingExtraError(
            "ONNX needs torch and onnxscript: pip install 'archcast[search]'"
        ) from error
    with torch.random.fork_rng(devices=[]):  # equal files for equal architectures
        torch.manual_seed(0)
        module = _module(space, text, num_classes, image_size)
    program = _program(module, space, text, image_size)
    large = sum(p.numel() * p.element_size() for p in module.parameters()) > _LARGE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            program.save(str(Path(folder) / path.name), external_data=large)
            for file in Path(folder).iterdir():
                file.replace(path.parent / file.name)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def _module(
    space: Space[Any], text: str, num_classes: int | None, image_size: int | None
) -> torch.nn.Module:
    try:
        return space.module(text, num_classes, image_size).eval()
    except (NotANetworkError, SandboxError) as error:  # alike for all of the space
        others = " and ".join(["spec", *(["torch"] if _says_how(space) else [])])
        told = str(error).removeprefix(f"{space.name}: ")
        raise InvalidSettingError(
            f"there is no ONNX file of a network of {space.name}: {told}; what can be written: "
            f"{others}"
        ) from error


def _program(module: torch.nn.Module, space: Space[Any], text: str, size: int | None) -> Any:
    """The module as ONNX, in memory."""
    import torch

    args, named = _example(module, space, size)
    try:
        with _quiet():
            return torch.onnx.export(
                module,
                args,
                kwargs=named,
                dynamo=True,
                verbose=False,
                dynamic_shapes=_any_batch(module, len(args), named),
            )
    except Exception as error:  # the exporter raises anything, whatever the module's code raises
        reason = error.__cause__ or error  # the exporter's own message is advice in colours
        line = next((part.strip() for part in str(reason).splitlines() if part.strip()), "")
        raise UnreadableModelError(
            f"{space.name}: {text} cannot be written as ONNX, for torch cannot follow it: "
            f"{type(reason).__name__}: {line[:200]}"
        ) from error


def _any_batch(module: Any, inputs: int, named: Mapping[str, Any]) -> Any:
    """For each argument of ``forward``, that its first axis may have any length."""
    import torch

    if named:
        return {name: {0: torch.export.Dim.DYNAMIC} for name in named}
    each = tuple({0: torch.export.Dim.DYNAMIC} for _ in range(inputs))
    kinds = [p.kind for p in inspect.signature(module.forward).parameters.values()]
    return (each,) if inspect.Parameter.VAR_POSITIONAL in kinds else each


def _example(
    module: Any, space: Space[Any], image_size: int | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Inputs to follow the module with; two in a batch, for one would be taken as fixed."""
    import torch

    if hasattr(module, "example"):
        return tuple(module.example(2)), {}
    shape = getattr(space, "input_shape", None)  # of a person's own modules
    if isinstance(shape, Mapping):
        return (), {name: torch.zeros(2, *dims[1:]) for name, dims in shape.items()}
    if shape is not None:
        return (torch.zeros(2, *shape[1:]),), {}
    size = image_size or space.image_size
    return (torch.zeros(2, 3, size, size),), {}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks, which speak of its own inside."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
