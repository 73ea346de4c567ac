"""The pooled table: what is in it, and what happens when building or reading goes wrong."""

import errno
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from archcast.datasets import Benchmark
from archcast.encoders.errors import (
    InvalidSpecError,
    StorageError,
    UnknownDatasetError,
    UnknownTaskError,
    UnreadableModelError,
)
from archcast.encoders.spaces import get_space
from archcast.encoders.tabular import tabular

pytest.importorskip("pyarrow")
pytest.importorskip("filelock")

from archcast.datasets import build_pool, from_csv, open_pool
from archcast.datasets.pool import _build, _files
from archcast.encoders._fingerprint import _digest as _fingerprint_digest
from archcast.encoders._fingerprint import imported_files

SPACE = get_space("nasbench201")
SPECS = [*SPACE.sample(40, seed=1), "|none~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|"]
ACC = np.where(np.arange(len(SPECS)) % 5 == 0, np.nan, np.linspace(10, 94, len(SPECS)))


def toy(name="toy", graphs=None) -> Benchmark:
    return Benchmark(
        name,
        SPECS,
        {"cifar10/test_accuracy": lambda: ACC, "cpu/latency_ms": lambda: np.arange(len(SPECS))},
        graphs or (lambda rows: SPACE.graphs([SPECS[i] for i in rows])),
        space="nasbench201",
        recipes={"cifar10/test_accuracy": {"epochs": 200, "lr": np.arange(len(SPECS)) / 10}},
        seeds={"cpu/latency_ms": lambda: np.tile([1.0, 3.0], (len(SPECS), 1))},
        families=lambda: ["even" if i % 2 == 0 else "odd" for i in range(len(SPECS))],
    )


@pytest.fixture
def pool(tmp_path):
    build_pool([toy()], tmp_path, progress=False)
    return open_pool(tmp_path)


def test_graphs_come_back_as_they_were(pool):
    graphs = SPACE.graphs(SPECS)
    found = pool.graphs("toy")
    assert set(found) == {g.hash for g in graphs}
    for graph in graphs:
        assert found[graph.hash] == graph
        assert found[graph.hash].hash == graph.hash
        assert found[graph.hash].params == graph.params


def test_features_are_those_of_the_graphs_and_can_be_read_by_column(pool):
    graphs = {g.hash: g for g in SPACE.graphs(SPECS)}
    hashes, values = pool.features()
    assert np.array_equal(values, tabular([graphs[h] for h in hashes]).values)
    _, column = pool.features("toy", ["log_macs"])
    assert column.shape == (len(graphs), 1)


def test_architectures_and_labels_are_those_of_the_benchmark(pool):
    table = pool.table("architectures")
    assert table["spec"].to_pylist() == SPECS
    assert table["hash"].to_pylist() == [g.hash for g in SPACE.graphs(SPECS)]
    assert set(table["benchmark"].to_pylist()) == {"toy"}
    labels = pool.table("labels", tasks="cifar10/test_accuracy")
    assert set(labels["space"].to_pylist()) == {"nasbench201"}
    assert labels.num_rows == np.isfinite(ACC).sum()
    assert labels["value"].to_pylist() == ACC[np.isfinite(ACC)].tolist()
    assert labels["recipe"][0].as_py() == '{"epochs": 200, "lr": 0.1}'
    assert labels["family"].to_pylist()[:2] == ["odd", "even"]
    latency = pool.table("labels", "toy", ["std", "seeds"], tasks=["cpu/latency_ms"])
    assert latency["seeds"].to_pylist() == [2] * len(SPECS)
    assert latency["std"][0].as_py() == pytest.approx(2**0.5)


def test_statistics_count_shared_graphs(tmp_path):
    build_pool([toy(), toy("twin")], tmp_path, progress=False)
    pool = open_pool(tmp_path)
    distinct = len({g.hash for g in SPACE.graphs(SPECS)})
    for row in pool.stats():
        assert (row["hashes"], row["shared"]) == (distinct, distinct)
        assert row["labels"] == len(SPECS) + np.isfinite(ACC).sum()
        assert row["bytes"] > 0
    assert pool.shared() == {("toy", "twin"): distinct}


def test_a_build_that_stops_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(_build, "_PART", 8)
    seen = []

    def interrupted(rows):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(rows[0])
        return SPACE.graphs([SPECS[i] for i in rows])

    with pytest.raises(KeyboardInterrupt):
        build_pool([toy(graphs=interrupted)], tmp_path, progress=False)
    assert len(seen) == 2
    with pytest.raises(StorageError, match="no benchmark is built"):
        open_pool(tmp_path)
    seen.append(-1)
    build_pool([toy(graphs=interrupted)], tmp_path, progress=False)
    assert seen.count(-1) == 1
    assert len(set(seen)) == len(seen) == 1 + 6  # 41 rows in parts of 8, none twice
    assert len(open_pool(tmp_path).table("architectures")) == len(SPECS)


