"""Which rule answers for which ONNX operator, and what is done without one."""

from __future__ import annotations

from collections.abc import Sequence

from archcast.encoders._geometry import Dims
from archcast.encoders._onnx import compute, contrib, elementwise, views
from archcast.encoders._onnx.call import Call, Rule, Value
from archcast.encoders._trace import Tensor

_OWN: dict[str, Rule] = {**views.RULES, **elementwise.RULES, **compute.RULES}


def rule_for(domain: str, op: str) -> Rule:
    """The rule of an operator; the last resort keeps the operator's name."""
    if domain in ("", "ai.onnx"):
        return _OWN.get(op, unknown)
    return contrib.RULES.get(op) or _OWN.get(op, unknown)


def unknown(call: Call) -> list[Value]:
    """An operator outside the vocabulary keeps its name."""
    operands = call.tensors()
    shapes = _guess(call, operands)
    label = f"{call.node.domain}.{call.op}" if call.node.domain else call.op
    first = call.trace.add("other", operands, shapes[0], label=label)
    return [first, *(Tensor(shape, first.node, sources=first.sources) for shape in shapes[1:])]


def _guess(call: Call, operands: Sequence[Tensor]) -> list[Dims]:
    """Shapes without a rule: stated in the file, inferred by onnx, or the operand's."""
    inferred = (
        _infer(call, operands) if any(call.hints.get(o) is None for o in call.outputs) else {}
    )
    live = [t.shape for t in operands if not t.constant] or [t.shape for t in operands] or [()]
    shapes = [call.hint(k) or inferred.get(o) or live[0] for k, o in enumerate(call.outputs)]
    return shapes or [live[0]]


def _infer(call: Call, operands: Sequence[Tensor]) -> dict[str, Dims]:
    """What onnx's own shape inference says of one operator; nothing where it gives up."""
    if call.node.domain not in ("", "ai.onnx"):
        return {}
    import onnx

    try:
        schema = onnx.defs.get_schema(call.op, call.opset, "")
        names = [name for name in call.node.input if name]
        types = {
            name: onnx.helper.make_tensor_type_proto(1 if t.floating else 7, t.shape)
            for name, t in zip(names, operands, strict=True)
        }
        found = onnx.shape_inference.infer_node_outputs(schema, call.node, types)
    except Exception:  # inference raises many kinds; a guess is all that is asked
        return {}
    shapes = {}
    for name, proto in found.items():
        dims = proto.tensor_type.shape.dim
        if proto.tensor_type.HasField("shape"):
            shapes[name] = tuple(d.dim_value if d.dim_value > 0 else 1 for d in dims)
    return shapes
