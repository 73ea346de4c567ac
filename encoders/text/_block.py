"""One block of a network as text: what lies between two operators that everything goes through."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from archcast.encoders._canonical import refine
from archcast.encoders.text._full import shape_text
from archcast.encoders.text._nodes import Node, chains
from archcast.encoders.text._words import operator_words, unexpected_words


def block_text(nodes: Sequence[Node], start: int, cut: int) -> str:
    """Chains of a block after a bar; ``x`` is what enters it, letters are values inside.

    Chains come in the order of their texts, as far as what they read allows: not in the graph's
    order, which changes with the width.
    """
    inside = range(start, cut + 1)
    entering, labels = start - 1, {start - 1: "x"}
    waiting = _local_chains(nodes, inside)
    colours = _local_colours(nodes, inside) if len(waiting) > 1 else [0] * len(inside)
    missing = {chain[0]: set(nodes[chain[0]].sources) - {entering} for chain in waiting}
    readers: dict[int, list[list[int]]] = {}
    for chain in waiting:
        for source in missing[chain[0]]:
            readers.setdefault(source, []).append(chain)
    ready = [c for c in waiting if not missing[c[0]]]
    heap = [(_statement(nodes, c, labels, entering), colours[c[0] - start], c) for c in ready]
    heapq.heapify(heap)
    statements = []
    while heap:
        text, _, chain = heapq.heappop(heap)
        last = chain[-1]
        if last != cut and nodes[last].users:
            labels[last] = letters(len(labels) - 1)
            text += f" = {labels[last]}"
        statements.append(text)
        for reader in readers.get(last, ()):
            missing[reader[0]].discard(last)
            if not missing[reader[0]]:
                new = _statement(nodes, reader, labels, entering)
                heapq.heappush(heap, (new, colours[reader[0] - start], reader))
    # Without the bar it would be open which of the operators before it ``x`` is.
    bar = "| " if start else ""
    return bar + "; ".join(statements)


def _local_colours(nodes: Sequence[Node], inside: range) -> list[int]:
    """What leads to and follows each operator of a block, whatever its width."""
    own = []
    for index in inside:
        sources = [nodes[s] for s in nodes[index].sources]
        words = operator_words(nodes[index]) + unexpected_words(nodes[index], sources)
        words += "x" * nodes[index].sources.count(inside.start - 1)
        own.append(int.from_bytes(blake2b(words.encode(), digest_size=8).digest(), "little"))
    edges = [(s - inside.start, i - inside.start) for i in inside for s in nodes[i].sources]
    edges = [edge for edge in edges if edge[0] >= 0]
    return refine(np.array(own, np.uint64), np.array(edges, np.int64).reshape(-1, 2))[0]


def _statement(
    nodes: Sequence[Node], chain: Sequence[int], labels: Mapping[int, str], entering: int
) -> str:
    parts = []
    for place, index in enumerate(chain):
        node = nodes[index]
        words = operator_words(node)
        if not node.sources:
            words += f" {shape_text(node.channels_out, node.extent)}"
        elif place == 0 and node.sources != [entering]:
            words += "".join(f" {label}" for label in sorted(labels[s] for s in node.sources))
        parts.append(words + unexpected_words(node, [nodes[s] for s in node.sources]))
    return " ".join(parts)


def _local_chains(nodes: Sequence[Node], inside: range) -> list[list[int]]:
    """:func:`chains` of one block; what reads the operator before it starts a chain."""
    shifted = [_Moved(nodes[i], [s - inside.start for s in nodes[i].sources]) for i in inside]
    return [[i + inside.start for i in chain] for chain in chains(shifted)]


@dataclass(slots=True)
class _Moved:
    node: Node
    sources: list[int]

    @property
    def users(self) -> int:
        return self.node.users


def letters(number: int) -> str:
    """``a`` to ``w`` and ``y``, ``z`` (``x`` is what enters), then with a number."""
    alphabet = "abcdefghijklmnopqrstuvwyz"
    round_, letter = divmod(number, len(alphabet))
    return alphabet[letter] + (str(round_) if round_ else "")
