"""ScAn-Bench out of its Python package instead of a mirror."""

import gzip
import zipfile

import numpy as np
import pytest

from archcast import datasets
from archcast.datasets import _wheels
from archcast.datasets.benchmarks import _scan_bench_wheel as own
from archcast.datasets.benchmarks import scan_bench
from archcast.encoders.errors import UnreadableModelError

MEMBER = "scan_bench/llm/configs_intermediate_summary.csv"


def write_wheel(path, content, member=MEMBER):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("scan_bench/__init__.py", "raise SystemExit")
        archive.writestr(member, content)
    return path


def test_numbers_have_the_digits_of_the_mirror(tmp_path):
    text = "config_id,lr,tokens,name\n1,0.0004101854865439236,965026304,a.b\n"
    table = own.read_table(write_wheel(tmp_path / "a.whl", text))
    assert table.split() == ["config_id,lr,tokens,name", "1,0.0004101855,965026304,a.b"]


def test_a_package_without_the_table_is_refused(tmp_path):
    path = write_wheel(tmp_path / "a.whl", "a", "scan_bench/other.csv")
    with pytest.raises(UnreadableModelError, match=r"configs_intermediate_summary"):
        own.read_table(path)
    with pytest.raises(UnreadableModelError, match="not a table"):
        own.read_table(write_wheel(tmp_path / "b.whl", b"\xff\xfe\x00"))


def test_without_a_mirror_the_benchmark_reads_the_package(mirror, tmp_path, monkeypatch):
    expected = datasets.load("scan_bench").labels("slimpajama/test_loss")
    content = gzip.decompress(datasets.fetch("scan_bench/llm.csv.gz").read_bytes())
    path = write_wheel(tmp_path / "a.whl", content)
    monkeypatch.delenv("ARCHCAST_MIRROR")
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path))
    monkeypatch.setattr(_wheels, "fetch_wheel", lambda name: path)
    caches = (scan_bench._table, scan_bench._places, scan_bench._last)
    for function in caches:
        function.cache_clear()
    try:
        found = scan_bench.load()
        assert np.array_equal(found.labels("slimpajama/test_loss"), expected)
        assert len(list(tmp_path.glob("derived/*.csv"))) == 1
    finally:
        for function in caches:
            function.cache_clear()
