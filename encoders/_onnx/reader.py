"""Walk an ONNX model's operators in order, with concrete shapes, into a trace."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from archcast.encoders._onnx import fold
from archcast.encoders._onnx.call import Call, Hints, Value, axis_of, dim_of, first_tensor
from archcast.encoders._onnx.rules import rule_for
from archcast.encoders._onnx.skim import load_model
from archcast.encoders._read_types import InputShape
from archcast.encoders._simplify import simplify
from archcast.encoders._trace import SMALL, Tensor, Tracer
from archcast.encoders.errors import ArchcastError, ShapeError, UnreadableModelError
from archcast.encoders.graph import ComputeGraph

#: What an unknown dimension is taken for, by rank and place; see ``archcast.encoders.read``.
DEFAULT_DIMS: Mapping[int, tuple[int, ...]] = {
    0: (),
    1: (1,),
    2: (1, 128),
    3: (1, 128, 128),
    4: (1, 3, 224, 224),
    5: (1, 3, 16, 224, 224),
}
_LONGEST_LOOP = 1_000_000
_Operands = list[Value | None]
#: Element types whose raw bytes NumPy reads as they are.
_TENSOR = 4  # AttributeProto.TENSOR
_PLAIN = {1: "<f4", 6: "<i4", 7: "<i8", 11: "<f8"}


def read_onnx(source: Any, input_shape: InputShape | None, name: str = "") -> ComputeGraph:
    """The canonical graph of an ONNX path, bytes or ``ModelProto``.

    Raises:
        ArchcastError: see :func:`archcast.encoders.read`.
    """
    model = load_model(source)
    if not name:
        name = source.stem if isinstance(source, Path) else str(model.graph.name)
    reader = _Reader(model, input_shape)
    try:
        trace = reader.run()
        return simplify(trace, source="onnx", name=name)
    except ShapeError as error:
        unknown = [node.label for node in reader.trace.nodes if node.op == "other"]
        if not unknown:
            raise
        raise ShapeError(
            f"{error}; perhaps because shapes after the unknown operator {unknown[0]!r} are guesses"
        ) from error
    except ArchcastError:
        raise
    except Exception as error:
        # A damaged file can contradict itself in more ways than can be listed here.
        if os.environ.get("ARCHCAST_DEBUG"):
            raise
        raise UnreadableModelError(
            f"the model contradicts itself ({type(error).__name__}: {str(error)[:120]}); "
            "check it with onnx.checker, or export it again"
        ) from error


@dataclass(slots=True)
class _Scope:
    """Names visible to the operators of one (sub-)graph or function."""

    values: dict[str, Value] = field(default_factory=dict)
    parent: _Scope | None = None
    hints: Hints = field(default_factory=Hints)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    opset: int = 13

    def find(self, name: str) -> Value | None:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.parent
        return None


class _Reader:
    def __init__(self, model: Any, input_shape: InputShape | None) -> None:
        self.model = model
        self.trace = Tracer()
        self.shapes = input_shape
        self.symbols: dict[str, int] = {}
        self.functions = {(f.domain, f.name): f for f in model.functions}
        self.depth = 0

    def run(self) -> Tracer:
        """Trace the whole model."""
        graph = self.model.graph
        opsets = {o.domain: o.version for o in self.model.opset_import}
        scope = _Scope(opset=opsets.get("", opsets.get("ai.onnx", 13)))
        self._initializers(graph, scope)
        self._inputs(graph, scope)
        self._hints(graph, scope)
        self._nodes(graph.node, scope)
        for output in graph.output:
            value = scope.find(output.name)
            if value is None:
                raise UnreadableModelError(f"nothing produces the output {output.name!r}")
            self.trace.output(first_tensor(value))
        return self.trace

    # ------------------------------------------------------------ what is given
    def _initializers(self, graph: Any, scope: _Scope) -> None:
        for proto in graph.initializer:
            scope.values[proto.name] = tensor_of(proto, proto.name)
        for sparse in graph.sparse_initializer:
            shape = tuple(sparse.dims)
            name = sparse.values.name
            scope.values[name] = Tensor(shape, sources=((name, math.prod(shape)),))

    def _inputs(self, graph: Any, scope: _Scope) -> None:
        given = [i for i in graph.input if i.name not in scope.values]
        if isinstance(self.shapes, Mapping):
            unknown = sorted(set(self.shapes) - {i.name for i in given})
            if unknown:
                names = ", ".join(i.name for i in given)
                raise ShapeError(f"the model has no input {unknown[0]!r}; its inputs are: {names}")
        for place, value in enumerate(given):
            wanted = self.shapes.get(value.name) if isinstance(self.shapes, Mapping) else None
            if wanted is None and not isinstance(self.shapes, Mapping) and place == 0:
                wanted = self.shapes
            scope.values[value.name] = self._input(value, wanted)

    def _input(self, value: Any, wanted: Any) -> Tensor:
        kind = value.type.WhichOneof("value")
        if kind not in (None, "tensor_type"):
            return self.trace.input((1,), floating=False)
        tensor = value.type.tensor_type
        floating = tensor.elem_type in fold.FLOATING
        if not tensor.HasField("shape"):
            if wanted is None:
                raise ShapeError(
                    f"input {value.name!r} has no shape; give one, as --input-shape 1,3,224,224"
                )
            return self.trace.input(tuple(int(d) for d in wanted), floating)
        dims = [dim_of(d) for d in tensor.shape.dim]
        if wanted is not None:
            if len(wanted) != len(dims):
                raise ShapeError(
                    f"input {value.name!r} has {len(dims)} dimensions, the given shape "
                    f"{len(wanted)}; it is declared as {_spell(dims)}"
                )
            for dim, number in zip(dims, wanted, strict=True):
                if isinstance(dim, str):
                    self.symbols.setdefault(dim, int(number))
            dims = list(map(int, wanted))
        return self.trace.input(self._bind(dims), floating)

    def _bind(self, dims: Sequence[int | str | None]) -> tuple[int, ...]:
        defaults = DEFAULT_DIMS.get(len(dims), (1,) * len(dims))
        channels_last = len(dims) == 4 and dims[-1] in (1, 3, 4) and dims[1] not in (1, 3, 4)
        if channels_last:
            defaults = (1, 224, 224, 3)
        bound = []
        for dim, default in zip(dims, defaults, strict=True):
            if isinstance(dim, str):
                bound.append(self.symbols.setdefault(dim, default))
            else:
                bound.append(default if dim is None else dim)
        return tuple(bound)

    def _hints(self, graph: Any, scope: _Scope) -> None:
        """Shapes that the file states for inner tensors, for operators without a rule."""
        scope.hints = Hints((graph.value_info, graph.output), self.symbols)

    # ------------------------------------------------------------- the operators
    def _nodes(self, nodes: Iterable[Any], scope: _Scope) -> None:
        """Run operators as their operands become known, whatever order the file has them in."""
        waiting = list(nodes)
        while waiting:
            blocked = [node for node in waiting if not self._ready(node, scope)]
            if len(blocked) == len(waiting):
                raise _stuck(waiting, scope)
            waiting = blocked

    def _ready(self, node: Any, scope: _Scope) -> bool:
        inputs: list[Value | None] = []
        here = scope.values
        for name in node.input:
            value = here.get(name) if name else None
            if value is None and name:
                value = scope.find(name)
                if value is None:
                    return False
            inputs.append(value)
        self._node(node, inputs, scope)
        return True

    def _node(self, node: Any, inputs: list[Value | None], scope: _Scope) -> None:
        op, domain, outputs = node.op_type, node.domain, node.output
        if op == "Constant" and len(node.attribute) == 1 and node.attribute[0].type == _TENSOR:
            # Half the operators of many files; the general way takes three times as long.
            scope.values[outputs[0]] = tensor_of(node.attribute[0].t, outputs[0])
            return
        attributes = attributes_of(node, scope.attributes)
        function = self.functions.get((domain, op)) if self.functions else None
        if function is not None:
            results = self._function(function, inputs, attributes)
        elif op in ("If", "Loop", "Scan") and not domain:
            results = getattr(self, f"_{op.lower()}")(inputs, attributes, scope)
        else:
            results = self._operator(node, inputs, attributes, scope)
        for name, value in zip(outputs, results, strict=False):
            if name:
                scope.values[name] = value

    def _operator(
        self, node: Any, inputs: list[Value | None], attributes: dict[str, Any], scope: _Scope
    ) -> list[Value]:
        op, hints = node.op_type, scope.hints
        call = Call(op, inputs, attributes, self.trace, scope.opset, node.output, hints, node)
        known = call.known() if op in fold.FOLDED else None
        if known:
            folded = fold.fold(op, known, attributes)
            if folded is not None:
                sources = call.operand_sources()
                return [Tensor(r.shape, -1, r, sources, r.dtype.kind == "f") for r in folded]
        result: Any = rule_for(node.domain, op)(call)
        return result if isinstance(result, list) else [result]

    def _function(
        self, function: Any, inputs: list[Value | None], attributes: dict[str, Any]
    ) -> list[Value]:
        self._descend()
        defaults = {a.name: attribute_of(a, {}) for a in function.attribute_proto}
        opsets = {o.domain: o.version for o in function.opset_import}
        scope = _Scope(attributes={**defaults, **attributes}, opset=opsets.get("", 13))
        for name, value in zip(function.input, inputs, strict=False):
            scope.values[name] = value if value is not None else Tensor(())
        for name in function.input[len(inputs) :]:
            scope.values[name] = Tensor(())
        self._nodes(function.node, scope)
        self.depth -= 1
        return [_result(scope, name) for name in function.output]

    def _descend(self) -> None:
        self.depth += 1
        if self.depth > 48:
            raise UnreadableModelError("functions or sub-graphs nest without end")

    # ------------------------------------------------------------- control flow
    def _body(self, graph: Any, arguments: Iterable[Value], scope: _Scope) -> list[Value]:
        self._descend()
        inner = _Scope(parent=scope, attributes=scope.attributes, opset=scope.opset)
        self._initializers(graph, inner)
        for formal, actual in zip(graph.input, arguments, strict=False):
            inner.values[formal.name] = actual
        self._hints(graph, inner)
        self._nodes(graph.node, inner)
        self.depth -= 1
        return [_result(inner, output.name) for output in graph.output]

    def _if(self, inputs: _Operands, attributes: Mapping[str, Any], scope: _Scope) -> Any:
        """The branch a known condition takes; both, and a choice, where it is not known."""
        condition = first_tensor(inputs[0]).scalar()
        branches = [attributes["then_branch"], attributes["else_branch"]]
        if condition is not None:
            return self._body(branches[0 if condition else 1], (), scope)
        results = [self._body(branch, (), scope) for branch in branches]
        return [self._choice(pair) for pair in zip(*results, strict=True)]

    def _choice(self, pair: tuple[Value, ...]) -> Tensor:
        tensors = sorted((first_tensor(v) for v in pair), key=lambda t: -t.size)
        return self.trace.select(tensors, tensors[0].shape)

    def _loop(self, inputs: _Operands, attributes: Mapping[str, Any], scope: _Scope) -> Any:
        """The body once, its arithmetic counted as often as it runs where that is known."""
        body = attributes["body"]
        state = [v if v is not None else Tensor(()) for v in inputs[2:]]
        known = first_tensor(inputs[0]).scalar() if inputs[0] is not None else None
        trips = int(min(max(known if known is not None else 1, 1), _LONGEST_LOOP))
        start = [Tensor((), floating=False), Tensor((), data=np.array(True), floating=False)]
        results = self._repeated(trips, body, [*start, *state], scope, 1)[1:]
        return results[: len(state)] + [self._stacked(v, trips, 0) for v in results[len(state) :]]

    def _scan(self, inputs: _Operands, attributes: Mapping[str, Any], scope: _Scope) -> Any:
        """The body once over a slice of each scanned input, counted for every slice."""
        body = attributes["body"]
        scanned = int(attributes["num_scan_inputs"])
        tensors = [first_tensor(v) for v in inputs]
        split = len(tensors) - scanned
        axes = attributes.get("scan_input_axes", [0] * scanned)
        slices = []
        trips = 1
        for tensor, place in zip(tensors[split:], axes, strict=True):
            axis = axis_of(place, len(tensor.shape))
            trips = max(tensor.shape[axis], 1)
            shape = tensor.shape[:axis] + tensor.shape[axis + 1 :]
            slices.append(self.trace.part(tensor, shape))
        results = self._repeated(trips, body, [*tensors[:split], *slices], scope, 0)
        places = attributes.get("scan_output_axes", [0] * len(results))
        stacked = [
            self._stacked(v, trips, a) for v, a in zip(results[split:], places, strict=False)
        ]
        return results[:split] + stacked

    def _repeated(
        self, trips: int, body: Any, arguments: list[Any], scope: _Scope, first: int
    ) -> list[Value]:
        """The results of a body; its state is what follows argument ``first``, result by result.

        A state that starts as a constant depends on the input from the second round on, so such
        a body is traced again with that state live.
        """
        before, start = self.trace.repeat, len(self.trace.nodes)
        self.trace.repeat = min(before * trips, _LONGEST_LOOP)
        results = self._body(body, arguments, scope)
        late = {
            place: first_tensor(value)
            for place, value in enumerate(results, first)
            if place < len(arguments)
            and first_tensor(arguments[place]).constant
            and not first_tensor(value).constant
        }
        if late and trips > 1:
            origin = next(
                (t.node for t in map(first_tensor, arguments) if not t.constant),
                self.trace.inputs[0] if self.trace.inputs else -1,
            )
            del self.trace.nodes[start:]
            live = [
                Tensor(first_tensor(a).shape, origin) if place in late else a
                for place, a in enumerate(arguments)
            ]
            results = self._body(body, live, scope)
        self.trace.repeat = before
        return results

    def _stacked(self, value: Value, trips: int, axis: int) -> Tensor:
        tensor = first_tensor(value)
        axis %= len(tensor.shape) + 1
        shape = (*tensor.shape[:axis], trips, *tensor.shape[axis:])
        return self.trace.part(tensor, shape)


# -------------------------------------------------------------------- protobuf
def tensor_of(proto: Any, name: str) -> Tensor:
    """A ``TensorProto`` as a constant; numbers are decoded only where shapes may depend on them."""
    shape = tuple(proto.dims)
    size = math.prod(shape)
    floating = proto.data_type in fold.FLOATING
    trained = floating or proto.data_type in fold.QUANTISED
    counted = trained and (size > 1 or len(shape) > 1)
    return Tensor(
        shape,
        data=_numbers(proto, size, floating),
        sources=((name, size),) if counted else (),
        floating=floating,
    )


def _numbers(proto: Any, size: int, floating: bool) -> Any:
    if proto.data_location == 1 or size > (4 if floating else SMALL):
        return None
    kind = proto.data_type
    plain = _PLAIN.get(kind)
    if plain is not None:
        raw = proto.raw_data
        if len(raw) == size * int(plain[-1]):
            return np.frombuffer(raw, plain).reshape(proto.dims)
        typed = proto.int64_data if kind == 7 else proto.float_data
        if kind in (1, 7) and len(typed) == size:
            return np.array(typed, plain).reshape(proto.dims)
    from onnx import numpy_helper

    try:
        return np.array(numpy_helper.to_array(proto))
    except (ValueError, TypeError, RuntimeError, AttributeError, KeyError):
        return None  # the payload was left out, or is damaged: the shape is all there is


def attributes_of(node: Any, outer: Mapping[str, Any]) -> dict[str, Any]:
    """An operator's attributes as Python values; sub-graphs and tensors stay protobufs."""
    return {a.name: attribute_of(a, outer) for a in node.attribute}


