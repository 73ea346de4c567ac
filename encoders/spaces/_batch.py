"""Many graphs of one search space built together: a disjoint union, one numpy step an operator.

A space's networks differ in a few choices, so the same skeleton is walked once for a whole batch
and every step adds at most one node to each graph. Colours are the very arithmetic of
:mod:`archcast.encoders._canonical`, so a graph from here equals the one
:meth:`~archcast.encoders.graph.ComputeGraph.from_columns` makes of the same nodes, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from archcast.encoders import _canonical
from archcast.encoders.graph import COLUMNS, ComputeGraph
from archcast.encoders.ops import OP_ID

#: (graphs,) node ids, one for each graph of the batch; 0 where nothing arrives.
Value = NDArray[np.int64]
Mask = NDArray[np.bool_]
Triple = tuple[int, int, int]
#: One row of :data:`archcast.encoders.graph.COLUMNS`, flattened, and its parameter count.
_Row = tuple[int, ...]
_ONES: Triple = (1, 1, 1)
_WIDTH = sum(prod(shape) for _, shape in COLUMNS.values())


class _Step(NamedTuple):
    """At most one node a graph: their ids, and where their inputs come from."""

    nodes: slice
    operands: list[Value]  # each (nodes,), 0 where that operand is absent


@lru_cache(maxsize=65536)
def _row_colour(row: _Row) -> int:
    colour = 0
    for k, value in enumerate(row):
        colour = _canonical.mix((colour + value * _canonical.FORWARD + k + 1) & _canonical.MASK)
    return colour


class GraphBatch:
    """A batch of graphs under construction.

    Node attributes are interned as *rows* (:meth:`row`); the methods that add nodes take a row, or
    one row for each graph, and give a :data:`Value`. Operators without weights that repeat an
    earlier one on the same inputs are shared, sums and concatenations of one operand vanish,
    and :meth:`finish` drops what does not lead to the output: the canonical form by construction.

    What is left to the caller: operands of a sum of sums are handed over as one sum.

    Args:
        size: number of graphs, at most 65,536.
        channels: channels of the network's input.
        extent: positions of the input as depth, height, width.
    """

    def __init__(self, size: int, channels: int, extent: Triple) -> None:
        self.size = size
        self._ids: dict[_Row, int] = {}
        self._row_colours = np.zeros(0, np.uint64)
        self._used = 1  # id 0 stands for nothing
        capacity = 64 * size + 1
        self._rows = np.zeros(capacity, np.int32)
        self._graph = np.zeros(capacity, np.int32)
        self._depth = np.full(capacity, -1, np.int32)
        self._forward = np.zeros(capacity, np.uint64)
        self._message = np.zeros(capacity, np.uint64)
        self._salt = np.zeros(capacity, np.uint64)
        self._steps: list[_Step] = []
        self._shared: dict[str, list[tuple[NDArray[np.uint64], Value]]] = {}
        self._extra_params = np.zeros(size, np.int64)
        row = self.row("input", channels_in=channels, extent=extent)
        self._apart = self.row("output", channels_in=channels, extent=extent)
        #: The network's input.
        self.input: Value = self._append(row, [], np.arange(size))

    def row(
        self,
        op: str,
        *,
        channels_in: int,
        channels_out: int | None = None,
        extent: Triple = _ONES,
        kernel: Triple = _ONES,
        stride: Triple = _ONES,
        dilation: Triple = _ONES,
        groups: int = 1,
        params: int = 0,
    ) -> int:
        """Intern the attributes of a node.

        Args:
            op: operator name; convolutions, ``conv_transpose`` (whose stride divides the extent)
                and ``linear`` get their weights and MACs from the rest.
            channels_in: channels entering.
            channels_out: channels leaving; as many as enter if None.
            extent: positions leaving, as depth, height, width.
            kernel: window, same order.
            stride: step of the window, same order.
            dilation: of the window, same order.
            groups: groups of a convolution.
            params: parameters the benchmark counts for it, bias and norm included.

        Returns:
            The row's id.
        """
        channels_out = channels_in if channels_out is None else channels_out
        weights = 0
        if op in ("conv", "conv_transpose", "linear"):
            weights = channels_out * (channels_in // groups) * prod(kernel)
        # A transposed convolution applies its kernel at the positions that enter.
        sites = prod(extent) // (prod(stride) if op == "conv_transpose" else 1)
        key: _Row = (
            *(OP_ID[op], *kernel, *stride, *dilation, groups, 1, channels_in, channels_out),
            *(*extent, weights, weights * sites, params),
        )
        return self._ids.setdefault(key, len(self._ids))

    def node(
        self, rows: int | NDArray[np.int64], operand: Value, where: Mask | None = None
    ) -> Value:
        """An operator that is never shared: it has weights, or nothing else reads its operand.

        Args:
            rows: its row, or (graphs,) rows.
            operand: what it reads.
            where: (graphs,) which graphs have it.

        Returns:
            The new nodes; 0 where ``where`` is false or nothing arrives.
        """
        there = operand > 0 if where is None else (operand > 0) & where
        return self._append(rows, [operand], np.flatnonzero(there))

    def shared(
        self, op: str, rows: int | NDArray[np.int64], operand: Value, where: Mask | None = None
    ) -> Value:
        """An operator without weights: one node for all that read the same input.

        Args:
            op: its name.
            rows: its row, or (graphs,) rows.
            operand: what it reads.
            where: (graphs,) which graphs have it.

        Returns:
            New or earlier nodes; 0 where ``where`` is false or nothing arrives.
        """
        there = operand > 0 if where is None else (operand > 0) & where
        return self._reuse(op, rows, [operand], there)

    def join(self, op: str, rows: int | NDArray[np.int64], operands: Sequence[Value]) -> Value:
        """A sum or concatenation of the operands that are there.

        Args:
            op: ``add`` or ``concat``.
            rows: its row, or (graphs,) rows.
            operands: what it reads; a sum counts repeated ones, a concatenation does not.

        Returns:
            The nodes; the operand itself where there is only one, 0 where there is none.
        """
        unique: list[Value] = list(operands) if op == "add" else []
        for operand in () if op == "add" else operands:
            repeated = np.zeros(self.size, np.bool_)
            for earlier in unique:
                repeated |= earlier == operand
            unique.append(np.where(repeated, 0, operand))
        count = sum((operand > 0).astype(np.int8) for operand in unique)
        joined = self._reuse(op, rows, unique, np.asarray(count) > 1)
        # With at most one operand there, the largest id is that operand, or 0.
        return np.where(joined > 0, joined, np.max(unique, axis=0))

    def forget(self) -> None:
        """Share nothing made so far from now on.

        Saves comparing with operators of earlier cells, which read other values.
        """
        self._shared.clear()

    def affine(self, operand: Value, channels: int, extent: Triple) -> Value:
        """A batch norm; one that directly follows a convolution merges into it."""
        ids = np.fromiter((row[0] for row in self._ids), np.int64)
        merges = (operand > 0) & (ids[self._rows[operand]] == OP_ID["conv"])
        self._extra_params[merges] += 2 * channels
        row = self.row("affine", channels_in=channels, extent=extent, params=2 * channels)
        return np.where(merges, operand, self.node(row, operand, ~merges))

    def finish(
        self,
        operand: Value,
        classes: int,
        names: Sequence[str],
        *,
        extent: Triple = _ONES,
        **meta: Any,
    ) -> list[ComputeGraph]:
        """Close the networks with an output and hand out the graphs.

        Args:
            operand: what the output reads.
            classes: channels of the output.
            names: (graphs,) names.
            extent: positions of the output, as depth, height, width.
            **meta: ``source``, ``input_shape`` and ``output_shape`` of all.

        Returns:
            (graphs,) canonical graphs; where nothing arrives, an input and an output apart.
        """
        # An output that depends on nothing repeats the input, as the readers have it.
        rows = np.where(
            operand > 0, self.row("output", channels_in=classes, extent=extent), self._apart
        )
        output = self._append(rows, [operand], np.arange(self.size))
        keys, live = self._colour_backward(output)
        live[self.input] = True
        nodes = np.flatnonzero(live[: self._used])
        order = nodes[np.argsort(keys[nodes], kind="stable")]
        for column in (self._depth, self._graph):
            # Stable sorts of 16-bit numbers are radix sorts: a third of the time of a lexsort.
            order = order[np.argsort(column[order].astype(np.uint16), kind="stable")]
        edges, edge_starts = self._edges(order, live)
        starts = _starts(self._graph[order], self.size)
        params = np.bincount(
            self._graph[order], self._table()[self._rows[order], -1], minlength=self.size
        ).astype(np.int64)
        params += np.where(operand > 0, self._extra_params, 0)
        columns = self._columns(order)
        bounds = list(zip(starts, starts[1:], edge_starts, edge_starts[1:], strict=False))
        graphs = []
        for name, count, (a, b, c, d) in zip(names, params.tolist(), bounds, strict=True):
            graph = ComputeGraph(
                **{key: column[a:b] for key, column in columns.items()},
                edges=edges[c:d],
                params=count,
                name=name,
                **meta,
            )
            graph.__dict__["hash"] = _canonical.content_hash(keys[order[a:b]], d - c)
            graphs.append(graph)
        return graphs

    def _append(
        self, rows: int | NDArray[np.int64], operands: list[Value], graphs: NDArray[np.int64]
    ) -> Value:
        value = np.zeros(self.size, np.int64)
        if not len(graphs):
            return value
        new = slice(self._used, self._used + len(graphs))
        self._reserve(new.stop)
        self._used = new.stop
        picked = [operand[graphs] for operand in operands]
        own_rows = rows[graphs] if isinstance(rows, np.ndarray) else rows
        total = np.zeros(len(graphs), np.uint64) + self._colours()[own_rows]
        depth = np.zeros(len(graphs), np.int32)
        for ids in picked:
            total += self._message[ids]
            np.maximum(depth, self._depth[ids] + 1, out=depth)
        forward = _canonical.mix_array(total)
        self._rows[new], self._graph[new], self._depth[new] = own_rows, graphs, depth
        self._forward[new] = forward
        self._message[new] = _canonical.mix_array(forward ^ np.uint64(_canonical.FORWARD))
        self._salt[new] = _canonical.mix_array(np.arange(new.start, new.stop, dtype=np.uint64))
        self._steps.append(_Step(new, picked))
        value[graphs] = np.arange(new.start, new.stop)
        return value

    def _reuse(
        self, op: str, rows: int | NDArray[np.int64], operands: list[Value], there: Mask
    ) -> Value:
        if not there.any():
            return np.zeros(self.size, np.int64)
        # The inputs' identities, not their colours: twin convolutions differ in their weights.
        key = self._colours()[rows] + sum((self._salt[ids] for ids in operands), np.uint64(0))
        found = np.zeros(self.size, np.int64)
        for earlier_key, earlier in self._shared.setdefault(op, []):
            np.copyto(found, earlier, where=(earlier_key == key) & there & (earlier > 0))
        missing = there & (found == 0)
        if missing.any():
            fresh = self._append(rows, operands, np.flatnonzero(missing))
            self._shared[op].append((key, fresh))
            found += fresh
        return found

    def _reserve(self, capacity: int) -> None:
        while capacity > len(self._rows):
            more = len(self._rows)
            for name in ("_rows", "_graph", "_depth", "_forward", "_message", "_salt"):
                array = getattr(self, name)
                setattr(self, name, np.concatenate([array, np.zeros(more, array.dtype)]))

    def _colours(self) -> NDArray[np.uint64]:
        if len(self._row_colours) < len(self._ids):
            self._row_colours = np.array([_row_colour(row[:-1]) for row in self._ids], np.uint64)
        return self._row_colours

    def _table(self) -> NDArray[np.int64]:
        return np.array(list(self._ids), np.int64).reshape(-1, _WIDTH + 1)

    def _columns(self, order: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        table, rows, at, columns = self._table(), self._rows[order], 0, {}
        for name, (dtype, shape) in COLUMNS.items():
            width = prod(shape)
            values = table[:, at : at + width].reshape(-1, *shape).astype(dtype)
            columns[name] = values[rows]
            at += width
        return columns

    def _colour_backward(self, output: Value) -> tuple[NDArray[np.uint64], Mask]:
        """Final colours of all nodes, and which of them lead to the output."""
        own = self._colours()[self._rows[: self._used]]
        total, keys = own.copy(), np.zeros(self._used, np.uint64)
        live = np.zeros(self._used, np.bool_)
        live[output] = True
        for nodes, operands in reversed(self._steps):
            alive = live[nodes]
            ahead = _canonical.mix_array(total[nodes])
            message = _canonical.mix_array(ahead ^ np.uint64(_canonical.BACKWARD)) * alive
            keys[nodes] = _canonical.mix_array(self._forward[nodes] + np.uint64(3) * ahead)
            for ids in operands:
                # One node a graph and step, so no id but 0 comes twice: no need for add.at.
                total[ids] += message
                live[ids] |= alive
        live[0] = False
        return keys, live

    def _edges(self, order: NDArray[np.int64], live: Mask) -> tuple[NDArray[np.int32], list[int]]:
        sources, targets = [], []
        for nodes, operands in self._steps:
            for ids in operands:
                sources.append(ids)
                targets.append(np.arange(nodes.start, nodes.stop))
        source, target = np.concatenate(sources), np.concatenate(targets)
        kept = live[source] & live[target]
        rank = np.zeros(self._used, np.int64)
        rank[order] = np.arange(len(order))
        codes = np.sort(rank[target[kept]] * len(order) + rank[source[kept]])
        target, source = np.divmod(codes, len(order))
        graph = self._graph[order[target]]
        first = np.array(_starts(self._graph[order], self.size))[graph]
        edges = np.stack([source - first, target - first], 1).astype(np.int32)
        return edges, _starts(graph, self.size)


def rows_by(make: Callable[..., int], *choices: NDArray[np.int64]) -> NDArray[np.int64]:
    """One row for each graph, where graphs differ in sizes.

    Args:
        make: gives the row of one combination of sizes; called once for each that occurs.
        *choices: (graphs,) sizes, none negative.

    Returns:
        (graphs,) rows.
    """
    limits = [int(sizes.max()) + 1 for sizes in choices]
    codes, place = np.unique(np.ravel_multi_index(choices, limits), return_inverse=True)
    combinations = zip(*(sizes.tolist() for sizes in np.unravel_index(codes, limits)), strict=True)
    return np.array([make(*sizes) for sizes in combinations], np.int64)[place]


def in_batches(
    items: Sequence[Any], build: Callable[[Sequence[Any]], list[ComputeGraph]], size: int = 2048
) -> list[ComputeGraph]:
    """Build the graphs of many specifications, ``size`` at a time to stay in cache and memory."""
    return [g for i in range(0, len(items), size) for g in build(items[i : i + size])]


def _starts(graph: NDArray[np.integer[Any]], size: int) -> list[int]:
    return np.concatenate([[0], np.cumsum(np.bincount(graph, minlength=size))]).tolist()
