"""Work in processes and over Ray: the same results in the same order, errors as they were."""

import os
from pathlib import Path

import numpy as np
import pytest

from archcast.encoders import _engine, read_all
from archcast.encoders.errors import (
    ArchcastError,
    InvalidSettingError,
    InvalidSpecError,
    MissingExtraError,
    UnreadableModelError,
)
from archcast.encoders.spaces import get_space
from archcast.encoders.tabular import tabular


def square(number: int, where: Path | None = None) -> int:
    if where is not None:
        (where / str(number)).touch()
    if number == 3:
        raise InvalidSpecError("three")
    return number**2


def process(_number: int) -> int:
    return os.getpid()


@pytest.fixture(autouse=True)
def _importable(root, monkeypatch):
    """Other processes import the functions above from here."""
    monkeypatch.syspath_prepend(str(root))


def cells(count: int = 24) -> list[str]:
    return [f"nasbench201:{spec}" for spec in get_space("nasbench201").sample(count, seed=1)]


def test_one_worker_is_this_process():
    assert list(_engine.run(process, [(0,), (1,)])) == [os.getpid()] * 2
    assert list(_engine.run(square, [])) == []


def test_processes_keep_the_order_and_stop_at_an_error(tmp_path):
    jobs = [(n, tmp_path) for n in (2, 1, 0)]
    assert list(_engine.run(square, jobs, workers=2)) == [4, 1, 0]
    assert os.getpid() not in set(_engine.run(process, [(0,), (1,)], workers=2))
    results = _engine.run(square, [(n, tmp_path) for n in range(1, 40)], workers=2)
    assert [next(results), next(results)] == [1, 4]
    with pytest.raises(InvalidSpecError, match="three"):
        next(results)
    assert not (tmp_path / "39").exists()  # what has not begun never begins


def test_chunks_keep_the_order_and_are_never_empty():
    for count in (0, 1, 7, 1000):
        parts = _engine.chunks(list(range(count)), 3)
        assert [i for part in parts for i in part] == list(range(count))
        assert all(0 < len(part) <= 256 for part in parts)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InvalidSettingError, match="'ray'"):
        list(_engine.run(square, [(1,)], engine="dask"))
    with pytest.raises(InvalidSettingError, match="0 workers"):
        read_all(cells(2), workers=0)


def test_without_ray_it_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"archcast\[ray\]"):
        read_all(cells(2), engine="ray")


def test_reading_and_features_in_processes(light_models):
    items = [*cells(), *light_models[:2]]
    graphs = read_all(items, workers=2)
    assert graphs == read_all(items)
    assert [graph.name for graph in graphs] == [graph.name for graph in read_all(items)]
    both = [tabular(graphs, workers=workers).values for workers in (1, 2)]
    np.testing.assert_array_equal(*both)


def test_errors_come_in_the_place_of_their_graphs(light_models, tmp_path):
    text = tmp_path / "text.onnx"
    text.write_text("hello, this is no model")
    items = [cells()[0], text, "nasbench201:|nor_conv_3x3~0|", light_models[0]]
    for workers in (1, 2):
        found = read_all(items, workers=workers, errors="return")
        kinds = [type(item) for item in found if isinstance(item, ArchcastError)]
        assert kinds == [UnreadableModelError, InvalidSpecError]
        assert "text.onnx" in str(found[1])
        assert [found[0], found[3]] == read_all([items[0], items[3]])
        with pytest.raises((UnreadableModelError, InvalidSpecError)):
            read_all(items, workers=workers)


@pytest.fixture(scope="module")
def cluster():
    """A Ray of two CPUs on this machine, left as it was found."""
    ray = pytest.importorskip("ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield ray
    ray.shutdown()


@pytest.mark.slow
def test_ray_gives_the_same(cluster, tmp_path):
    items = cells()
    graphs = read_all(items, workers=2, engine="ray")
    assert graphs == read_all(items)
    features = tabular(graphs, workers=2, engine="ray").values
    np.testing.assert_array_equal(features, tabular(graphs).values)
    with pytest.raises(InvalidSpecError, match="three"):
        list(_engine.run(square, [(2,), (3,)], engine="ray"))
    assert cluster.is_initialized()  # not ours, so not stopped


def test_the_pool_hands_its_engine_on(mirror, tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    from archcast import datasets
    from archcast.datasets.pool import _build

    asked = []

    def run(function, jobs, *, workers, engine):
        asked.append((len(jobs), workers, engine))
        return _engine.run(function, jobs)

    monkeypatch.setattr(_build, "run", run)
    options = {"workers": 2, "engine": "ray", "progress": False}
    (made,) = datasets.build_pool("nasbench_bert", tmp_path, **options)
    assert made.architectures == 500
    assert asked == [(2, 2, "ray")]
