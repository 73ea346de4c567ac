"""A table of one's own as a benchmark."""

import numpy as np
import pytest

from archcast import datasets
from archcast.datasets import from_csv
from archcast.encoders import read
from archcast.encoders.errors import InvalidSpecError, StorageError, UnreadableModelError
from archcast.encoders.spaces import get_space

CELLS = get_space("nasbench201").sample(3, seed=1)


@pytest.fixture
def table(tmp_path, monkeypatch, network):
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path / "cache"))
    (tmp_path / "models").mkdir()
    for name, width in (("a", 8), ("b", 12), ("same", 8)):
        (tmp_path / "models" / f"{name}.onnx").write_bytes(network(width))
    path = tmp_path / "measured.csv"
    path.write_text(
        "file,cifar10/test_accuracy,latency_ms,family\n"
        "models/a.onnx,93.1,1.5,one\n"
        "models/b.onnx,91.4,,two\n"
        f"{tmp_path}/models/same.onnx,90,3,one\n"
    )
    return path


def test_files_with_accuracies(table, network):
    own = from_csv(table)
    assert (own.name, own.space, len(own)) == ("measured", "measured", 3)
    assert own.tasks == ("cifar10/test_accuracy", "latency_ms")
    np.testing.assert_array_equal(own.labels("latency_ms"), [1.5, np.nan, 3])
    assert own.families == ("one", "two", "one")
    assert own.query("models/b.onnx", "cifar10/test_accuracy") == 91.4
    assert own.graphs() == [read(network(width)) for width in (8, 12, 8)]
    assert [graph.name for graph in own.graphs()] == ["a", "b", "same"]
    with pytest.raises(InvalidSpecError, match=r"no measurement of 'models/c\.onnx'"):
        own.query("models/c.onnx", "latency_ms")


def test_graphs_are_kept_by_the_content_of_the_file(table, monkeypatch, network):
    calls = []
    original = datasets._own.encoders.read_all
    monkeypatch.setattr(
        datasets._own.encoders,
        "read_all",
        lambda objs, *more: calls.extend(list(objs)) or original(objs, *more),
    )
    own = from_csv(table)
    own.graphs()
    assert [path.stem for path in calls] == ["a", "b"]  # the third has the content of the first
    from_csv(table).graphs()
    assert len(calls) == 2
    (table.parent / "models" / "b.onnx").write_bytes(network(16))
    assert own.graphs([1]) == [read(network(16))]
    assert len(calls) == 3
    for kept in (table.parent / "cache").rglob("*.npz"):
        kept.write_bytes(b"damaged")
    assert own.graphs([1]) == [read(network(16))]


def test_specifications_of_one_space(tmp_path):
    path = tmp_path / "cells.csv"
    path.write_text("arch,acc,note\n" + "".join(f"{c},{at},x\n" for at, c in enumerate(CELLS)))
    own = from_csv(path, space="nasbench201", tasks=["acc"], name="mine")
    assert (own.name, own.space, own.tasks) == ("mine", "nasbench201", ("acc",))
    assert own.graphs() == get_space("nasbench201").graphs(CELLS)
    assert own.query(f"nasbench201:{CELLS[2]}", "acc") == 2
    with pytest.raises(UnreadableModelError, match=r"row 1, column note: 'x' is no number"):
        from_csv(path, space="nasbench201")


def test_files_and_specifications_mixed(table, network):
    with table.open("a") as file:
        file.write(f"nasbench201:{CELLS[0]},80,,cell\n")
    own = from_csv(table)
    assert own.graphs([3, 0]) == [get_space("nasbench201").graph(CELLS[0]), read(network(8))]


@pytest.mark.parametrize(
    ("row", "options", "error", "said"),
    [
        ("models/c.onnx,1,1,", {}, StorageError, "row 4: 'models/c.onnx' is no file below"),
        ("models/a.onnx,1,1,", {}, InvalidSpecError, "row 4: 'models/a.onnx' stands in row 1"),
        ("nasbench201:|x|,1,1,", {}, InvalidSpecError, "row 4: .*nasbench201"),
        (",1,1,", {}, StorageError, "row 4: '' is no file"),
        ("models,1,1,", {}, StorageError, "row 4: 'models' is no file"),
        ("", {"spec": "net"}, UnreadableModelError, "no column 'net'"),
        ("", {"tasks": ["top1"]}, UnreadableModelError, "no column 'top1'"),
        ("models/c.onnx,1", {}, UnreadableModelError, "row 4 has fewer fields"),
        ("models/c.onnx,1,1,,5", {}, UnreadableModelError, "row 4 has more fields"),
        ("models/c.onnx,1,fast,", {}, UnreadableModelError, "row 4, column latency_ms: 'fast'"),
    ],
)
def test_faults_are_named_with_their_row(table, row, options, error, said):
    with table.open("a") as file:
        file.write(row + "\n")
    with pytest.raises(error, match=said):
        from_csv(table, **options)


@pytest.mark.parametrize("text", ["5", "null", '"text"', "[1]", "[]", "{}", "[" * 100_000])
def test_json_that_is_no_table(tmp_path, text):
    path = tmp_path / "measured.json"
    path.write_text(text)
    with pytest.raises(UnreadableModelError, match=r"measured\.json"):
        from_csv(path)


def test_a_file_that_is_no_network_is_named(table):
    (table.parent / "models" / "b.onnx").write_bytes(b"rubbish")
    own = from_csv(table)
    with pytest.raises(UnreadableModelError, match=r"models/b\.onnx"):
        own.graphs()


def test_documented_example_is_short():
    code = str(from_csv.__doc__).split("needed::")[1].split("Instead of")[0]
    assert len([line for line in code.splitlines() if line.strip()]) < 20


def test_one_task_may_be_given_as_a_text(tmp_path):
    (tmp_path / "own.csv").write_text("spec,t/x,t/y\n64:64:56:64:24,1,2\n")
    assert from_csv(tmp_path / "own.csv", tasks="t/y", space="nats_size").tasks == ("t/y",)