def test_what_is_built_is_not_built_again_unless_its_labels_change(tmp_path):
    calls = []

    def counted(rows):
        calls.append(rows)
        return SPACE.graphs([SPECS[i] for i in rows])

    first = build_pool([toy(graphs=counted)], tmp_path, progress=False)
    assert build_pool([toy(graphs=counted)], tmp_path, progress=False) == first
    assert len(calls) == 1
    changed = Benchmark("toy", SPECS[:5], {"t/x": lambda: np.ones(5)}, counted, space="nasbench201")
    build_pool([changed], tmp_path, progress=False)
    assert len(open_pool(tmp_path).table("labels")) == 5


_SLOW = """
import sys, time
from archcast.datasets import Benchmark, build_pool
from archcast.datasets.pool import _build, _files  # noqa: E402
from archcast.encoders._fingerprint import _digest as _fingerprint_digest
from archcast.encoders._fingerprint import imported_files  # noqa: E402
from archcast.encoders.spaces import get_space
_build._PART = 4
space = get_space("nasbench201")
specs = space.sample(40, seed=1)
def graphs(rows):
    time.sleep(0.05)
    return space.graphs([specs[i] for i in rows])
def noted(rows):
    with open(sys.argv[1] + "/calls", "a") as file:
        file.write(f"{rows[0]}\\n")
    return graphs(rows)
make = lambda name: Benchmark(name, specs, {"t/x": lambda: range(40)}, noted, space="nasbench201")
build_pool([make(name) for name in ("one", "two")], sys.argv[1], progress=False)
"""


def start(folder):
    return subprocess.Popen([sys.executable, "-c", _SLOW, str(folder)], stderr=subprocess.PIPE)


def test_a_killed_builder_leaves_nothing_broken_and_releases_its_lock(tmp_path):
    builder = start(tmp_path)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob(".one.*/parts/*.architectures.parquet"))) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    builder.send_signal(signal.SIGKILL)
    builder.communicate()
    kept = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob(".one.*/parts/*.architectures*")}
    second = start(tmp_path)
    _, errors = second.communicate(timeout=120)
    assert second.returncode == 0, errors.decode()
    assert len(kept) >= 3
    assert open_pool(tmp_path).benchmarks == ("one", "two")
    assert not list(tmp_path.glob("**/.*.parquet.*"))


def test_two_builders_at_once_share_the_work(tmp_path):
    builders = [start(tmp_path), start(tmp_path)]
    for builder in builders:
        _, errors = builder.communicate(timeout=180)
        assert builder.returncode == 0, errors.decode()
    assert len((tmp_path / "calls").read_text().splitlines()) == 2 * 10  # no part twice
    pool = open_pool(tmp_path)
    assert pool.benchmarks == ("one", "two")
    for name in pool.benchmarks:
        assert pool.table("labels", name)["value"].to_pylist() == list(range(40))
        assert len(pool.graphs(name)) == len({g.hash for g in SPACE.graphs(SPECS[:40])})


def test_a_full_disk_says_so_and_leaves_what_was_there(tmp_path, monkeypatch):
    build_pool([toy()], tmp_path, progress=False)

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        build_pool([toy(), toy("twin")], tmp_path, progress=False)
    assert open_pool(tmp_path).benchmarks == ("toy",)
    assert not list(tmp_path.glob("**/.*.parquet.*"))


@pytest.mark.parametrize("table", ["architectures", "graphs", "features", "labels"])
def test_a_damaged_table_is_named(pool, table):
    path = pool.folder / "toy" / f"{table}.parquet"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableModelError, match=f"{table}.parquet cannot be read"):
        pool.table(table)


def test_a_damaged_manifest_is_named(pool):
    (pool.folder / "toy" / "manifest.json").write_text("{")
    with pytest.raises(UnreadableModelError, match=r"manifest\.json is damaged"):
        open_pool(pool.folder)


def test_unknown_names_are_told(pool, tmp_path):
    with pytest.raises(UnknownDatasetError, match="archcast datasets build tiy"):
        pool.table("labels", "tiy")
    with pytest.raises(UnknownDatasetError, match="did you mean labels"):
        pool.table("label")
    with pytest.raises(UnreadableModelError, match="no column 'nonsense'"):
        pool.table("features", "toy", ["nonsense"])
    with pytest.raises(UnknownDatasetError, match="did you mean nasbench201"):
        build_pool(["nasbench20"], tmp_path)


