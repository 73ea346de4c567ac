"""An ONNX file as plain data: operators with decoded attributes, constants as torch tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch

from archcast.encoders._onnx.call import dim_of
from archcast.encoders.errors import StorageError, UnreadableModelError
from archcast.zero_cost.source.operators import DTYPES

_EXTERNAL: Final = 1
_TEXT: Final = 8


class Outer(NamedTuple):
    """An attribute that is the attribute of the function's call."""

    name: str


@dataclass(slots=True)
class Node:
    """One operator."""

    op: str
    domain: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]

    def subgraphs(self) -> list[Graph]:
        """The graphs among its attributes."""
        return [value for value in self.attributes.values() if isinstance(value, Graph)]

    def __str__(self) -> str:
        return f"{self.domain}.{self.op}" if self.domain else self.op


@dataclass(slots=True)
class Graph:
    """Operators in an order in which they can run.

    Attributes:
        nodes: the operators.
        inputs: names of the operands.
        outputs: names of the results.
        constants: name -> tensor; one on the meta device has no numbers in the file.
    """

    nodes: list[Node]
    inputs: list[str]
    outputs: list[str]
    constants: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(slots=True)
class Function:
    """An operator that the file itself defines."""

    body: Graph
    defaults: dict[str, Any]
    opset: int


class Input(NamedTuple):
    """An input of the network: dimensions are numbers, symbols, or None; no dims if unstated."""

    name: str
    dtype: torch.dtype
    dims: list[int | str | None] | None


@dataclass(slots=True)
class File:
    """A whole ONNX file."""

    graph: Graph
    inputs: list[Input]
    functions: dict[tuple[str, str], Function]
    opset: int
    name: str


def load_file(source: Any) -> File:
    """Read an ONNX path, bytes or ``ModelProto``, weights included.

    Raises:
        StorageError: the file does not exist or cannot be read.
        UnreadableModelError: not ONNX, cyclic, or a tensor is damaged.
    """
    model, folder = _model(source)
    opsets = {o.domain: o.version for o in model.opset_import}
    opset = opsets.get("", opsets.get("ai.onnx", 13))
    functions = {(f.domain, f.name): _function(f) for f in model.functions}
    graph = _graph(model.graph, folder)
    inputs = [_input(v) for v in model.graph.input if v.name not in graph.constants]
    graph.inputs = [value.name for value in inputs]
    return File(graph, inputs, functions, opset, str(model.graph.name))


def _model(source: Any) -> tuple[Any, Path | None]:
    import onnx

    if hasattr(source, "SerializeToString"):
        return source, None
    folder = None
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
    else:
        folder = Path(source).parent
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise StorageError(f"cannot read {source}: {error.strerror or error}") from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # DecodeError lives in a private place of each protobuf version
        raise UnreadableModelError(f"not a valid ONNX file: {error}") from error
    if not model.graph.node:
        raise UnreadableModelError("not an ONNX file, or one without operators")
    return model, folder


# ------------------------------------------------------------------------ graphs
def _graph(proto: Any, folder: Path | None) -> Graph:
    constants = {t.name: tensor(t, folder) for t in proto.initializer}
    for sparse in proto.sparse_initializer:
        constants[sparse.values.name] = _dense(sparse, folder)
    inputs = [value.name for value in proto.input]
    nodes = [_node(n, folder) for n in proto.node]
    return Graph(_sorted(nodes), inputs, [value.name for value in proto.output], constants)


def _function(proto: Any) -> Function:
    nodes = _sorted([_node(n, None) for n in proto.node])
    body = Graph(nodes, list(proto.input), list(proto.output))
    defaults = {a.name: _attribute(a, None) for a in proto.attribute_proto}
    opsets = {o.domain: o.version for o in proto.opset_import}
    return Function(body, defaults, opsets.get("", 13))


def _node(proto: Any, folder: Path | None) -> Node:
    attributes = {a.name: _attribute(a, folder) for a in proto.attribute}
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    return Node(
        proto.op_type, domain, proto.name, list(proto.input), list(proto.output), attributes
    )


def _sorted(nodes: list[Node]) -> list[Node]:
    """The operators, each after those that it reads; most files have them so already."""
    made = {name for node in nodes for name in node.outputs if name}
    done: set[str] = set()
    ordered: list[Node] = []
    waiting = nodes
    while waiting:
        blocked = []
        for node in waiting:
            if any(name in made and name not in done for name in _reads(node)):
                blocked.append(node)
                continue
            ordered.append(node)
            done.update(node.outputs)
        if len(blocked) == len(waiting):
            raise UnreadableModelError(
                f"the graph has a cycle through {blocked[0].op} {blocked[0].name!r}; "
                "an ONNX graph must not have one, export the model again"
            )
        waiting = blocked
    return ordered


