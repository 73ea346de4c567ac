"""``ComputeGraph``: the one canonical form every architecture is turned into."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from archcast.encoders import _canonical
from archcast.encoders._files import write_atomically
from archcast.encoders.errors import ShapeError, StorageError, UnreadableModelError
from archcast.encoders.ops import OP_ID, OPS

IntArray = NDArray[np.integer[Any]]

#: Node columns: name -> (numpy dtype, trailing shape). All of them enter the hash.
COLUMNS: Final[dict[str, tuple[type, tuple[int, ...]]]] = {
    "op": (np.int16, ()),
    "kernel": (np.int32, (3,)),
    "stride": (np.int32, (3,)),
    "dilation": (np.int32, (3,)),
    "groups": (np.int32, ()),
    "heads": (np.int32, ()),
    "channels_in": (np.int32, ()),
    "channels_out": (np.int32, ()),
    "extent": (np.int32, (3,)),
    "op_weights": (np.int64, ()),
    "op_macs": (np.int64, ()),
}
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class ComputeGraph:
    """A neural architecture: arrays over its N operators and E edges, in canonical order.

    Two descriptions of one network (a torch module, its ONNX exports, a cell string) give equal
    graphs: ``a == b`` and ``a.hash == b.hash``. Norms and biases are merged into the operator
    they follow, views and shape arithmetic are gone, decomposed activations, norms and attention
    are one operator again. Numbers are for one sample (batch 1).

    Attributes:
        op: (N,) operator ids, see :data:`archcast.encoders.ops.OPS`.
        kernel: (N, 3) window as depth, height, width; 1 where there is none.
        stride: (N, 3) step of the window, same order.
        dilation: (N, 3) dilation of the window, same order.
        groups: (N,) groups of a convolution or group norm, else 1.
        heads: (N,) heads of an attention, else 1.
        channels_in: (N,) channels (features) entering.
        channels_out: (N,) channels (features) leaving.
        extent: (N, 3) positions leaving, as depth, height, width; tokens stand in height.
        op_weights: (N,) elements of the kernel or matrix, without bias and norm.
        op_macs: (N,) multiply-accumulate operations.
        edges: (E, 2) source and target index, sorted by target, then source.
        labels: index of an ``other`` operator -> its name in the source.
        params: parameters as the source has them, biases and norm affines included. A fact of
            the file, not of the hash: folding a batch norm changes it.
        input_shape: shape of the first input, batch first.
        output_shape: shape of the first output, batch first.
        source: ``onnx``, ``torch`` or the name of a search space.
        name: what the source calls the network; may be empty.
    """

    op: IntArray
    kernel: IntArray
    stride: IntArray
    dilation: IntArray
    groups: IntArray
    heads: IntArray
    channels_in: IntArray
    channels_out: IntArray
    extent: IntArray
    op_weights: IntArray
    op_macs: IntArray
    edges: IntArray
    labels: Mapping[int, str] = field(default_factory=dict)
    params: int = 0
    input_shape: tuple[int, ...] = ()
    output_shape: tuple[int, ...] = ()
    source: str = ""
    name: str = ""

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any], edges: Any, **meta: Any) -> ComputeGraph:
        """Build a graph from node columns in any topological order.

        Args:
            columns: the columns of :data:`COLUMNS`; missing ones are filled with their neutral
                value (1 for windows, groups, heads and extents, 0 for counts).
            edges: (E, 2) source and target; every source number is below its target's.
            **meta: ``labels``, ``params``, ``input_shape``, ``output_shape``, ``source``, ``name``.

        Returns:
            The graph, nodes in canonical order.

        Raises:
            ShapeError: columns of different lengths, or an edge that points backwards.
        """
        n = len(columns["op"])
        table = {name: _column(name, columns.get(name), n) for name in COLUMNS}
        pairs = np.asarray(edges, np.int32).reshape(-1, 2)
        if len(pairs) and (pairs[:, 0] >= pairs[:, 1]).any():
            raise ShapeError("edges must lead from a lower to a higher node index")
        labels: Mapping[int, str] = meta.pop("labels", {})
        colours, depth = _canonical.refine(_attribute_colours(table, labels), pairs)
        keys = np.array(colours, np.uint64)
        order = np.lexsort((keys, np.array(depth)))
        rank = np.empty(n, np.int32)
        rank[order] = np.arange(n, dtype=np.int32)
        pairs = rank[pairs]
        pairs = pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]
        graph = cls(
            **{name: values[order] for name, values in table.items()},
            edges=pairs,
            labels={int(rank[i]): name for i, name in sorted(labels.items())},
            **meta,
        )
        graph.__dict__["hash"] = _canonical.content_hash(keys, len(pairs))
        return graph

    @cached_property
    def hash(self) -> str:
        """32 hexadecimal digits: equal for equal networks, whatever they were read from."""
        colours, _ = _canonical.refine(_attribute_colours(self.columns, self.labels), self.edges)
        return _canonical.content_hash(np.array(colours, np.uint64), len(self.edges))

    @property
    def columns(self) -> dict[str, IntArray]:
        """The node columns by name."""
        return {name: getattr(self, name) for name in COLUMNS}

    @property
    def ops(self) -> list[str]:
        """(N,) operator names; an ``other`` operator appears under its name in the source."""
        names = [OPS[i] for i in self.op.tolist()]
        for index, label in self.labels.items():
            names[index] = label
        return names

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of the whole network for one sample."""
        return int(self.op_macs.sum())

    @cached_property
    def depth(self) -> IntArray:
        """(N,) number of operators on the longest path from an input."""
        depth = [0] * len(self)
        for source, target in self.edges.tolist():
            depth[target] = max(depth[target], depth[source] + 1)
        return np.array(depth, np.int32)

    def count(self, op: str) -> int:
        """How many operators of that name the graph has."""
        return int((self.op == OP_ID[op]).sum())

    def __len__(self) -> int:
        return len(self.op)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComputeGraph) and self.hash == other.hash

    def __hash__(self) -> int:
        return int(self.hash[:15], 16)

    def __repr__(self) -> str:
        name = f"{self.name!r}, " if self.name else ""
        return (
            f"ComputeGraph({name}{len(self)} operators, {len(self.edges)} edges, "
            f"{_si(self.params)} params, {_si(self.macs)} MACs, hash {self.hash[:12]})"
        )

    def save(self, path: str | Path) -> None:
        """Write the graph to an ``.npz`` file (plain arrays and JSON, no pickle).

        Raises:
            StorageError: the file cannot be written; what was there before is kept.
        """
        save_graphs(path, [self])

    @classmethod
    def load(cls, path: str | Path) -> ComputeGraph:
        """Read a graph that :meth:`save` wrote.

        Raises:
            UnreadableModelError: not such a file, or not exactly one graph in it.
            StorageError: no such file.
        """
        graphs = load_graphs(path)
        if len(graphs) != 1:
            raise UnreadableModelError(f"{path} holds {len(graphs)} graphs; use load_graphs")
        return graphs[0]


