"""Control flow: branches, loops and scans over sub-graphs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from archcast.encoders.errors import UnreadableModelError
from archcast.zero_cost.source.operators._call import Call, Value, number, operator

_LONGEST = 100_000


def _run(call: Call, body: Any, operands: list[Value]) -> list[Value]:
    assert call.run is not None
    return call.run(body, operands)


@operator("If")
def if_(call: Call, condition: Tensor) -> Any:
    """The branch that the condition takes."""
    branch = "then_branch" if bool(number(condition, 0)) else "else_branch"
    return tuple(_run(call, call.get(branch), []))


@operator("Loop")
def loop(call: Call, trips: Value, condition: Value, *state: Value) -> Any:
    """A body again and again; what it gives beyond its state is stacked."""
    count = len(state)
    limit = int(number(trips, _LONGEST))
    if limit > _LONGEST and condition is None:
        raise UnreadableModelError(f"operator Loop: {limit} rounds are too many")
    going = True if condition is None else bool(number(condition, 1))
    values, rows, at = list(state), [], 0
    while going and at < min(limit, _LONGEST):
        given = torch.tensor(going)
        results = _run(call, call.get("body"), [torch.tensor(at), given, *values])
        going = bool(number(results[0], 1))
        values = results[1 : 1 + count]
        rows.append(results[1 + count :])
        at += 1
    if not rows:
        return (*values, *[torch.zeros(0)] * (call.outputs - count))
    return (*values, *(torch.stack(column) for column in zip(*rows, strict=True)))


@operator("Scan")
def scan(call: Call, *operands: Value) -> Any:
    """A body over the slices of some tensors."""
    scanned = call.get("num_scan_inputs")
    split = len(operands) - scanned
    state, sources = list(operands[:split]), operands[split:]
    axes = call.get("scan_input_axes", [0] * scanned)
    ways = call.get("scan_input_directions", [0] * scanned)
    rounds = sources[0].shape[axes[0]]
    rows = []
    for t in range(rounds):
        parts = [
            source.select(axis, rounds - 1 - t if way else t)
            for source, axis, way in zip(sources, axes, ways, strict=True)
        ]
        results = _run(call, call.get("body"), [*state, *parts])
        state = results[:split]
        rows.append(results[split:])
    columns = list(zip(*rows, strict=True))
    places = call.get("scan_output_axes", [0] * len(columns))
    turned = call.get("scan_output_directions", [0] * len(columns))
    stacked = [
        torch.stack(column[::-1] if back else column, axis)
        for column, axis, back in zip(columns, places, turned, strict=True)
    ]
    return (*state, *stacked)
