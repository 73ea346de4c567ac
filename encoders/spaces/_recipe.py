"""Recipes of recurrent cells: nodes checked, brought into an order, and named by it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

#: Operators, and how many inputs each takes.
OPERATORS: Final[dict[str, tuple[int, ...]]] = {
    "linear": (1, 2, 3),
    "blend": (3,),
    "elementwise_prod": (2, 3),
    "elementwise_sum": (2, 3),
    "activation_tanh": (1,),
    "activation_sigm": (1,),
    "activation_leaky_relu": (1,),
}
_STATE: Final = re.compile(r"h_new_(0|[1-9]\d{0,3})", re.ASCII)


class RecipeError(ValueError):
    """A recipe that stands for no cell; the message names the faulty node."""


class Node(NamedTuple):
    """A value of the cell.

    Attributes:
        name: ``h_new_<i>`` for a new state.
        op: one of :data:`OPERATORS`.
        inputs: ``x``, ``h_prev_<i>`` or names of other nodes.
    """

    name: str
    op: str
    inputs: tuple[str, ...]


#: Nodes in an order in which each comes after what it reads.
Recipe = tuple[Node, ...]


def ordered(nodes: Sequence[Node]) -> Recipe:
    """Check a recipe and order it; nodes that are no states are named by their places.

    Raises:
        RecipeError: it stands for no cell.
    """
    by_name = {node.name: node for node in nodes}
    if len(by_name) < len(nodes):
        raise RecipeError("two nodes have one name")
    states = sorted(int(m[1]) for m in map(_STATE.fullmatch, by_name) if m)
    if not states or states != list(range(len(states))):
        raise RecipeError("new states are h_new_0, h_new_1, ... without a gap, and at least one")
    previous = {f"h_prev_{i}" for i in states}
    for node in nodes:
        _check(node, by_name.keys() | previous | {"x"})
    known = {name: name for name in ("x", *previous)}
    found: list[Node] = []
    waiting = list(nodes)
    while waiting:
        node = next((n for n in waiting if all(i in known for i in n.inputs)), None)
        if node is None:
            raise RecipeError(f"node {waiting[0].name!r} depends on itself")
        waiting.remove(node)
        own = node.name if _STATE.fullmatch(node.name) else f"n{len(found)}"
        known[node.name] = own
        found.append(Node(own, node.op, tuple(known[i] for i in node.inputs)))
    return tuple(found)


def _check(node: Node, known: set[str]) -> None:
    if node.name in ("x", "") or node.name.startswith("h_prev_"):
        raise RecipeError(f"a node cannot be called {node.name!r}")
    if node.op not in OPERATORS:
        raise RecipeError(
            f"node {node.name!r}: no operator {node.op!r}; known: {', '.join(OPERATORS)}"
        )
    if len(node.inputs) not in OPERATORS[node.op]:
        raise RecipeError(f"node {node.name!r}: {node.op} cannot have {len(node.inputs)} inputs")
    for name in node.inputs:
        if name not in known:
            raise RecipeError(f"node {node.name!r} reads {name!r}, which is nowhere")
    if "x" in node.inputs and node.op != "linear":
        raise RecipeError(f"node {node.name!r}: only linear reads x, which has a size of its own")
