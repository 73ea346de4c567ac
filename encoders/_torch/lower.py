"""Turn a recording of ATen operators into a trace."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from archcast.encoders._torch.aliases import SHAPES, Aliases
from archcast.encoders._torch.call import Call, Lowering
from archcast.encoders._torch.capture import Recording, Ref, Step
from archcast.encoders._torch.rules import PARTS, RULES, constants, unknown
from archcast.encoders._trace import Tensor, Tracer


def lower(recording: Recording) -> Tracer:
    """The trace of a recording; see :func:`archcast.encoders._torch.capture.capture`."""
    lowering = Lowering()
    for name, shape in recording.inputs.items():
        lowering.values[name] = lowering.trace.input(shape.dims, shape.floating)
    for name, (shape, qualified, trained) in recording.weights.items():
        size = math.prod(shape.dims)
        lowering.values[name] = Tensor(
            shape.dims,
            data=np.array(recording.values[name]) if name in recording.values else None,
            sources=((qualified, size),) if trained else (),
            floating=shape.floating,
        )
    aliases = Aliases(lowering, lambda step: _dispatch(Call(lowering, step, _operator(step)[0])))
    for step in recording.steps:
        aliases.refresh([*step.args, *step.kwargs.values()])
        _step(lowering, aliases, step)
    aliases.refresh([Ref(name) for name in recording.outputs])
    for name in recording.outputs:
        value = lowering.values.get(name)
        for tensor in value if isinstance(value, list) else [value]:
            if tensor is not None:
                lowering.trace.output(tensor)
    return lowering.trace


def _step(lowering: Lowering, aliases: Aliases, step: Step) -> None:
    op, inplace = _operator(step)
    if "getitem" in step.target:
        sequence = lowering.values.get(step.args[0].name)
        if isinstance(sequence, list):
            lowering.values[step.name] = sequence[step.args[1]]
            aliases.part(step.name, step.args[0].name, step.args[1])
        else:
            lowering.values[step.name] = sequence
        return
    lowering.values[step.name] = _dispatch(Call(lowering, step, op))
    if not inplace:
        aliases.note(step, op)
    elif isinstance(step.args[0], Ref):
        (aliases.reshape if op in SHAPES else aliases.write)(step, step.args[0])


def _operator(step: Step) -> tuple[str, bool]:
    """Name of a step's operator, and whether it writes its result into its first operand."""
    parts = step.target.split(".")
    op = parts[1] if len(parts) > 1 and parts[0] in ("aten", "prims") else step.target
    inplace = op.endswith("_") and not op.startswith("_")
    return (op.rstrip("_") if inplace else op), inplace


def _dispatch(call: Call) -> Any:
    operands = call.tensors()
    if isinstance(call.step.result, list) and call.op in PARTS:
        return [call.trace.part(call.x(), s.dims) for s in call.step.result]
    if all(t.constant for t in operands):
        return constants(call, operands)
    rule = RULES.get(call.op)
    return rule(call) if rule is not None else unknown(call, operands)
