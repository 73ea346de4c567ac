"""Placing a directed acyclic graph in rows, for drawing.

The layered method of Sugiyama, Tagawa and Toda (1981): a node's row is its depth; an edge that
spans several rows holds a place in each row between; rows are ordered by the barycentre of their
neighbours; then every place moves towards its neighbours as far as the order allows. All long
edges of one node share one lane, so that dense skips stay readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Horizontal room of a lane, and between two places, in pixels.
LANE, GAP = 10.0, 18.0
#: More places than this, and long edges are drawn straight instead of in lanes.
_MOST_PLACES = 40_000
_ORDER_SWEEPS, _PLACE_SWEEPS = 6, 8

Segment = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """Where everything goes.

    Attributes:
        x: horizontal centre of every place; the first N are the nodes, the rest lanes.
        row: row of every place, 0 at the top.
        segments: pairs of places to connect, each drawn once, with the node they start from.
        width: of the whole, in pixels.
    """

    x: list[float]
    row: list[int]
    segments: list[tuple[int, Segment]]
    width: float


def place(depth: Sequence[int], edges: Iterable[Segment], widths: Sequence[float]) -> Layout:
    """Lay out a graph.

    Args:
        depth: (N,) row of each node; every edge leads to a deeper node.
        edges: (E, 2) source and target.
        widths: (N,) width of each node in pixels.

    Returns:
        The layout; coordinates start at 0.
    """
    row, segments = _with_lanes(depth, list(edges))
    room = [*widths, *([LANE] * (len(row) - len(widths)))]
    above: list[list[int]] = [[] for _ in row]
    below: list[list[int]] = [[] for _ in row]
    for _, (a, b) in segments:
        below[a].append(b)
        above[b].append(a)
    rows: list[list[int]] = [[] for _ in range(max(row, default=-1) + 1)]
    for item, r in enumerate(row):
        rows[r].append(item)
    _order(rows, above, below)
    x = _positions(rows, above, below, room)
    left = min((x[i] - room[i] / 2 for i in range(len(x))), default=0.0)
    right = max((x[i] + room[i] / 2 for i in range(len(x))), default=0.0)
    return Layout([value - left for value in x], row, segments, right - left)


def _with_lanes(
    depth: Sequence[int], edges: list[Segment]
) -> tuple[list[int], list[tuple[int, Segment]]]:
    """Rows of all places, and the segments between them, each once."""
    reach: dict[int, int] = {}
    for a, b in edges:
        if depth[b] - depth[a] > 1:
            reach[a] = max(reach.get(a, 0), depth[b])
    straight = sum(end - depth[a] for a, end in reach.items()) > _MOST_PLACES
    row = list(depth)
    lanes: dict[int, list[int]] = {}
    segments: list[tuple[int, Segment]] = []
    for a, end in () if straight else reach.items():
        chain = [a]
        for r in range(depth[a] + 1, end):
            segments.append((a, (chain[-1], len(row))))
            chain.append(len(row))
            row.append(r)
        lanes[a] = chain
    for a, b in edges:
        step = depth[b] - depth[a] - 1
        start = a if step < 1 or straight else lanes[a][step]
        segments.append((a, (start, b)))
    return row, segments


def _order(rows: list[list[int]], above: list[list[int]], below: list[list[int]]) -> None:
    """Sort the places of every row by the mean position of their neighbours, down and up."""
    at = [0.0] * len(above)
    for items in rows:
        _number(items, at)
    for sweep in range(_ORDER_SWEEPS):
        neighbours = above if sweep % 2 == 0 else below
        for items in rows if sweep % 2 == 0 else reversed(rows):
            wish = {i: _mean([at[j] for j in neighbours[i]], at[i]) for i in items}
            items.sort(key=wish.__getitem__)
            _number(items, at)


def _number(items: list[int], at: list[float]) -> None:
    for index, item in enumerate(items):
        at[item] = (index + 0.5) / len(items)


def _positions(
    rows: list[list[int]], above: list[list[int]], below: list[list[int]], room: list[float]
) -> list[float]:
    x = [0.0] * len(room)
    for items in rows:
        _settle(items, [0.0] * len(items), x, room)
    for sweep in range(_PLACE_SWEEPS):
        down = sweep % 2 == 0
        neighbours = above if down else below
        for items in rows if down else reversed(rows):
            _settle(items, [_mean([x[j] for j in neighbours[i]], x[i]) for i in items], x, room)
    return x


def _settle(items: list[int], wish: list[float], x: list[float], room: list[float]) -> None:
    """Move a row as near to its wishes as order and distances allow.

    Least squares under x[k+1] - x[k] >= distance is isotonic regression once the distances are
    subtracted; pooling adjacent violators solves it exactly.
    """
    offsets, total = [], 0.0
    for k, item in enumerate(items):
        if k:
            total += (room[items[k - 1]] + room[item]) / 2 + GAP
        offsets.append(total)
    blocks: list[list[float]] = []  # mean, count
    for target, offset in zip(wish, offsets, strict=True):
        blocks.append([target - offset, 1.0])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            mean, count = blocks.pop()
            last = blocks[-1]
            last[0] = (last[0] * last[1] + mean * count) / (last[1] + count)
            last[1] += count
    settled = (mean for mean, count in blocks for _ in range(int(count)))
    for item, value, offset in zip(items, settled, offsets, strict=True):
        x[item] = value + offset


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default
