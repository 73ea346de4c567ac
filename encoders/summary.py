"""A compute graph in words: a table of its operators, and one of its stages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from archcast.encoders.graph import ComputeGraph
from archcast.encoders.ops import GROUP_OF, GROUPS

__all__ = ["si", "summary"]

_MOST_NAMED = 4


def summary(graph: ComputeGraph) -> str:
    """Describe a graph in plain text.

    Args:
        graph: any graph.

    Returns:
        Sizes; operators by group with their share of weights and MACs; then, for a network over
        images or sequences, its stages: runs of operators at one resolution.
    """
    facts = [
        ("network", graph.name or "(no name)"),
        ("read from", graph.source or "(unknown)"),
        ("input", _shape(graph.input_shape)),
        ("output", _shape(graph.output_shape)),
        ("operators", f"{len(graph):,}, depth {int(graph.depth.max(initial=0))}"),
        ("edges", f"{len(graph.edges):,}"),
        ("params", f"{si(graph.params)} ({graph.params:,})"),
        ("MACs", f"{si(graph.macs)} ({graph.macs:,})"),
        ("hash", graph.hash),
    ]
    parts = ["\n".join(f"{name:<10} {value}" for name, value in facts), _groups(graph)]
    stages = _stages(graph)
    return "\n\n".join([*parts, stages] if stages else parts)


def si(value: float) -> str:
    """Three significant digits with an SI prefix: ``25.6 M``."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        scaled = value / factor
        if scaled >= 0.9995:
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f} {prefix}"
    return f"{value:g}"


def _groups(graph: ComputeGraph) -> str:
    of_node = np.array(GROUP_OF)[graph.op]
    names = np.array(graph.ops, dtype=object)
    rows = []
    for index, group in enumerate(GROUPS):
        mine = of_node == index
        if group != "io" and mine.any():
            weights, macs = int(graph.op_weights[mine].sum()), int(graph.op_macs[mine].sum())
            rows.append(
                (group, f"{mine.sum():,}", si(weights), si(macs), _most(names[mine].tolist()))
            )
    return table(("operators", "count", "weights", "MACs", "of which"), rows)


def _most(names: Sequence[str]) -> str:
    counts = Counter(names).most_common()
    text = ", ".join(f"{name} {count}" for name, count in counts[:_MOST_NAMED])
    return text + (f", {len(counts) - _MOST_NAMED} others" if len(counts) > _MOST_NAMED else "")


def _stages(graph: ComputeGraph) -> str:
    """Operators that carry weights, by the resolution they give out."""
    weighted = np.flatnonzero(graph.op_weights > 0)
    rows = []
    extents = [tuple(extent) for extent in graph.extent[weighted].tolist()]
    for extent in dict.fromkeys(extents):
        mine = weighted[[other == extent for other in extents]]
        width = graph.channels_out[mine]
        rows.append(
            (
                "x".join(str(size) for size in extent[0 if extent[0] > 1 else 1 :]),
                f"{len(mine):,}",
                f"{width.min()}-{width.max()}" if width.min() < width.max() else f"{width[0]}",
                si(int(graph.op_weights[mine].sum())),
                si(int(graph.op_macs[mine].sum())),
            )
        )
    heads = ("resolution", "weighted", "channels", "weights", "MACs")
    return table(heads, rows) if rows else ""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned with spaces: words to the left, the numbers between to the right."""
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    numeric = [i > 0 and all(row[i][:1].isdigit() for row in rows) for i in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in (heads, *rows)
    )


def _shape(sizes: Sequence[int]) -> str:
    return "x".join(str(size) for size in sizes) or "(unknown)"
