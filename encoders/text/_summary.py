"""What is left of a network that is too long for its budget: what each resolution holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from archcast.encoders.graph import _si
from archcast.encoders.text._nodes import Node
from archcast.encoders.text._words import operator_words

#: How many kinds of operators a resolution is described by, from the longest text to the shortest.
_KINDS = (64, 16, 8, 4, 2)


def summaries(nodes: Sequence[Node]) -> Iterator[str]:
    """Ever shorter texts; the last one is a few numbers."""
    head = _totals(nodes)
    places: dict[tuple[int, ...], list[Node]] = {}
    for node in nodes:
        places.setdefault(node.extent, []).append(node)
    for kinds in _KINDS:
        lines = [_place(extent, inside, kinds) for extent, inside in places.items()]
        yield "\n".join([head, *lines])
    for kinds in _KINDS:
        yield f"{head}\n{_kinds(nodes, kinds)}"
    yield head


def _totals(nodes: Sequence[Node]) -> str:
    depth: list[int] = []
    for node in nodes:
        depth.append(1 + max((depth[s] for s in node.sources), default=-1))
    weights, macs = (_short(sum(getattr(n, key) for n in nodes)) for key in ("weights", "macs"))
    return f"{len(nodes)} operators depth {max(depth)} weights {weights} macs {macs}"


def _place(extent: tuple[int, ...], inside: Sequence[Node], kinds: int) -> str:
    """``16x16: c64 to c256, 10 conv 3, 8 relu``."""
    sizes = extent[1:] if extent[0] == 1 else extent
    widths = [node.channels_out for node in inside]
    low, high = min(widths), max(widths)
    width = f"c{low} to c{high}" if low < high else f"c{low}"
    return f"{'x'.join(map(str, sizes))}: {width}, {_kinds(inside, kinds)}"


def _kinds(nodes: Sequence[Node], kinds: int) -> str:
    """The most frequent operators, those with the most arithmetic first among equals."""
    counted: Counter[str] = Counter()
    macs: Counter[str] = Counter()
    for node in nodes:
        words = operator_words(node, width=False)
        counted[words] += 1
        macs[words] += node.macs
    order = sorted(counted, key=lambda words: (-macs[words], -counted[words], words))
    return ", ".join(f"{counted[words]} {words}" for words in order[:kinds])


def _short(number: int) -> str:
    return _si(number).replace(" ", "")
