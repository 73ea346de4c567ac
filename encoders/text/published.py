"""The published serialiser, with its losses, to compare with."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

from archcast.encoders.errors import UnreadableModelError


def chain_slim(path: str | Path) -> str:
    """An ONNX file as text by ONNX-Net's rules, written from their description.

    Operators come in the file's order. One with a single data input that continues the line is
    appended to it; the output of a line that ends is ``ValueN:shape``. As published, three things
    are lost, which :func:`~archcast.encoders.text.serialise` keeps: attributes that are no lists
    (``group`` among them); what a parameterless operator reads when it starts a line; and any
    independence of the exporter's order. Two readings are this implementation's own: a line ends
    where several operators read its output, and after an operator on a line of its own.

    Args:
        path: an ONNX file; external weights are not read.

    Returns:
        The text; of any length.

    Raises:
        UnreadableModelError: no such file, or not an ONNX model.

    Reference:
        Kadlecová et al., "ONNX-Net: Towards Universal Representations and Instant Performance
        Prediction for Neural Architectures", 2025.
    """
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
    except FileNotFoundError as error:
        raise UnreadableModelError(f"{path}: no such file") from error
    except Exception as error:  # protobuf and onnx each have their own
        raise UnreadableModelError(f"{path}: not an ONNX model ({error})") from error
    if not model.graph.node:
        raise UnreadableModelError(f"{path}: not an ONNX model with operators in it")
    # Where inference fails, shapes are missing that the file does not give.
    with contextlib.suppress(Exception):
        model = onnx.shape_inference.infer_shapes(model)
    return _Writer(model.graph).text()


class _Writer:
    """Walks the operators of a file and writes lines."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.parameters = {t.name: list(t.dims) for t in graph.initializer}
        self.parameters |= {t.values.name: list(t.dims) for t in graph.sparse_initializer}
        self.shapes = {
            value.name: _shape(value) for value in (*graph.input, *graph.value_info, *graph.output)
        }
        self.inputs = {value.name for value in graph.input} - set(self.parameters)
        self.outputs = {value.name for value in graph.output}
        self.users = Counter(name for node in graph.node for name in node.input)
        self.labels: dict[str, str] = {}
        self.lines: list[str] = []
        self.line = ""
        self.running = ""

    def text(self) -> str:
        for node in self.graph.node:
            self._add(node)
        self._end_line()
        return "\n".join(self.lines)

    def _add(self, node: Any) -> None:
        data = [name for name in node.input if name and name not in self.parameters]
        weights = [
            f"Param[{_listed(self.parameters[n])}]" for n in node.input if n in self.parameters
        ]
        attributes = _attributes(node)
        if len(data) == 1 and len(node.output) == 1:
            continues = bool(self.line) and data[0] == self.running and self.users[data[0]] == 1
            if not continues:
                self._end_line()
            operands = ["prev" if continues else self._name(data[0]), *weights]
            if not continues and not weights and data[0] not in self.inputs:
                operands = []  # as published
            self.line += f"{node.op_type}({', '.join(operands)}){attributes} --> "
            self.running = node.output[0]
            return
        self._end_line()
        operands = [*(self._name(name) for name in data), *weights]
        self.line = f"{node.op_type}({', '.join(operands)}){attributes} --> "
        self.running = node.output[0] if node.output else ""
        for other in node.output[1:]:
            self.labels[other] = f"Value{len(self.labels)}"
        self._end_line()

    def _end_line(self) -> None:
        if self.line:
            self.lines.append(self.line + self._result(self.running))
        self.line = self.running = ""

    def _result(self, name: str) -> str:
        if name in self.outputs:
            return "Out"
        label = self.labels.setdefault(name, f"Value{len(self.labels)}")
        return f"{label}:{self.shapes.get(name, '?')}"

    def _name(self, name: str) -> str:
        if name in self.inputs:
            return self.shapes[name]
        return self.labels.setdefault(name, f"Value{len(self.labels)}")


def _shape(value: Any) -> str:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return "?"
    sizes = [str(d.dim_value) if d.HasField("dim_value") else "?" for d in tensor.shape.dim]
    return "x".join(sizes) or "1"


def _attributes(node: Any) -> str:
    """Lists of numbers only; one of equal integers as one integer."""
    found = []
    for attribute in node.attribute:
        values = list(attribute.ints) or list(attribute.floats)
        if values:
            same = attribute.ints and len(set(values)) == 1
            found.append(f"{attribute.name}={values[0] if same else _listed(values)}")
    return f"({', '.join(found)})" if found else ""


def _listed(values: list[Any]) -> str:
    return ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
