"""Graphs, features and labels as arrow tables, and graphs back again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from archcast.datasets._benchmark import Benchmark
from archcast.datasets.pool._files import need_arrow
from archcast.encoders.graph import COLUMNS, ComputeGraph
from archcast.encoders.tabular import tabular


def graph_table(graphs: Sequence[ComputeGraph]) -> Any:
    """One row a graph: ``hash``, its node columns and edges as lists, and what else it knows."""
    pa = need_arrow()
    columns: dict[str, Any] = {"hash": pa.array([g.hash for g in graphs], pa.string())}
    for name in COLUMNS:
        columns[name] = _lists([getattr(g, name).reshape(-1) for g in graphs])
    columns["edges"] = _lists([g.edges.reshape(-1) for g in graphs])
    columns["params"] = pa.array([g.params for g in graphs], pa.int64())
    for name in ("input_shape", "output_shape"):
        columns[name] = _lists([np.array(getattr(g, name), np.int64) for g in graphs])
    labels = [json.dumps(g.labels) if g.labels else None for g in graphs]
    columns["operator_labels"] = pa.array(labels, pa.string())
    columns["source"] = pa.array([g.source for g in graphs], pa.string()).dictionary_encode()
    return pa.table(columns)


def graphs_of(table: Any) -> list[ComputeGraph]:
    """The graphs of a :func:`graph_table`, without names."""
    lists = {name: _unlisted(table[name]) for name in (*COLUMNS, "edges")}
    plain = ("params", "input_shape", "output_shape", "operator_labels", "source")
    rest = {name: table[name].to_pylist() for name in plain}
    graphs = []
    for i in range(table.num_rows):
        labels = json.loads(rest["operator_labels"][i] or "{}")
        columns = {
            name: lists[name][i].reshape(-1, *trailing).astype(dtype, copy=False)
            for name, (dtype, trailing) in COLUMNS.items()
        }
        graphs.append(
            ComputeGraph(
                **columns,
                edges=lists["edges"][i].reshape(-1, 2).astype(np.int32, copy=False),
                labels={int(key): value for key, value in labels.items()},
                params=rest["params"][i],
                input_shape=tuple(rest["input_shape"][i]),
                output_shape=tuple(rest["output_shape"][i]),
                source=rest["source"][i],
            )
        )
    return graphs


def feature_table(graphs: Sequence[ComputeGraph]) -> Any:
    """One row a graph: ``hash``, and a column a feature."""
    pa = need_arrow()
    features = tabular(graphs)
    columns: dict[str, Any] = {"hash": pa.array([g.hash for g in graphs], pa.string())}
    columns |= {name: features.values[:, i] for i, name in enumerate(features.names)}
    return pa.table(columns)


def label_table(benchmark: Benchmark, task: str, hashes: Sequence[str | None]) -> Any:
    """The labels of a task: one row for each architecture that has one.

    Args:
        benchmark: the benchmark.
        task: one of its tasks.
        hashes: (N,) hash of every row's graph, None where it is not known.

    Returns:
        Columns ``row``, ``space``, ``hash``, ``task``, ``value``, ``std``, ``seeds`` (0 where the
        source does not tell), ``recipe`` (JSON) and ``family``.
    """
    pa = need_arrow()
    values = benchmark.labels(task)
    rows = np.flatnonzero(np.isfinite(values))
    recipes, codes = _recipes(benchmark, task, rows)
    seeds = np.isfinite(benchmark.seeds(task)).sum(1)[rows]
    text = pa.array([task], pa.string())
    same = pa.array(np.zeros(len(rows), np.int32))
    return pa.table(
        {
            "row": pa.array(rows, pa.int32()),
            "space": pa.DictionaryArray.from_arrays(same, pa.array([benchmark.space])),
            "hash": pa.array([hashes[i] for i in rows.tolist()], pa.string()).dictionary_encode(),
            "task": pa.DictionaryArray.from_arrays(same, text),
            "value": values[rows],
            "std": pa.array(benchmark.label_std(task)[rows], from_pandas=True),
            "seeds": pa.array(seeds, pa.int16()),
            "recipe": pa.DictionaryArray.from_arrays(codes, recipes),
            "family": pa.array(
                [benchmark.families[i] for i in rows.tolist()], pa.string()
            ).dictionary_encode(),
        }
    )


def _recipes(benchmark: Benchmark, task: str, rows: Any) -> tuple[Any, Any]:
    """Distinct recipes as JSON texts, and which one every row has."""
    pa = need_arrow()
    recipe = benchmark.recipe(task)
    many = {k: np.asarray(v)[rows].tolist() for k, v in recipe.items() if _per_row(v)}
    fixed = {k: v for k, v in recipe.items() if k not in many}
    found: dict[str, int] = {}
    codes = np.zeros(len(rows), np.int32)
    for i in range(len(rows)):
        fields = fixed | {k: v[i] for k, v in many.items()}
        known = {k: v for k, v in sorted(fields.items()) if v == v}  # noqa: PLR0124  (NaN)
        codes[i] = found.setdefault(json.dumps(known), len(found))
        if not many:  # one for all
            break
    return pa.array(list(found), pa.string()), pa.array(codes)


def _per_row(value: Any) -> bool:
    return isinstance(value, (np.ndarray, list, tuple))


def _lists(arrays: Sequence[Any]) -> Any:
    pa = need_arrow()
    offsets = np.cumsum([0, *(len(a) for a in arrays)], dtype=np.int64)
    flat = np.concatenate(arrays) if arrays else np.zeros(0, np.int32)
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(flat))


def _unlisted(column: Any) -> list[Any]:
    found: list[Any] = []
    for chunk in column.chunks:
        offsets = chunk.offsets.to_numpy()
        flat = chunk.values.to_numpy()
        found.extend(flat[a:b] for a, b in pairwise(offsets))
    return found
