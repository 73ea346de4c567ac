"""The whole network in few words: repeated blocks are written once, with how often they come.

The network is cut where everything goes through one operator. What lies between two cuts is a
block, its text relative to the channels that enter it: so equal blocks are equal texts at every
width, runs of them are counted, and blocks that come back later go by a name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from archcast.encoders.text._block import block_text, letters
from archcast.encoders.text._full import shape_text
from archcast.encoders.text._nodes import Node

#: Longest run of blocks that may repeat as a whole.
_PERIOD = 64
#: Characters that a repetition has to save.
_WORTH = 16
_NEXT = " "


@dataclass(frozen=True, slots=True)
class Block:
    """What lies between two cuts.

    Attributes:
        text: its operators.
        shape: channels and positions that leave it.
    """

    text: str
    shape: str


def folded(nodes: Sequence[Node]) -> str:
    """See :func:`archcast.encoders.text.serialise`."""
    blocks = _blocks(nodes)
    texts = [block.text for block in blocks]
    runs = [(tuple(texts[at : at + period]), times, at + period * times - 1)
            for at, period, times in _runs(texts)]  # fmt: skip
    uses = Counter(body for body, *_ in runs)
    names: dict[tuple[str, ...], str] = {}
    lines: list[str] = []
    shape = ""
    for body, times, last in runs:
        head = f"{blocks[last].shape}: " if blocks[last].shape != shape else ""
        shape = blocks[last].shape
        lines.append(head + _item(body, times, uses[body], names))
    return _joined(lines)


def _item(body: tuple[str, ...], times: int, uses: int, names: dict[tuple[str, ...], str]) -> str:
    """A run of a body, which gets a name where that makes the text shorter."""
    text = _NEXT.join(body)
    if body not in names:
        if times == 1 and (uses == 1 or len(text) < _WORTH):
            return text
        names[body] = letters(len(names)).upper()
        text = f"{names[body]} {{ {text} }}"
    else:
        text = names[body]
    return f"{times} {text}" if times > 1 else text


def _joined(lines: list[str]) -> str:
    """Items of one shape on one line."""
    text = ""
    for line in lines:
        separator = "" if not text else ("\n" if _has_shape(line) else _NEXT)
        text += separator + line
    return text


def _has_shape(line: str) -> bool:
    head, colon, _ = line.partition(": ")
    return bool(colon) and head.replace("x", "").isdigit()


def _blocks(nodes: Sequence[Node]) -> list[Block]:
    found, start = [], 0
    for cut in _cuts(nodes):
        last = nodes[cut]
        text = block_text(nodes, start, cut)
        found.append(Block(text, shape_text(last.channels_out, last.extent)))
        start = cut + 1
    return found


def _cuts(nodes: Sequence[Node]) -> list[int]:
    """Operators such that no edge leads past them, and the last operator."""
    furthest, cuts = -1, []  # the furthest target of an edge from before this operator
    targets = [-1] * len(nodes)
    for index, node in enumerate(nodes):
        for source in node.sources:
            targets[source] = max(targets[source], index)
    for index in range(len(nodes)):
        if furthest <= index and (nodes[index].users or index == len(nodes) - 1):
            cuts.append(index)
        furthest = max(furthest, targets[index])
    if not cuts or cuts[-1] != len(nodes) - 1:
        cuts.append(len(nodes) - 1)
    return cuts


def _runs(texts: Sequence[str]) -> list[tuple[int, int, int]]:
    """Start, period and number of repetitions, from left to right; no run is inside another."""
    number = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    ids = [number[text] for text in texts]
    found, at = [], 0
    while at < len(ids):
        period, times = 1, 1
        for length in range(1, min(_PERIOD, (len(ids) - at) // 2) + 1):
            repeated = _repetitions(ids, at, length) if ids[at + length] == ids[at] else 1
            body = texts[at : at + length]
            if sum(map(len, body)) * (repeated - 1) >= _WORTH and _plain(body):
                period, times = length, repeated
                break
        found.append((at, period, times))
        at += period * times
    return found


def _plain(body: Sequence[str]) -> bool:
    """Whether nothing inside repeats."""
    return len(body) == 1 or all(times == 1 for _, _, times in _runs(body))


def _repetitions(ids: Sequence[int], at: int, period: int) -> int:
    """How often the run of that many blocks comes, one after the other."""
    body, times = ids[at : at + period], 1
    while ids[at + times * period : at + (times + 1) * period] == body:
        times += 1
    return times
