"""``read``: one function that turns whatever describes an architecture into its graph."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from archcast.encoders._engine import Engine, chunks, run
from archcast.encoders._files import exists
from archcast.encoders._read_types import InputShape
from archcast.encoders._simplify import simplify
from archcast.encoders.errors import (
    ArchcastError,
    MissingExtraError,
    ShapeError,
    UnreadableModelError,
)
from archcast.encoders.graph import ComputeGraph

if TYPE_CHECKING:
    from archcast.encoders.spaces import Space


#: A text that names a search space, not the drive of a path.
_PREFIXED = re.compile(r"[a-zA-Z][\w-]+:(?![/\\])")


def read(
    obj: Any, input_shape: InputShape | None = None, *, example: Any = None, name: str = ""
) -> ComputeGraph:
    """Turn an architecture into its canonical graph.

    Args:
        obj: an ONNX file (path, ``bytes`` or ``onnx.ModelProto``), a ``torch.nn.Module`` (on any
            device, ``meta`` included), a search space's specification such as
            ``|nor_conv_3x3~0|+|…`` or ``nasbench201:…``, or a graph, which is returned as it is.
        input_shape: shape of the input, batch first. A module needs it (or ``example``); an ONNX
            file only where its own dimensions are symbolic, and there the default is: batch 1;
            3 channels; height and width 224; depth 16; length 128. A mapping from input names to
            shapes binds several inputs.
        example: a tensor, or a tuple of positional arguments, to call a module with.
        name: what to call the graph; by default the file's name or the module's class.

    Returns:
        The canonical graph: the same for every form of the same network.

    Raises:
        UnreadableModelError: the file is damaged, empty, cyclic or not ONNX; ``torch.export``
            cannot follow the module.
        NotANetworkError: no operator of a neural network in it.
        ShapeError: shapes are missing or contradict each other.
        InvalidSpecError: a specification is not well formed.
        MissingExtraError: a module was given and torch is not installed.
        StorageError: the file does not exist or cannot be read.
    """
    if isinstance(input_shape, str):
        raise ShapeError("input_shape is a tuple of numbers, as (1, 3, 224, 224), not text")
    if isinstance(obj, ComputeGraph):
        return obj
    if isinstance(obj, (str, os.PathLike)):
        return _read_text(obj, input_shape, name)
    if isinstance(obj, (bytes, bytearray, memoryview)) or hasattr(obj, "SerializeToString"):
        from archcast.encoders._onnx.reader import read_onnx

        return read_onnx(obj, input_shape, name)
    if hasattr(obj, "named_parameters"):
        return _read_module(obj, input_shape, example, name or type(obj).__name__)
    raise UnreadableModelError(
        f"cannot read an architecture from {type(obj).__name__}; give an ONNX path, bytes or "
        "ModelProto, a torch.nn.Module, or a search space's specification"
    )


@overload
def read_all(
    objs: Iterable[Any],
    input_shape: InputShape | None = None,
    *,
    workers: int = 1,
    engine: Engine = "local",
    errors: Literal["raise"] = "raise",
    progress: bool = False,
) -> list[ComputeGraph]: ...
@overload
def read_all(
    objs: Iterable[Any],
    input_shape: InputShape | None = None,
    *,
    workers: int = 1,
    engine: Engine = "local",
    errors: Literal["return"],
    progress: bool = False,
) -> list[ComputeGraph | ArchcastError]: ...
def read_all(
    objs: Iterable[Any],
    input_shape: InputShape | None = None,
    *,
    workers: int = 1,
    engine: Engine = "local",
    errors: Literal["raise", "return"] = "raise",
    progress: bool = False,
) -> Any:
    """Turn many architectures into graphs, as :func:`read` does one.

    Specifications of one search space are built together, some fifty times faster than alone.

    Args:
        objs: whatever :func:`read` takes, in any mixture.
        input_shape: as for :func:`read`, the same for all.
        workers: processes to read with.
        engine: ``local`` processes, or ``ray``: a Ray cluster, that of ``RAY_ADDRESS`` or one
            started on this machine. Processes take what can be pickled: paths, bytes, texts.
        errors: ``raise`` the first, or ``return`` each in its graph's place.
        progress: show a progress bar.

    Returns:
        One graph for each, in order.

    Raises:
        ArchcastError: as :func:`read`; the first that cannot be read stops it.
        MissingExtraError: Ray is not installed.
    """
    items = list(objs)
    parts = [items] if workers == 1 and engine == "local" else chunks(items, workers)
    jobs = [(part, input_shape, errors) for part in parts]
    label = "reading" if progress else ""
    found = run(
        _read_part,
        jobs,
        workers=workers,
        engine=engine,
        label=label,
        unit="nets",
        sizes=[len(part) for part in parts],
    )
    return [graph for part in found for graph in part]


def _read_part(
    items: Sequence[Any], shape: InputShape | None, errors: Literal["raise", "return"]
) -> list[Any]:
    if errors == "raise":
        return _read_together(items, shape)
    try:
        return _read_together(items, shape)
    except ArchcastError:  # one of them spoils it: find out which
        return [_or_error(item, shape) for item in items]


def _or_error(item: Any, shape: InputShape | None) -> ComputeGraph | ArchcastError:
    try:
        return _named(item, shape)
    except ArchcastError as error:
        return error


def _read_together(items: Sequence[Any], input_shape: InputShape | None) -> list[ComputeGraph]:
    graphs: dict[int, ComputeGraph] = {}
    by_space: dict[str, list[tuple[int, str]]] = {}
    for index, obj in enumerate(items):
        found = _specification(obj)
        if found is None:
            graphs[index] = _named(obj, input_shape)
        else:
            by_space.setdefault(found[0].name, []).append((index, found[1]))
    for name, specs in by_space.items():
        _no_shape(input_shape, name)
        from archcast.encoders.spaces import get_space

        built = get_space(name).graphs([spec for _, spec in specs])
        graphs.update(zip((index for index, _ in specs), built, strict=True))
    return [graphs[index] for index in range(len(items))]


def _named(obj: Any, shape: InputShape | None) -> ComputeGraph:
    """Read one of many: an error says which file it is about."""
    try:
        return read(obj, shape)
    except ArchcastError as error:
        if not isinstance(obj, (str, os.PathLike)) or str(obj) in str(error):
            raise
        raise type(error)(f"{obj}: {error}") from error


def _specification(obj: Any) -> tuple[Space[Any], str] | None:
    """The search space and specification that a text is, unless there is a file of that name."""
    if not isinstance(obj, str) or exists(obj):
        return None
    from archcast.encoders.spaces import recognise

    return recognise(obj)


def _read_text(obj: str | os.PathLike[str], shape: InputShape | None, name: str) -> ComputeGraph:
    found = _specification(obj)
    if found is not None:
        space, spec = found
        _no_shape(shape, space.name)
        return space.graph(spec)
    if isinstance(obj, str) and _PREFIXED.match(obj) and not exists(obj):
        from archcast.encoders.spaces import get_space

        get_space(obj.partition(":")[0])  # raises, with the names that are close
    from archcast.encoders._onnx.reader import read_onnx

    return read_onnx(Path(obj), shape, name)


def _no_shape(shape: InputShape | None, space: str) -> None:
    if shape is not None:
        raise ShapeError(f"networks of {space} have their benchmark's own input; drop input_shape")


def _read_module(module: Any, shape: InputShape | None, example: Any, name: str) -> ComputeGraph:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(
            "reading a torch module needs torch: pip install 'archcast[torch]'"
        ) from error
    from archcast.encoders._torch import capture, lower

    args, kwargs = _example(torch, module, shape, example)
    try:
        recording = capture.capture(module, args, kwargs)
    except ArchcastError:
        raise
    except Exception as error:  # torch.export raises anything, whatever the module's code raises
        line = next((part for part in str(error).splitlines() if part.strip()), "")
        raise UnreadableModelError(
            f"torch.export cannot follow {name}: {type(error).__name__}: {line[:200]}"
        ) from error
    return simplify(lower.lower(recording), source="torch", name=name)


def _example(
    torch: Any, module: Any, shape: InputShape | None, example: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if example is not None:
        return (tuple(example) if isinstance(example, (tuple, list)) else (example,)), {}
    if shape is None:
        raise ShapeError(
            "a torch module does not say what it takes: give input_shape=(1, 3, 224, 224) "
            "or example=tensor"
        )
    weight = next(module.parameters(), None)
    where = {"device": weight.device if weight is not None else "cpu"}
    if isinstance(shape, Mapping):
        return (), {key: torch.zeros(tuple(dims), **where) for key, dims in shape.items()}
    return (torch.zeros(tuple(shape), **where),), {}
