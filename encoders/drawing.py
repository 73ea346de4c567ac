"""Pictures of a compute graph: Graphviz source, or a stand-alone SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from archcast.encoders import _layout
from archcast.encoders.graph import ComputeGraph
from archcast.encoders.ops import GROUP_OF, GROUPS
from archcast.encoders.summary import si

__all__ = ["COLOURS", "describe", "to_dot", "to_svg"]

#: Operator group -> fill colour. Light enough for black text, apart enough to tell them.
COLOURS: Final[dict[str, str]] = {
    "io": "#e4e4e4",
    "conv": "#a8cbf0",
    "linear": "#b9b6f0",
    "attention": "#e8b0e2",
    "recurrent": "#e5b5cb",
    "embedding": "#cdbff5",
    "norm": "#d3e4ee",
    "activation": "#f9d6a2",
    "pool": "#a8dfbf",
    "add": "#f4b8b1",
    "mul": "#f9cdb9",
    "concat": "#efe59b",
    "resize": "#c5e6a3",
    "math": "#e0d6c2",
    "route": "#c9e5e3",
    "other": "#ffffff",
}
#: A picture with more operators than this is cut off, and says so.
MOST_NODES: Final = 2_000
_NAMES: Final = tuple(GROUPS)
_HEIGHT, _PITCH, _MARGIN, _TOP = 26.0, 44.0, 24.0, 84.0
_BY = "\N{MULTIPLICATION SIGN}"
_CHAR = 6.8  # mean width of a character of the 11 px font, in pixels
_SWATCH = 14.0
_STYLE = (
    "text{font-family:Helvetica,Arial,sans-serif;font-size:11px;fill:#222}"
    ".t{font-size:15px;font-weight:bold}.d{fill:#555}"
    "rect{stroke:#000;stroke-opacity:.3}path{fill:none;stroke:#8a8a8a;stroke-width:1.1}"
    "#a path{fill:#8a8a8a;stroke:none}"
)


def to_dot(graph: ComputeGraph) -> str:
    """The graph in Graphviz's language, operators coloured by group.

    Args:
        graph: any graph.

    Returns:
        Source for ``dot``, as in ``dot -Tpdf``.
    """
    lines = [
        f'digraph "{_quoted(graph.name or "network")}" {{',
        '  node [shape=box style="rounded,filled" fontname="Helvetica" fontsize=11];',
        '  edge [color="#8a8a8a" arrowsize=0.6];',
    ]
    for i, label in enumerate(describe(graph)):
        text = _quoted(" ".join(label).strip())
        lines.append(f'  n{i} [label="{text}" fillcolor="{COLOURS[_group(graph, i)]}"];')
    lines += [f"  n{a} -> n{b};" for a, b in graph.edges.tolist()]
    return "\n".join([*lines, "}", ""])


def to_svg(graph: ComputeGraph, max_nodes: int = MOST_NODES) -> str:
    """The graph as a stand-alone SVG picture: input on top, one row for each depth.

    Args:
        graph: any graph.
        max_nodes: only this many operators are drawn, the first in order of depth; a line at
            the bottom tells how many are missing.

    Returns:
        An SVG document.
    """
    n = min(len(graph), max_nodes)
    labels = describe(graph)[:n]
    widths = [max(60.0, _CHAR * len(" ".join(label)) + 22) for label in labels]
    edges = [(a, b) for a, b in graph.edges.tolist() if a < n and b < n]
    layout = _layout.place(graph.depth[:n].tolist(), edges, widths)
    groups = [name for name in _NAMES if name in {_group(graph, i) for i in range(n)}]
    heading = _heading(graph)
    width = max(layout.width, _legend_width(groups), 9 * len(heading)) + 2 * _MARGIN
    height = _TOP + _PITCH * (max(layout.row, default=0) + 1) + _MARGIN
    x = [value + (width - layout.width) / 2 for value in layout.x]
    y = [_TOP + _PITCH * r + _HEIGHT / 2 for r in layout.row]
    body = [
        f'<text class="t" x="{_MARGIN:g}" y="30">{_text(heading)}</text>',
        *_legend(groups),
        *_edges(layout, x, y, n),
        *(_node(label, _group(graph, i), x[i], y[i], widths[i]) for i, label in enumerate(labels)),
    ]
    if n < len(graph):
        rest = f"… and {len(graph) - n:,} more operators that are not drawn"
        body.append(f'<text class="t" x="{_MARGIN:g}" y="{height - 10:.0f}">{rest}</text>')
    return _document(heading, body, width, height)


def describe(graph: ComputeGraph) -> list[tuple[str, str]]:
    """What each operator is.

    Args:
        graph: any graph.

    Returns:
        (N,) name and particulars, as in ``("conv", "7x7 /2 3→64 @ 112x112")``: window,
        stride, channels, positions leaving.
    """
    columns = (graph.kernel, graph.stride, graph.dilation, graph.channels_in)
    columns += (graph.channels_out, graph.extent, graph.groups, graph.heads)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [
        (name, " ".join(part for part in _particulars(*row) if part))
        for name, row in zip(graph.ops, rows, strict=True)
    ]


def _particulars(
    kernel: list[int],
    stride: list[int],
    dilation: list[int],
    channels_in: int,
    channels_out: int,
    extent: list[int],
    groups: int,
    heads: int,
) -> Iterator[str]:
    yield _times(kernel)
    yield f"/{_step(stride)}" if max(stride) > 1 else ""
    yield f"dilation {_step(dilation)}" if max(dilation) > 1 else ""
    channels = f"{channels_in}→{channels_out}" if channels_in != channels_out else channels_out
    yield f"{channels} @ {_times(extent)}" if _times(extent) else f"{channels}"
    yield f"groups {groups}" if groups > 1 else ""
    yield f"heads {heads}" if heads > 1 else ""


def _step(sizes: list[int]) -> str:
    """``2`` for an equal step in height and width, else as :func:`_times`."""
    depth, height, width = sizes
    return str(height) if depth == 1 and height == width else _times(sizes)


def _times(sizes: list[int]) -> str:
    """``3x3``, with a true multiplication sign; nothing where all are 1."""
    depth, height, width = sizes
    if depth > 1:
        return _BY.join(map(str, sizes))
    return f"{height}{_BY}{width}" if max(height, width) > 1 else ""


def _group(graph: ComputeGraph, index: int) -> str:
    return _NAMES[GROUP_OF[int(graph.op[index])]]


def _heading(graph: ComputeGraph) -> str:
    name = graph.name or "network"
    sizes = _BY.join(str(size) for size in graph.input_shape)
    facts = f"{len(graph)} operators, {si(graph.params)} params, {si(graph.macs)} MACs"
    return f"{name}: {facts}, input {sizes}" if sizes else f"{name}: {facts}"


def _legend_width(groups: Sequence[str]) -> float:
    return sum(_SWATCH + 20 + _CHAR * len(name) for name in groups)


def _legend(groups: Sequence[str]) -> Iterator[str]:
    x = _MARGIN
    for name in groups:
        yield (
            f'<rect x="{x:.0f}" y="46" width="{_SWATCH:g}" height="{_SWATCH:g}" rx="3" '
            f'fill="{COLOURS[name]}"/>'
            f'<text x="{x + _SWATCH + 5:.0f}" y="57">{name}</text>'
        )
        x += _SWATCH + 20 + _CHAR * len(name)


def _node(label: tuple[str, str], group: str, x: float, y: float, width: float) -> str:
    name, detail = (_text(part) for part in label)
    return (
        f'<g><rect x="{x - width / 2:.1f}" y="{y - _HEIGHT / 2:.1f}" width="{width:.1f}" '
        f'height="{_HEIGHT:g}" rx="6" fill="{COLOURS[group]}"/>'
        f'<text x="{x - width / 2 + 10:.1f}" y="{y + 4:.1f}">{name} '
        f'<tspan class="d">{detail}</tspan></text></g>'
    )


def _edges(
    layout: _layout.Layout, x: Sequence[float], y: Sequence[float], nodes: int
) -> Iterator[str]:
    """One path for everything that leaves a node, then the arrow heads."""
    strokes: dict[int, list[str]] = {}
    heads: list[str] = []
    for start, (a, b) in layout.segments:
        top = y[a] + (_HEIGHT / 2 if a < nodes else -_HEIGHT / 2)
        # A lane runs straight down beside its row and bends only in the gap below it.
        bend = y[a] + _HEIGHT / 2
        end = y[b] - _HEIGHT / 2
        middle = (bend + end) / 2
        strokes.setdefault(start, []).append(
            f"M{x[a]:.1f} {top:.1f}V{bend:.1f}"
            f"C{x[a]:.1f} {middle:.1f} {x[b]:.1f} {middle:.1f} {x[b]:.1f} {end:.1f}"
        )
        if b < nodes:
            heads.append(f"M{x[b] - 3:.1f} {end - 6:.1f}h6l-3 6z")
    yield from (f'<path d="{"".join(pieces)}"/>' for pieces in strokes.values())
    yield f'<g id="a"><path d="{"".join(heads)}"/></g>'


def _document(heading: str, body: Sequence[str], width: float, height: float) -> str:
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}">',
            f"<title>{_text(heading)}</title><style>{_STYLE}</style>",
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff" style="stroke:none"/>',
            *body,
            "</svg>",
            "",
        ]
    )


def _text(text: str) -> str:
    """Text for XML: escaped, without the control characters that XML 1.0 forbids."""
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))


def _quoted(text: str) -> str:
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return printable.replace("\\", "\\\\").replace('"', '\\"')
