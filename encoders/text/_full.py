"""The whole network as text: chains of calls with every attribute and parameter shape."""

from __future__ import annotations

import json
from collections.abc import Sequence

from archcast.encoders.text._nodes import (
    ONES,
    Node,
    chains,
    expected_channels_in,
    expected_extent,
    expected_macs,
    expected_weights,
    parameter_shape,
)

ARROW = " --> "


def shape_text(channels: int, extent: Sequence[int]) -> str:
    """``64x32x32``: channels and positions, leading ones of the positions left out."""
    sizes = list(extent)
    while sizes and sizes[0] == 1:
        sizes.pop(0)
    return "x".join(map(str, [channels, *sizes]))


def full(nodes: Sequence[Node]) -> str:
    """One line a chain; see :func:`archcast.encoders.text.serialise`."""
    labels: dict[int, str] = {}
    lines = []
    for chain in chains(nodes):
        calls = []
        for place, index in enumerate(chain):
            node = nodes[index]
            operands = ["prev"] if place else [labels[s] for s in node.sources]
            calls.append(_call(node, operands, [nodes[s] for s in node.sources]))
        last = nodes[chain[-1]]
        if last.users:
            label = f"Value{len(labels)}"
            labels[chain[-1]] = label
            calls.append(f"{label}:{shape_text(last.channels_out, last.extent)}")
        lines.append(ARROW.join(calls))
    return "\n".join(lines)


def _call(node: Node, operands: list[str], sources: Sequence[Node]) -> str:
    name = node.name if node.known else json.dumps(node.name)
    shape = parameter_shape(node)
    if shape:
        operands = [*operands, f"Param[{','.join(map(str, shape))}]"]
    attributes = ", ".join(f"{key}={value}" for key, value in _attributes(node, sources))
    return f"{name}({', '.join(operands)})" + (f"({attributes})" if attributes else "")


def _attributes(node: Node, sources: Sequence[Node]) -> list[tuple[str, str]]:
    """What neither the parameter's shape nor the operands say."""
    shape = parameter_shape(node)
    found: list[tuple[str, str]] = []
    for key in ("kernel", "stride", "dilation"):
        value = getattr(node, key)
        implied = key == "kernel" and len(shape) > 2
        if value != ONES and not implied:
            found.append((key, _triple(value)))
    found += [
        (key, str(getattr(node, key))) for key in ("groups", "heads") if getattr(node, key) != 1
    ]
    expected_in = expected_channels_in(node.name, sources)
    if node.channels_in != (expected_in if not shape else _implied_in(node, shape)):
        found.append(("in", str(node.channels_in)))
    if not shape and node.channels_out != node.channels_in:
        found.append(("out", str(node.channels_out)))
    if node.extent != expected_extent(node.name, node.stride, sources):
        found.append(("size", "x".join(map(str, node.extent))))
    if node.weights != expected_weights(node):
        found.append(("weights", str(node.weights)))
    if node.macs != expected_macs(node):
        found.append(("macs", str(node.macs)))
    return found


def _implied_in(node: Node, shape: tuple[int, ...]) -> int:
    return shape[1] * (node.groups if len(shape) > 2 else 1)


def _triple(value: Sequence[int]) -> str:
    """Equal numbers as one; a flat window as two."""
    window = value[1:] if value[0] == 1 else value
    if len(window) == 2 and window[0] == window[1]:
        return str(window[0])
    return "x".join(map(str, window))
