"""The source of an architecture itself as a network: what ``materialise(form="source")`` gives."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

from archcast.encoders._files import exists
from archcast.encoders._read_types import InputShape
from archcast.encoders._torch.capture import Recording
from archcast.encoders.errors import (
    InvalidSettingError,
    MissingExtraError,
    UnreadableModelError,
)

if TYPE_CHECKING:
    from archcast.zero_cost.source._network import SourceNetwork

__all__ = ["load_source"]


def load_source(
    source: Any,
    input_shape: InputShape | None = None,
    *,
    weights: Literal["own", "fresh"] = "own",
    seed: int = 0,
) -> SourceNetwork:
    """Make a network that can be run, and differentiated, of whatever describes it.

    Operators of ONNX files run in torch one by one; what computes shapes runs with them. Weights
    of a file are the module's parameters, under their names in the file below ``weights``.

    Args:
        source: an ONNX file (path, ``bytes`` or ``onnx.ModelProto``), a ``torch.nn.Module``, which
            is copied, a search space's specification such as ``nasbench201:…``, or a
            :class:`~archcast.encoders._torch.capture.Recording` of one.
        input_shape: shape of the first input, batch first, or input name -> shape. A module needs
            it; an ONNX file where its own dimensions are symbolic and the defaults of
            :func:`archcast.encoders.read` do not do.
        weights: ``own`` of the source, or ``fresh`` ones by the seed. Weights that an ONNX file
            leaves out, and those of search spaces and recordings, are drawn in either case.
        seed: of fresh weights.

    Returns:
        The network, in training mode.

    Raises:
        UnreadableModelError: not ONNX or damaged; an operator that is not known, named with its
            node; a recording without the numbers it needs.
        ShapeError: shapes are missing or contradict each other.
        InvalidSpecError: a specification is not well formed.
        InvalidSettingError: ``weights`` is neither.
        StorageError: the file does not exist or cannot be read.
        MissingExtraError: torch is not installed.
    """
    if weights not in ("own", "fresh"):
        raise InvalidSettingError(f"weights are 'own' or 'fresh', not {weights!r}")
    _need_torch()
    fresh = weights == "fresh"
    if isinstance(source, str) and not exists(source):
        from archcast.encoders.spaces import recognise

        found = recognise(source)
        if found is not None:
            space, spec = found
            return _of_space(space, spec, input_shape, seed)
    if isinstance(source, (str, os.PathLike, bytes, bytearray, memoryview)) or hasattr(
        source, "SerializeToString"
    ):
        from archcast.zero_cost.source._onnx import OnnxNetwork

        return OnnxNetwork(source, input_shape, fresh=fresh, seed=seed).train()
    if isinstance(source, Recording):
        from archcast.zero_cost.source._recording import RecordedNetwork

        return RecordedNetwork(source, seed)
    if hasattr(source, "named_parameters"):
        from archcast.zero_cost.source._module import ModuleNetwork

        return ModuleNetwork(source, input_shape, fresh=fresh, seed=seed)
    raise UnreadableModelError(
        f"cannot make a network of {type(source).__name__}; give an ONNX path, bytes or "
        "ModelProto, a torch.nn.Module, or a search space's specification"
    )


def _of_space(space: Any, spec: str, shape: InputShape | None, seed: int) -> SourceNetwork:
    from archcast.zero_cost.source._module import ModuleNetwork

    if shape is None and space.name in ("timm", "torchvision"):
        size = space.parse(spec)[1]
        shape = (1, 3, size, size)
    return ModuleNetwork(space.module(spec), shape, fresh=True, seed=seed)


def _need_torch() -> None:
    try:
        import torch  # noqa: F401  (torch is an extra; importing it takes a second)
    except ImportError as error:
        raise MissingExtraError(
            "running networks needs torch: pip install 'archcast[torch]'"
        ) from error
