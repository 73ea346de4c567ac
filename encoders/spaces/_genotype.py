"""Genotypes: a normal and a reduction cell, and the ways people write them."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from archcast.encoders._words import shown
from archcast.encoders.errors import InvalidSpecError

#: Operator position and the state it reads.
Edge = tuple[int, int]
#: The edges of a cell, two for each node, sorted inside the node.
Cell = tuple[Edge, ...]

_PARTS: Final = ("normal", "normal_concat", "reduce", "reduce_concat")
#: Longer texts are no genotype, and nesting without end would exhaust the parser.
_LONGEST: Final = 5000


class Genotype(NamedTuple):
    """A parsed genotype.

    Attributes:
        normal: edges of the cell that keeps the image's size.
        reduce: edges of the cell that halves it.
    """

    normal: Cell
    reduce: Cell


def parts_of(spec: Any, space: str) -> dict[str, Any]:
    """Bring any written form of a genotype to its parts, unchecked.

    Args:
        spec: ``normal=<op>~<state>,...;reduce=...``, the text ``Genotype(normal=[('<op>', 0),
            ...], normal_concat=..., reduce=..., reduce_concat=...)``, such a named tuple, or a
            mapping.
        space: named in messages.

    Returns:
        ``normal`` and ``reduce``, and ``normal_concat`` and ``reduce_concat`` where given.

    Raises:
        InvalidSpecError: it is none of these.
    """
    if hasattr(spec, "_asdict"):
        spec = spec._asdict()
    if isinstance(spec, str):
        text = spec.strip().removeprefix(f"{space}:")
        spec = _call(text, space) if text.startswith("Genotype") else _short(text, space)
    if not isinstance(spec, Mapping):
        raise InvalidSpecError(
            f"{space}: {shown(spec)} is neither a text, a genotype nor a mapping"
        )
    for key in spec:
        if key not in _PARTS:
            raise InvalidSpecError(f"{space}: no part {shown(key)}; parts are {', '.join(_PARTS)}")
    for key in ("normal", "reduce"):
        if key not in spec:
            raise InvalidSpecError(f"{space}: the {key} cell is missing")
    return dict(spec)


def _short(text: str, space: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in text.split(";"):
        name, equals, edges = part.partition("=")
        if not equals:
            raise InvalidSpecError(
                f"{space}: {shown(text)} does not read normal=<operator>~<state>,...;reduce=..."
            )
        pairs = (edge.strip().rpartition("~") for edge in edges.split(","))
        found[name.strip()] = [(operator, state) for operator, _, state in pairs]
    return found


def _call(text: str, space: str) -> dict[str, Any]:
    """The arguments of a written ``Genotype(...)``; nothing is executed."""
    try:
        if len(text) > _LONGEST:
            raise ValueError("too long")
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("no call")
        named = {keyword.arg or "**": keyword.value for keyword in call.keywords}
        named |= dict(zip(_PARTS, call.args, strict=False))
        return {name: _literal(node) for name, node in named.items()}
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise InvalidSpecError(
            f"{space}: {shown(text)} does not read Genotype(normal=[('<operator>', <state>), ...], "
            "normal_concat=..., reduce=[...], reduce_concat=...)"
        ) from error


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        return range(*(ast.literal_eval(argument) for argument in node.args))
    return ast.literal_eval(node)


class CellReader:
    """Checks the written edges of a cell.

    Args:
        space: named in messages.
        operators: names of operators; an edge holds positions here.
        nodes: nodes of a cell.
        distinct: whether a node's two edges must read different states.
    """

    def __init__(self, space: str, operators: tuple[str, ...], nodes: int, distinct: bool) -> None:
        self._space, self._operators, self._nodes = space, operators, nodes
        self._distinct = distinct
        self._edges = {
            (name, str(state)): (op, state)
            for op, name in enumerate(operators)
            for state in range(nodes + 1)
        }

    def cell(self, kind: str, written: Any) -> Cell:
        """Read a list of pairs of operator and state.

        Args:
            kind: ``normal`` or ``reduce``, named in messages.
            written: two pairs a node.

        Raises:
            InvalidSpecError: it is no such list; the message names the faulty part.
        """
        # A range is no list of pairs, and the length of a long one overflows.
        listed = isinstance(written, Sequence) and not isinstance(written, range)
        if not listed or len(written) != 2 * self._nodes:
            count = len(written) if listed else "no"
            raise InvalidSpecError(
                f"{self._space}: the {kind} cell has {count} edges, not {2 * self._nodes}"
            )
        edges = [self._edge(kind, place // 2, edge) for place, edge in enumerate(written)]
        cell: list[Edge] = []
        for node in range(self._nodes):
            first, second = edges[2 * node : 2 * node + 2]
            if self._distinct and first[1] == second[1]:
                raise InvalidSpecError(
                    f"{self._space}: node {node + 2} of the {kind} cell "
                    f"reads state {first[1]} twice"
                )
            cell += ordered(first, second)
        return tuple(cell)

    def _edge(self, kind: str, node: int, written: Any) -> Edge:
        try:
            name, state = written
            edge = self._edges.get((name, str(state)))
        except (TypeError, ValueError) as error:
            raise InvalidSpecError(
                f"{self._space}: {shown(written)} in the {kind} cell is no pair of operator "
                "and state"
            ) from error
        if edge is None and name not in self._operators:
            known = ", ".join(self._operators)
            raise InvalidSpecError(f"{self._space}: unknown operator {shown(name)}; known: {known}")
        if edge is None or edge[1] > node + 1:
            raise InvalidSpecError(
                f"{self._space}: node {node + 2} of the {kind} cell cannot read state "
                f"{shown(state)}; "
                f"states 0 to {node + 1} are before it"
            )
        return edge


def ordered(first: Edge, second: Edge) -> tuple[Edge, Edge]:
    """Two edges of a node: by state, then by operator."""
    swap = (first[1], first[0]) > (second[1], second[0])
    return (second, first) if swap else (first, second)