def attribute_of(attribute: Any, outer: Mapping[str, Any]) -> Any:
    """One attribute; inside a function it may refer to an attribute of the call."""
    if attribute.ref_attr_name:
        return outer.get(attribute.ref_attr_name)
    decode = _ATTRIBUTES.get(attribute.type)
    return decode(attribute) if decode is not None else None


def _text(data: Any) -> str:
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)


#: ``AttributeProto.type`` -> how to take the value out.
_ATTRIBUTES: dict[int, Callable[[Any], Any]] = {
    1: lambda a: a.f,
    2: lambda a: a.i,
    3: lambda a: _text(a.s),
    4: lambda a: tensor_of(a.t, a.t.name),
    5: lambda a: a.g,
    6: lambda a: list(a.floats),
    7: lambda a: list(a.ints),
    8: lambda a: [_text(s) for s in a.strings],
    11: lambda a: a.sparse_tensor,
}


def _spell(dims: list[Any]) -> str:
    return "x".join("?" if d is None else str(d) for d in dims)


def _result(scope: _Scope, name: str) -> Value:
    value = scope.find(name)
    if value is None:
        raise UnreadableModelError(f"nothing produces the output {name!r} of a sub-graph")
    return value


def _stuck(nodes: list[Any], scope: _Scope) -> UnreadableModelError:
    produced = {name for node in nodes for name in node.output}
    for node in nodes:
        for name in node.input:
            if name and scope.find(name) is None and name not in produced:
                return UnreadableModelError(
                    f"operator {node.op_type} reads tensor {name!r}, which nothing produces; "
                    "the file is damaged or incomplete, export it again"
                )
    return UnreadableModelError(
        f"the graph has a cycle through {nodes[0].op_type} {nodes[0].name!r}; "
        "an ONNX graph must not have one, export the model again"
    )
