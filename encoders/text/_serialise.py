"""``serialise``: a graph as text, whole or within a budget of tokens."""

from __future__ import annotations

import re
from collections.abc import Callable

from archcast.encoders.errors import InvalidSettingError
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.text._folded import folded
from archcast.encoders.text._full import full
from archcast.encoders.text._nodes import nodes_of
from archcast.encoders.text._summary import summaries

_LEAST = 32
_TOKEN = re.compile(r"[A-Za-z]+|\d{1,3}|[^\w\s]|_")


def count_tokens(text: str) -> int:
    """Words, groups of up to three digits, and signs: about what a language model's tokens are."""
    return len(_TOKEN.findall(text))


def serialise(
    graph: ComputeGraph,
    budget: int | None = None,
    *,
    count: Callable[[str], int] = count_tokens,
) -> str:
    """A network as text, after ONNX-Net's ``chain_slim`` with its losses mended.

    Without a budget the text is whole: a line is a chain of operators in which each continues the
    one before (``relu(prev) --> conv(prev, Param[64,32,3,3])(stride=2) --> Value4:64x16x16``).
    Parameter shapes, strides, groups, heads and all other attributes are there, every operand is
    named, and equal graphs give equal texts; :func:`~archcast.encoders.text.parse` reads it back.

    With a budget the text is the first of these that fits; none is cut off in its middle:

    1. blocks between operators that everything passes through, written once with how often they
       follow each other (``5 A { | relu conv 3 = a; add a x }``) and by name later; widths relative
       to what enters (``x2``, ``/4``), so that a block is the same at every width;
    2. operators counted at each resolution, all kinds of them and then ever fewer;
    3. operators counted over the network; and the numbers of operators, weights and MACs alone.

    Different graphs have different texts, except where the budget forced a summary.

    Args:
        graph: the network.
        budget: most tokens; None for the whole text.
        count: how many tokens a text has; give that of the language model.

    Returns:
        The text; several lines.

    Raises:
        InvalidSettingError: a budget below 32 tokens.

    Reference:
        Kadlecová et al., "ONNX-Net: Towards Universal Representations and Instant Performance
        Prediction for Neural Architectures", 2025 (the serialisation this one starts from).
    """
    if budget is not None and budget < _LEAST:
        raise InvalidSettingError(f"a budget of {budget} tokens holds no network; give {_LEAST}")
    nodes = nodes_of(graph)
    if budget is None:
        return full(nodes)
    text = folded(nodes)
    if count(text) <= budget:
        return text
    for text in summaries(nodes):
        if count(text) <= budget:
            break
    return text
