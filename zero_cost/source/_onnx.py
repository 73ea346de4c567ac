"""An ONNX file as a module: its operators run one after another in torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from archcast.encoders._onnx.reader import DEFAULT_DIMS
from archcast.encoders._read_types import InputShape
from archcast.encoders.errors import ArchcastError, ShapeError, UnreadableModelError
from archcast.zero_cost.source._batching import Reshapes
from archcast.zero_cost.source._file import Graph, Input, Node, bound, load_file, outer_names
from archcast.zero_cost.source._network import Result, SourceNetwork
from archcast.zero_cost.source._weights import NUMBERS, Draw, weights_of
from archcast.zero_cost.source.operators import TABLE, Call, Value

#: Operators without operands whose results are constants, also when their shape is one.
_MADE = frozenset(("Constant", "ConstantOfShape", "EyeLike"))


class OnnxNetwork(SourceNetwork):
    """The network of an ONNX file.

    Weights are parameters under the names that the file gives them; a constant that is no weight
    (see :func:`~archcast.zero_cost.source._weights.weights_of`) is a buffer.

    Args:
        source: path, bytes or ``ModelProto``.
        input_shape: shape of the first input, or input name -> shape, for symbolic dimensions.
        fresh: whether all weights are drawn; those that the file leaves out always are.
        seed: of the drawing.

    Raises:
        UnreadableModelError: not ONNX, damaged, or with an operator that is not known.
        ShapeError: an input has no shape and none is given.
    """

    def __init__(
        self, source: Any, input_shape: InputShape | None = None, *, fresh: bool, seed: int
    ) -> None:
        super().__init__()
        self.file = load_file(source)
        self._check()
        graph = self.file.graph
        self._made = _materialise(graph, self.file.opset)
        self._live = _needed(graph)
        self._last = _last_uses(self._live, graph.outputs)
        self._bind(input_shape)
        self._tensors: dict[str, tuple[nn.Module, str]] = {}
        self._plain: dict[str, Tensor] = {}
        self._register(graph, fresh, seed)
        self.has_norm = any(node.op == "BatchNormalization" for node in self._live)

    # --------------------------------------------------------------- preparation
    def _check(self) -> None:
        waiting = [self.file.graph, *(f.body for f in self.file.functions.values())]
        while waiting:
            for node in waiting.pop().nodes:
                waiting += node.subgraphs()
                key = (node.domain, node.op)
                if key not in TABLE and key not in self.file.functions and node.op != "Constant":
                    raise UnreadableModelError(
                        f"operator {node} (node {node.name or node.outputs[0]!r}) is not known"
                    )

    def _bind(self, shapes: InputShape | None) -> None:
        symbols: dict[str, int] = {}
        inputs = self.file.inputs
        if isinstance(shapes, Mapping):
            unknown = sorted(set(shapes) - {value.name for value in inputs})
            if unknown:
                names = ", ".join(value.name for value in inputs)
                raise ShapeError(f"the model has no input {unknown[0]!r}; its inputs are: {names}")
        for place, value in enumerate(inputs):
            if isinstance(shapes, Mapping):
                given = shapes.get(value.name)
            else:
                given = shapes if place == 0 else None
            self.input_names.append(value.name)
            self.input_types.append(value.dtype)
            self.input_shapes.append(_bound_shape(value, given, symbols))

    def _register(self, graph: Graph, fresh: bool, seed: int) -> None:
        draw = Draw(seed)
        roles = weights_of(graph, self._made)
        for name, tensor in graph.constants.items():
            role = roles.get(name)
            if role is not None:
                drawn = draw(tensor, role) if fresh or tensor.is_meta else tensor
                self._put(name, nn.Parameter(drawn))
            elif tensor.is_meta and tensor.is_floating_point():
                self._put(name, torch.full(tensor.shape, float(self._is_variance(name))))
            elif tensor.is_floating_point() and tensor.dim():
                kept = self._statistics(name, tensor) if fresh else tensor
                self._put(name, kept)
            else:
                self._plain[name] = tensor

    def _statistics(self, name: str, tensor: Tensor) -> Tensor:
        """A norm's statistics as they are before any training; other constants as they are."""
        for node in self._live:
            if node.op == "BatchNormalization" and name in node.inputs[3:5]:
                return torch.full_like(tensor, float(self._is_variance(name)))
        return tensor

    def _is_variance(self, name: str) -> bool:
        norms = (node for node in self._live if node.op == "BatchNormalization")
        return any(len(node.inputs) > 4 and node.inputs[4] == name for node in norms)

    def _put(self, name: str, tensor: Tensor) -> None:
        """Keep a tensor under its name, whose dots lead through containers as in any module."""
        owner: nn.Module = self
        *path, last = [part or "_" for part in f"weights.{name}".split(".")]
        for part in path:
            child = getattr(owner, part, None)
            if child is None:
                child = nn.Module()
                owner.add_module(part, child)
            if not isinstance(child, nn.Module):
                return self._put(name.replace(".", "_"), tensor)
            owner = child
        while hasattr(owner, last):
            last += "_"
        if isinstance(tensor, nn.Parameter):
            owner.register_parameter(last, tensor)
        else:
            owner.register_buffer(last, tensor)
        self._tensors[name] = (owner, last)
        return None

    # ------------------------------------------------------------------- running
    def mixes_samples(self) -> bool:
        """Whether there is a batch norm in training mode."""
        return (self.training and self.has_norm) or self.always_mixes()

    def always_mixes(self) -> bool:
        """Whether a batch norm was exported in training mode."""
        return any(node.attributes.get("training_mode", 0) for node in self._live)

    def run(self, inputs: tuple[Tensor, ...], reshapes: Reshapes) -> Result:
        """Run all operators; see :meth:`SourceNetwork.run`."""
        values: dict[str, Value] = dict(self._plain)
        for name, (owner, attribute) in self._tensors.items():
            values[name] = getattr(owner, attribute)
        values.update(zip(self.input_names, inputs, strict=True))
        device = inputs[0].device if inputs else self._device()
        runner = _Runner(self, reshapes, device)
        for node, over in zip(self._live, self._last, strict=True):
            runner.node(node, values, {}, self.file.opset)
            for name in over:
                del values[name]
        results = tuple(
            runner.find(name, values, "the network") for name in self.file.graph.outputs
        )
        return results[0] if len(results) == 1 else results


