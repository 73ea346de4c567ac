"""One operator in a few words, its widths relative to what enters it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from archcast.encoders.text._nodes import (
    ONES,
    Node,
    Triple,
    expected_channels_in,
    expected_extent,
    expected_macs,
    expected_weights,
)

#: Widths up to this many times what enters are written as a ratio.
_RATIO = 8


def operator_words(node: Node, *, width: bool = True) -> str:
    """``conv 3 x2 s2 g4``: operator, window, channels leaving, stride, dilation, groups, heads.

    Args:
        node: the operator.
        width: whether to say how many channels leave.
    """
    words = [node.name.replace("_", " ") if node.known else json.dumps(node.name)]
    if node.kernel != ONES or node.name.startswith("conv"):
        words.append(window(node.kernel))
    if width and node.channels_out != node.channels_in:
        words.append(_channels(node.channels_in, node.channels_out))
    if node.stride != ONES:
        words.append(f"s{window(node.stride)}")
    if node.dilation != ONES:
        words.append(f"d{window(node.dilation)}")
    if node.groups != 1:
        depthwise = node.groups == node.channels_in == node.channels_out
        words.append("depthwise" if depthwise else f"g{node.groups}")
    if node.heads != 1:
        words.append(f"h{node.heads}")
    return " ".join(words)


def unexpected_words(node: Node, sources: Sequence[Node]) -> str:
    """What the words and the operands leave open, each with a blank before it; mostly nothing."""
    words = []
    expected = expected_channels_in(node.name, sources) if sources else node.channels_out
    if node.channels_in != expected:
        words.append(f" in {node.channels_in}")
    if node.sources and node.extent != expected_extent(node.name, node.stride, sources):
        words.append(f" to {'x'.join(map(str, node.extent))}")
    if node.weights != expected_weights(node):
        words.append(f" weights {node.weights}")
    if node.macs != expected_macs(node):
        words.append(f" macs {node.macs}")
    return "".join(words)


def window(sizes: Triple) -> str:
    """Equal numbers of a flat window as one: ``3``, ``1x7``, ``3x3x3``."""
    flat = sizes[1:] if sizes[0] == 1 else sizes
    if len(flat) == 2 and flat[0] == flat[1]:
        return str(flat[0])
    return "x".join(map(str, flat))


def _channels(entering: int, leaving: int) -> str:
    for small, large, sign in ((entering, leaving, "x"), (leaving, entering, "/")):
        if small > 0 and large % small == 0 and 1 < large // small <= _RATIO:
            return f"{sign}{large // small}"
    return f"c{leaving}"
