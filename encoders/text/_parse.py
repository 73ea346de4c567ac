"""From a text back to its graph: what proves that the text lost nothing."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from archcast.encoders.errors import UnreadableModelError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.ops import OP_ID
from archcast.encoders.text._full import ARROW
from archcast.encoders.text._nodes import (
    CONVS,
    ONES,
    Node,
    Triple,
    expected_channels_in,
    expected_extent,
    expected_macs,
    expected_weights,
)

_CALL: Final = re.compile(
    r'(?P<name>"(?:[^"\\]|\\.)*"|[a-z0-9_]+)\((?P<operands>[^()]*)\)(?:\((?P<attributes>[^()]*)\))?'
)
_LABEL: Final = re.compile(r"(Value\d+):[\dx]+")


def parse(text: str) -> ComputeGraph:
    """The graph of a text that :func:`~archcast.encoders.text.serialise` wrote without a budget.

    Args:
        text: the text; texts that were reduced to a budget do not hold a whole graph.

    Returns:
        A graph equal to the one written; without its name, source and number of parameters.

    Raises:
        UnreadableModelError: not such a text.
    """
    nodes: list[Node] = []
    labels: dict[str, int] = {}
    try:
        for line in text.splitlines():
            for part in _calls(line):
                label = _LABEL.fullmatch(part)
                if label:
                    labels[label[1]] = len(nodes) - 1
                else:
                    nodes.append(_node(part, labels, nodes))
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise UnreadableModelError(
            f"not a text of serialise() without a budget ({error})"
        ) from error
    if not nodes:
        raise UnreadableModelError("an empty text holds no network")
    return _graph(nodes)


def _calls(line: str) -> list[str]:
    """Parts of a line; an arrow inside a quoted name is none."""
    parts = [line] if '"' not in line else []
    if parts:
        return line.split(ARROW)
    at = 0
    while at < len(line):
        match = _CALL.match(line, at) or _LABEL.match(line, at)
        if match is None:
            raise ValueError(line[at : at + 40])
        parts.append(match[0])
        at = match.end() + len(ARROW)
    return parts


def _node(text: str, labels: dict[str, int], nodes: list[Node]) -> Node:
    match = _CALL.fullmatch(text)
    if match is None:
        raise ValueError(text[:40])
    quoted = match["name"].startswith('"')
    name = json.loads(match["name"]) if quoted else match["name"]
    words = re.findall(r"Param\[[\d,]*\]|\w+", match["operands"])
    given = dict(pair.split("=") for pair in (match["attributes"] or "").split(", ") if pair)
    sources = [
        len(nodes) - 1 if word == "prev" else labels[word]
        for word in words
        if not word.startswith("Param")
    ]
    shapes = [[int(v) for v in re.findall(r"\d+", w)] for w in words if w.startswith("Param")]
    return _filled(name, not quoted, sources, shapes[0] if shapes else [], given, nodes)


def _filled(
    name: str,
    known: bool,
    sources: list[int],
    shape: list[int],
    given: dict[str, str],
    nodes: list[Node],
) -> Node:
    """A node whose unsaid attributes are what is to be expected."""
    operands = [nodes[s] for s in sources]
    windows: dict[str, Any] = {
        key: _triple(given[key]) if key in given else ONES
        for key in ("kernel", "stride", "dilation")
    }
    if len(shape) > 2:
        windows["kernel"] = _padded(shape[2:])
    groups = int(given.get("groups", 1))
    into = expected_channels_in(name, operands)
    if shape:
        into = shape[1] * (groups if name in CONVS else 1)
    into = int(given.get("in", into))
    out = shape[0] if shape else int(given.get("out", into))
    extent = expected_extent(name, windows["stride"], operands)
    if "size" in given:
        extent = _padded([int(v) for v in given["size"].split("x")])
    heads = int(given.get("heads", 1))
    node = Node(name, known, **windows, groups=groups, heads=heads, channels_in=into,
                channels_out=out, extent=extent, weights=0, macs=0, sources=sources)  # fmt: skip
    node.weights = int(given.get("weights", expected_weights(node)))
    node.macs = int(given.get("macs", expected_macs(node)))
    return node


def _triple(text: str) -> Triple:
    sizes = [int(v) for v in text.split("x")]
    return _padded(sizes * 2 if len(sizes) == 1 else sizes)


def _padded(sizes: list[int]) -> Triple:
    depth, height, width = [1] * (3 - len(sizes)) + sizes
    return depth, height, width


def _graph(nodes: list[Node]) -> ComputeGraph:
    columns: dict[str, Any] = {
        "op": [OP_ID[node.name] if node.known else OP_ID["other"] for node in nodes],
        "op_weights": [node.weights for node in nodes],
        "op_macs": [node.macs for node in nodes],
    }
    same = ("kernel", "stride", "dilation", "groups", "heads", "channels_in", "channels_out")
    columns |= {key: [getattr(node, key) for node in nodes] for key in (*same, "extent")}
    edges = [(source, at) for at, node in enumerate(nodes) for source in node.sources]
    labels = {at: node.name for at, node in enumerate(nodes) if not node.known}
    return ComputeGraph.from_columns(columns, edges, labels=labels)