_META = ("params", "input_shape", "output_shape", "source", "name")


def _column(name: str, values: Any, n: int) -> IntArray:
    dtype, trailing = COLUMNS[name]
    if values is None:
        neutral = 0 if name in ("op_weights", "op_macs", "channels_in", "channels_out") else 1
        return np.full((n, *trailing), neutral, dtype)
    array = np.asarray(values, dtype)
    if array.shape != (n, *trailing):
        raise ShapeError(f"column {name} has shape {array.shape}, not {(n, *trailing)}")
    return array


def _attribute_colours(
    columns: Mapping[str, IntArray], labels: Mapping[int, str]
) -> NDArray[np.uint64]:
    n = len(columns["op"])
    rows = np.concatenate([columns[name].reshape(n, -1) for name in COLUMNS], 1, dtype=np.int64)
    colours = _canonical.attribute_colours(rows)
    for index, label in labels.items():
        digest = int.from_bytes(blake2b(label.encode(), digest_size=8).digest(), "little")
        colours[index] = colours[index] ^ np.uint64(digest)
    return colours


def save_graphs(path: str | Path, graphs: Sequence[ComputeGraph]) -> None:
    """Write many graphs to one ``.npz``: each column once, end to end, with offsets.

    Raises:
        StorageError: the file cannot be written; what was there before is kept.
    """
    arrays = pack(graphs)
    write_atomically(Path(path), lambda file: np.savez_compressed(file, **cast("Any", arrays)))


