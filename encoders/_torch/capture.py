"""Record what a ``torch.nn.Module`` computes as plain data, by ``torch.export``.

The recording needs torch; turning it into a graph (:mod:`archcast.encoders._torch.lower`) does not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Ref(NamedTuple):
    """The result of an earlier step, by name."""

    name: str


class Shape(NamedTuple):
    """Shape and kind of one tensor."""

    dims: tuple[int, ...]
    floating: bool


@dataclass(slots=True)
class Step:
    """One operator call: ``name = target(*args, **kwargs)``."""

    name: str
    target: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any  # Shape, or a list of Shape and None for several results


@dataclass(slots=True)
class Recording:
    """A module's computation on one example.

    Attributes:
        inputs: name -> shape of every tensor the caller gives, in call order.
        weights: name -> (shape, qualified name, is a parameter) of everything the module holds.
        values: name -> nested list of the numbers of small constants, where they are known.
        steps: operator calls, each after those it uses.
        outputs: names of the results.
    """

    inputs: dict[str, Shape] = field(default_factory=dict)
    weights: dict[str, tuple[Shape, str, bool]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """The recording as text; :meth:`from_json` reads it back."""
        steps = [
            [s.name, s.target, _coded(list(s.args)), _coded(s.kwargs), s.result] for s in self.steps
        ]
        data = {
            "inputs": self.inputs,
            "weights": self.weights,
            "values": self.values,
            "steps": steps,
            "outputs": self.outputs,
        }
        return json.dumps(data, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Recording:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: not such a text.
        """
        data = json.loads(text)
        steps = [
            Step(name, target, tuple(_decoded(args)), _decoded(kwargs), _shaped(result))
            for name, target, args, kwargs, result in data["steps"]
        ]
        weights = {k: (_shaped(shape), *rest) for k, (shape, *rest) in data["weights"].items()}
        inputs = {k: _shaped(shape) for k, shape in data["inputs"].items()}
        return cls(inputs, weights, data["values"], steps, data["outputs"])


def _coded(value: Any) -> Any:
    """JSON has no references: they become objects with one key that no keyword can have."""
    if isinstance(value, Ref):
        return {"@": value.name}
    if isinstance(value, list):
        return [_coded(v) for v in value]
    return {k: _coded(v) for k, v in value.items()} if isinstance(value, dict) else value


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(v) for v in value]
    if not isinstance(value, dict):
        return value
    return Ref(value["@"]) if "@" in value else {k: _decoded(v) for k, v in value.items()}


def _shaped(value: Any) -> Any:
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], bool):
        return Shape(tuple(value[0]), value[1])
    return [_shaped(v) for v in value] if isinstance(value, list) else value


def capture(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> Recording:
    """Record ``module(*args, **kwargs)`` in evaluation mode.

    Args:
        module: a ``torch.nn.Module``, on any device (``meta`` needs no memory for weights).
        args: example tensors; shapes count, numbers do not.
        kwargs: example keyword arguments.

    Returns:
        The recording.
    """
    import torch

    with evaluating(module), torch.no_grad():
        program = torch.export.export(module, args, kwargs, strict=False)
    recording = Recording()
    _record_signature(program, recording)
    _record_steps(program.graph_module, recording, {})
    return recording


@contextmanager
def evaluating(module: Any) -> Iterator[None]:
    """A module in evaluation mode; afterwards each of its parts has the mode it had before."""
    modes = [(part, part.training) for _, part in module.named_modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _record_signature(program: Any, recording: Recording) -> None:
    parameters = set(program.graph_signature.parameters)
    qualified = {
        **program.graph_signature.inputs_to_parameters,
        **program.graph_signature.inputs_to_buffers,
        **program.graph_signature.inputs_to_lifted_tensor_constants,
    }
    for node in program.graph.nodes:
        if node.op != "placeholder":
            continue
        shape = _shape(node.meta.get("val"))
        if node.name in qualified:
            target = qualified[node.name]
            recording.weights[node.name] = (shape, target, target in parameters)
            _record_value(program, target, node.name, recording)
        elif shape is not None:
            recording.inputs[node.name] = shape


def _record_value(program: Any, target: str, name: str, recording: Recording) -> None:
    tensor = program.constants.get(target)
    if tensor is None:
        tensor = program.state_dict.get(target)
    if tensor is not None and tensor.numel() <= 64 and tensor.device.type != "meta":
        recording.values[name] = tensor.tolist()


def _record_steps(graph_module: Any, recording: Recording, renamed: dict[str, Any]) -> Any:
    """Append the steps of one graph; inlines the sub-graphs of context-manager operators."""
    result: Any = None
    for node in graph_module.graph.nodes:
        if node.op == "output":
            result = _plain(node.args[0], renamed)
        elif node.op == "get_attr":
            renamed[node.name] = getattr(graph_module, node.target)
        elif node.op == "call_function":
            _record_call(node, graph_module, recording, renamed)
    recording.outputs = [r.name for r in _flat(result) if isinstance(r, Ref)]
    return result


def _record_call(node: Any, owner: Any, recording: Recording, renamed: dict[str, Any]) -> None:
    target = str(node.target)
    if "wrap_with" in target:
        body_index = next(i for i, a in enumerate(node.args) if getattr(a, "op", "") == "get_attr")
        body = getattr(owner, node.args[body_index].target)
        actual = [_plain(a, renamed) for a in node.args[body_index + 1 :]]
        formal = [n for n in body.graph.nodes if n.op == "placeholder"]
        inner = {f.name: a for f, a in zip(formal, actual, strict=True)}
        prefix = f"{node.name}."
        for inner_node in body.graph.nodes:
            inner.setdefault(inner_node.name, Ref(prefix + inner_node.name))
        outputs = recording.outputs
        renamed[node.name] = _record_steps(body, recording, inner)
        recording.outputs = outputs
        return
    if target == "<built-in function getitem>" and node.args[0].name in renamed:
        value = renamed[node.args[0].name]
        if isinstance(value, (list, tuple)) and not isinstance(value, Ref):
            renamed[node.name] = value[node.args[1]]
            return
    name = renamed.get(node.name, Ref(node.name))
    recording.steps.append(
        Step(
            name.name if isinstance(name, Ref) else node.name,
            target,
            tuple(_plain(a, renamed) for a in node.args),
            {k: _plain(v, renamed) for k, v in node.kwargs.items()},
            _shape(node.meta.get("val")),
        )
    )


def _plain(value: Any, renamed: dict[str, Any]) -> Any:
    import torch

    if isinstance(value, torch.fx.Node):
        return renamed.get(value.name, Ref(value.name))
    if isinstance(value, (list, tuple)):
        return [_plain(v, renamed) for v in value]
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    if isinstance(value, torch.SymInt):
        return int(value)
    return str(value)


def _shape(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_shape(v) for v in value]
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        dims = tuple(int(d) for d in value.shape)
        return Shape(dims, bool(value.dtype.is_floating_point or value.dtype.is_complex))
    return None


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [leaf for item in value for leaf in _flat(item)]
    return [value]