def _reads(node: Node) -> set[str]:
    return {name for name in node.inputs if name} | outer_names(node)


def outer_names(node: Node) -> set[str]:
    """Names that an operator's sub-graphs read from the graph around them."""
    found: set[str] = set()
    for graph in node.subgraphs():
        # Branches have no operands; some files list there what they read from outside.
        known = {*(graph.inputs if node.op != "If" else ()), *graph.constants}
        for inner in graph.nodes:
            found |= _reads(inner) - known
            known.update(inner.outputs)
        found |= {name for name in graph.outputs if name not in known}
    return found


def _input(value: Any) -> Input:
    kind = value.type.tensor_type
    dtype = DTYPES.get(kind.elem_type, torch.float32)
    dims = [dim_of(d) for d in kind.shape.dim] if kind.HasField("shape") else None
    return Input(value.name, dtype, dims)


# -------------------------------------------------------------------- attributes
def _attribute(proto: Any, folder: Path | None) -> Any:
    if proto.ref_attr_name:
        return Outer(proto.ref_attr_name)
    decode = _DECODE.get(proto.type)
    return decode(proto, folder) if decode is not None else None


def _text(data: Any) -> str:
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)


#: ``AttributeProto.type`` -> how the value is taken out.
_DECODE: Final[dict[int, Callable[[Any, Path | None], Any]]] = {
    1: lambda a, _: a.f,
    2: lambda a, _: a.i,
    3: lambda a, _: _text(a.s),
    4: lambda a, folder: tensor(a.t, folder),
    5: lambda a, folder: _graph(a.g, folder),
    6: lambda a, _: list(a.floats),
    7: lambda a, _: list(a.ints),
    8: lambda a, _: [_text(s) for s in a.strings],
    11: lambda a, folder: _dense(a.sparse_tensor, folder),
}


def bound(attributes: Mapping[str, Any], outer: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes with those of the function's call filled in."""
    return {
        name: outer.get(value.name) if isinstance(value, Outer) else value
        for name, value in attributes.items()
    }


# ----------------------------------------------------------------------- tensors
def tensor(proto: Any, folder: Path | None) -> torch.Tensor:
    """A ``TensorProto``'s numbers; on the meta device where the file leaves them out.

    Raises:
        UnreadableModelError: damaged, text, or in another file that is not there.
    """
    dims = tuple(proto.dims)
    dtype = DTYPES.get(proto.data_type)
    if proto.data_type == _TEXT:
        return torch.empty(dims, dtype=torch.uint8, device="meta")
    if dtype is None:
        raise UnreadableModelError(f"tensor {proto.name!r} has an element type torch lacks")
    if proto.data_location == _EXTERNAL:
        _fetch(proto, folder)
    elif prod(dims) and not _has_numbers(proto):
        return torch.empty(dims, dtype=dtype, device="meta")
    from onnx import numpy_helper

    try:
        array = np.array(numpy_helper.to_array(proto))
    except (ValueError, TypeError, RuntimeError, KeyError) as error:
        raise UnreadableModelError(
            f"tensor {proto.name!r} is damaged ({error}); export the model again"
        ) from error
    return _torch(array, dtype)


def _torch(array: Any, dtype: torch.dtype) -> torch.Tensor:
    if array.dtype.kind in "biuf" and array.dtype.str[1:] != "u8":
        return torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape)).to(dtype)
    if array.dtype.kind == "c":
        return torch.from_numpy(array)
    wide = array.astype(np.int64 if dtype in (torch.int64, torch.uint8, torch.int8) else np.float32)
    return torch.from_numpy(wide).to(dtype)


def _has_numbers(proto: Any) -> bool:
    fields = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
    return bool(proto.raw_data) or any(len(getattr(proto, name)) for name in fields)


def _fetch(proto: Any, folder: Path | None) -> None:
    from onnx.external_data_helper import load_external_data_for_tensor

    where = next((e.value for e in proto.external_data if e.key == "location"), "")
    if folder is None:
        raise UnreadableModelError(
            f"tensor {proto.name!r} lies in the file {where!r}; give the model's path"
        )
    try:
        load_external_data_for_tensor(proto, str(folder))
    except Exception as error:  # onnx raises its own checker's errors, OSError and ValueError
        raise UnreadableModelError(
            f"tensor {proto.name!r} should lie in {where!r} beside the model: {error}"
        ) from error


def _dense(sparse: Any, folder: Path | None) -> torch.Tensor:
    values, places = tensor(sparse.values, folder), tensor(sparse.indices, folder)
    dims = tuple(sparse.dims)
    flat = torch.zeros(prod(dims), dtype=values.dtype)
    if places.dim() == 2:
        strides = torch.tensor([prod(dims[i + 1 :]) for i in range(len(dims))])
        places = (places * strides).sum(1)
    flat[places] = values
    return flat.reshape(dims)