def test_a_change_of_what_a_space_is_made_of_changes_the_version(tmp_path, monkeypatch):
    fbnet, nats = _files.version_of("fbnet"), _files.version_of("nats_size")
    mobile = next(p for p in imported_files("archcast.datasets.benchmarks.fbnet")
                  if p.name == "_mobile.py")  # fmt: skip
    monkeypatch.setattr(
        "archcast.encoders._fingerprint._digest",
        lambda path: b"changed" if path == mobile else _fingerprint_digest(path),
    )
    _files._of_name.cache_clear()
    assert _files.version_of("fbnet") != fbnet
    assert _files.version_of("nats_size") == nats
    _files._of_name.cache_clear()


@pytest.mark.parametrize("name", ["hat_wmt14ende", "transnas_micro", "hwgpt_s", "lemur"])
def test_versions_cover_the_sources_of_a_benchmark_and_its_space(name):
    stem = name.partition("_")[0]
    files = {p.name for p in imported_files(f"archcast.datasets.benchmarks.{name}")}
    assert any(stem in file for file in files)
    assert "_simplify.py" in files


def test_another_file_under_the_same_name_is_another_graph(tmp_path, light_models, monkeypatch):
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path / "cache"))
    models = {path.stem: path.read_bytes() for path in light_models}
    (tmp_path / "a.onnx").write_bytes(models["light_squeezenet"])
    (tmp_path / "own.csv").write_text("file,t/x\na.onnx,1\n")
    build_pool([from_csv(tmp_path / "own.csv")], tmp_path / "pool", progress=False)
    before = open_pool(tmp_path / "pool").graphs("own")
    (tmp_path / "a.onnx").write_bytes(models["light_shufflenet"])
    build_pool([from_csv(tmp_path / "own.csv")], tmp_path / "pool", progress=False)
    assert set(open_pool(tmp_path / "pool").graphs("own")).isdisjoint(before)


def test_a_build_stopped_before_the_last_step_only_takes_it(tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_build, "_swap", stopped)
        with pytest.raises(KeyboardInterrupt):
            build_pool([toy()], tmp_path, progress=False)

    def never(rows):
        raise AssertionError("built again")

    build_pool([toy(graphs=never)], tmp_path, progress=False)
    assert open_pool(tmp_path).benchmarks == ("toy",)
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["toy"]


@pytest.mark.parametrize("name", ["../evil", "", ".hidden", "a/b", "nasbench201"])
def test_names_that_cannot_be_folders_or_are_taken_are_refused(tmp_path, name):
    with pytest.raises(InvalidSpecError, match=r"folder's name|of the library"):
        build_pool([toy(name)], tmp_path / "pool", progress=False)
    assert not list(tmp_path.glob("**/*.parquet"))


def test_two_of_one_name_are_refused(tmp_path):
    with pytest.raises(InvalidSpecError, match="'toy' is the name of several"):
        build_pool([toy(), toy()], tmp_path, progress=False)


def test_empty_questions_have_plain_answers(pool):
    assert pool.table("labels", tasks=[]).num_rows == 0
    hashes, values = pool.features(columns=[])
    assert values.shape == (len(hashes), 0)
    with pytest.raises(UnknownDatasetError, match="at least one"):
        pool.table("labels", [])
    with pytest.raises(UnknownTaskError, match="did you mean cifar10/test_accuracy"):
        pool.table("labels", tasks="cifar10/test_acuracy")
    with pytest.raises(UnknownTaskError, match="only the table of labels"):
        pool.table("architectures", tasks="t/x")


def test_networks_without_labels_can_be_pooled(tmp_path):
    bare = Benchmark("bare", SPECS[:3], {}, lambda rows: SPACE.graphs([SPECS[i] for i in rows]))
    build_pool([bare], tmp_path, progress=False)
    assert len(open_pool(tmp_path).graphs()) == 3


def test_rows_without_a_graph_keep_their_labels(tmp_path):
    some = Benchmark(
        "some",
        SPECS[:4],
        {"t/x": lambda: np.arange(4.0)},
        lambda rows: SPACE.graphs([SPECS[i] for i in rows]),
        with_graph=lambda: [1, 3],
    )
    none = Benchmark("none", SPECS[:2], {"t/x": lambda: np.ones(2)}, list, with_graph=list)
    build_pool([some, none], tmp_path, progress=False)
    pool = open_pool(tmp_path)
    assert pool.table("architectures", "some")["hash"].is_null().to_pylist() == [
        True, False, True, False,
    ]  # fmt: skip
    assert pool.table("labels", "some")["value"].to_pylist() == [0, 1, 2, 3]
    assert pool.table("labels", "none").num_rows == 2
    assert pool.graphs("none") == {}