class _Runner:
    """One run: what does not change from operator to operator."""

    def __init__(self, network: OnnxNetwork, reshapes: Reshapes, device: torch.device) -> None:
        self.functions = network.file.functions
        self.training = network.training
        self.reshapes, self.device = reshapes, device
        self.moves = device.type != "cpu"

    def node(
        self, node: Node, values: dict[str, Value], outer: Mapping[str, Any], opset: int
    ) -> None:
        operands = [self.find(name, values, node.op) if name else None for name in node.inputs]
        attributes = bound(node.attributes, outer)
        function = self.functions.get((node.domain, node.op))
        if function is not None:
            inner = dict(zip(function.body.inputs, operands, strict=False))
            inner.update((name, None) for name in function.body.inputs[len(operands) :])
            results = self._graph(
                function.body, inner, {**function.defaults, **attributes}, function.opset
            )
        elif node.op == "Constant" and not node.domain:
            results = [_constant(attributes)]
        else:
            results = self._call(node, operands, attributes, values, outer, opset)
        named = zip(node.outputs, results, strict=False)
        values.update((name, value) for name, value in named if name)

    def _call(
        self, node: Node, operands: list[Value], attributes: dict[str, Any],
        values: dict[str, Value], outer: Mapping[str, Any], opset: int,
    ) -> Sequence[Value]:  # fmt: skip
        def body(graph: Graph, given: Sequence[Value]) -> list[Value]:
            inner = {**values, **graph.constants, **dict(zip(graph.inputs, given, strict=False))}
            return self._graph(graph, inner, outer, opset)

        call = Call(
            node.op, attributes, opset, len(node.outputs), self.training, self.device,
            self.reshapes, body,
        )  # fmt: skip
        if self.moves:
            operands = _together(node.op, operands, self.device)
        try:
            result = TABLE[node.domain, node.op](call, *operands)
        except ArchcastError:
            raise
        except (RuntimeError, ValueError, IndexError, TypeError, AttributeError, KeyError) as error:
            shapes = ", ".join(str(tuple(getattr(x, "shape", ()))) for x in operands)
            line = str(error).partition("\n")[0][:160]
            raise ShapeError(
                f"operator {node} (node {node.name or node.outputs[0]!r}) on {shapes}: {line}"
            ) from error
        return result if isinstance(result, tuple) else (result,)

    def _graph(
        self, graph: Graph, values: dict[str, Value], outer: Mapping[str, Any], opset: int
    ) -> list[Value]:
        for node in graph.nodes:
            self.node(node, values, outer, opset)
        return [self.find(name, values, "a sub-graph") for name in graph.outputs]

    def find(self, name: str, values: Mapping[str, Value], reader: str) -> Value:
        """A value by its name."""
        if name not in values:
            raise UnreadableModelError(
                f"{reader} reads tensor {name!r}, which nothing produces; "
                "the file is damaged or incomplete, export it again"
            )
        return values[name]