def load_graphs(path: str | Path) -> list[ComputeGraph]:
    """Read the graphs that :func:`save_graphs` wrote, in their order.

    Raises:
        UnreadableModelError: not such a file, or of another version.
        StorageError: no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return unpack({key: archive[key] for key in archive.files})
    except FileNotFoundError as error:
        raise StorageError(f"{path}: no such file") from error
    except (ValueError, KeyError, OSError, EOFError) as error:
        detail = f" ({error})" if "version" in str(error) else ""
        raise UnreadableModelError(
            f"{path}: not a file of graphs{detail}; give one that ComputeGraph.save wrote"
        ) from error
    except Exception as error:  # zipfile and zlib raise their own types on damaged archives
        if type(error).__module__ in ("zipfile", "zlib"):
            raise UnreadableModelError(f"{path}: damaged ({error})") from error
        raise


def pack(graphs: Sequence[ComputeGraph]) -> dict[str, NDArray[Any]]:
    """Graphs as a few flat arrays: every column end to end, offsets, and the rest as JSON."""
    columns = {
        name: np.concatenate([getattr(g, name) for g in graphs])
        if graphs
        else np.zeros((0, *trailing), dtype)
        for name, (dtype, trailing) in COLUMNS.items()
    }
    edges = np.concatenate([g.edges for g in graphs]) if graphs else np.zeros((0, 2), np.int32)
    meta = [
        {key: getattr(g, key) for key in _META}
        | {"labels": {str(k): v for k, v in g.labels.items()}}
        for g in graphs
    ]
    text = json.dumps({"format": _FORMAT, "ops": OPS, "graphs": meta})
    return {
        **columns,
        "edges": edges,
        "node_offsets": _offsets(len(g) for g in graphs),
        "edge_offsets": _offsets(len(g.edges) for g in graphs),
        "meta": np.frombuffer(text.encode(), np.uint8),
    }


def unpack(arrays: Mapping[str, NDArray[Any]]) -> list[ComputeGraph]:
    """The inverse of :func:`pack`.

    Raises:
        ValueError: another format, or another vocabulary of operators.
    """
    document = json.loads(arrays["meta"].tobytes())
    if document["format"] != _FORMAT or tuple(document["ops"]) != OPS:
        raise ValueError("written by another version of archcast; build it anew")
    nodes, edges = arrays["node_offsets"], arrays["edge_offsets"]
    graphs = []
    for i, meta in enumerate(document["graphs"]):
        rows = slice(nodes[i], nodes[i + 1])
        graphs.append(
            ComputeGraph(
                **{name: arrays[name][rows] for name in COLUMNS},
                edges=arrays["edges"][edges[i] : edges[i + 1]],
                labels={int(k): v for k, v in meta.pop("labels").items()},
                input_shape=tuple(meta.pop("input_shape")),
                output_shape=tuple(meta.pop("output_shape")),
                **meta,
            )
        )
    return graphs


def _offsets(lengths: Iterable[int]) -> NDArray[np.int64]:
    return np.cumsum([0, *lengths], dtype=np.int64)


def _si(value: float) -> str:
    for factor, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:g}"