def _together(op: str, operands: list[Value], device: torch.device) -> list[Value]:
    """Operands on one device, if any is on the accelerator; plain numbers stay where they are."""
    plain = NUMBERS.get(op, ())
    if not any(isinstance(x, Tensor) and x.device.type == device.type for x in operands):
        return operands
    return [
        x.to(device) if isinstance(x, Tensor) and i not in plain else x
        for i, x in enumerate(operands)
    ]


# -------------------------------------------------------------------- preparation
def _constant(attributes: Mapping[str, Any]) -> Tensor:
    for name, value in attributes.items():
        if name in ("value", "sparse_value"):
            return value
        if name.startswith("value_"):
            kind = torch.float32 if "float" in name else torch.int64
            return torch.tensor(value, dtype=kind)
    raise UnreadableModelError("operator Constant has no value")


def _materialise(graph: Graph, opset: int) -> set[str]:
    """Make constants of operators that only spell one out, so that weights among them are seen.

    Returns:
        Names of those that are one number throughout, or an identity.
    """
    kept, made = [], set()
    for node in graph.nodes:
        constant = all(name in graph.constants for name in node.inputs if name)
        if node.domain or node.op not in _MADE or not constant:
            kept.append(node)
            continue
        if node.op == "Constant":
            value = _constant(node.attributes)
        else:
            operands = [graph.constants[name] for name in node.inputs]
            value = TABLE["", node.op](Call(node.op, node.attributes, opset), *operands)
            made.add(node.outputs[0])
        graph.constants[node.outputs[0]] = value
    graph.nodes = kept
    return made


def _needed(graph: Graph) -> list[Node]:
    """The operators that lead to a result."""
    needed, found = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            found.append(node)
            needed.update(node.inputs)
            needed |= outer_names(node)
    return found[::-1]


def _last_uses(nodes: Sequence[Node], outputs: Sequence[str]) -> list[list[str]]:
    """For each operator, the intermediate results that nobody reads after it."""
    made = {name for node in nodes for name in node.outputs if name} - set(outputs)
    seen: set[str] = set()
    found: list[list[str]] = []
    for node in reversed(nodes):
        names = ({*node.inputs, *node.outputs} | outer_names(node)) & made
        found.append(sorted(names - seen))
        seen |= names
    return found[::-1]


def _bound_shape(value: Input, given: Any, symbols: dict[str, int]) -> tuple[int, ...]:
    """An input's shape with symbols bound as :func:`archcast.encoders.read` binds them."""
    if value.dims is None:
        if given is None:
            raise ShapeError(f"input {value.name!r} has no shape; give input_shape")
        return tuple(map(int, given))
    dims = value.dims
    if given is not None:
        if len(given) != len(dims):
            raise ShapeError(
                f"input {value.name!r} has {len(dims)} dimensions, the given shape {len(given)}"
            )
        for dim, number in zip(dims, given, strict=True):
            if isinstance(dim, str):
                symbols.setdefault(dim, int(number))
        return tuple(map(int, given))
    defaults = DEFAULT_DIMS.get(len(dims), (1,) * len(dims))
    if len(dims) == 4 and dims[-1] in (1, 3, 4) and dims[1] not in (1, 3, 4):
        defaults = (1, 224, 224, 3)
    return tuple(
        symbols.setdefault(dim, default) if isinstance(dim, str) else dim or default
        for dim, default in zip(dims, defaults, strict=True)
    )
