"""A small folder of the form of ONNX-Bench: files by search space, accuracies in their metadata."""

import csv
import io
import json
import tarfile
import zipfile

import pytest

from archcast.datasets import OnnxFolder
from archcast.datasets._csv_tables import read_columns
from archcast.encoders import read
from archcast.encoders.errors import StorageError, UnreadableModelError

ACCURACY = {"a_simplify/x": 0.5, "a_simplify/y": 0.6, "b_simplify/cifar10/0/z": 0.7}


@pytest.fixture
def folder(tmp_path, network):
    root = tmp_path / "bench"
    for at, (name, accuracy) in enumerate(ACCURACY.items()):
        path = root / f"{name}.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(network(8 + at, accuracy))
    (root / "a_simplify" / "broken.onnx").write_bytes(network(8, 0.5)[:300])
    (root / "a_simplify" / "plain.onnx").write_bytes(network(9))
    (root / "README.md").write_text("not a network")
    return root


def packed(root, path):
    files = sorted(root.rglob("*.onnx"))
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, file.relative_to(root).as_posix())
    else:
        with tarfile.open(
            path, "w" if path.suffix == ".tar" else f"w:{path.suffix[1:]}"
        ) as archive:
            for file in files:
                archive.add(file, file.relative_to(root).as_posix())
    return path


def values(rows):
    return {row.spec.removesuffix(".onnx"): row.value for row in rows}


FORMS = ["folder", "bench.zip", "bench.tar", "bench.tar.gz", "bench.tar.bz2", "bench.tar.xz"]


@pytest.mark.parametrize("form", FORMS)
def test_networks_and_labels_out_of_every_form(folder, tmp_path, form, network):
    source = folder if form == "folder" else packed(folder, tmp_path / form)
    bench = OnnxFolder(source, scale=100)
    rows = list(bench.stream())
    assert values(rows) == pytest.approx({name: 100 * acc for name, acc in ACCURACY.items()})
    assert [row.graph for row in rows] == [read(network(width)) for width in (8, 9, 10)]
    assert [row.graph.name for row in rows] == [row.spec for row in rows]
    assert [row.family for row in rows] == ["a_simplify", "a_simplify", "b_simplify"]
    assert bench.skipped == {"UnreadableModelError": 1, "no label": 1}
    assert list(bench.failures) == ["a_simplify/broken.onnx"]


def test_archives_inside_a_folder_are_looked_into(folder, tmp_path):
    outer = tmp_path / "hub"
    outer.mkdir()
    packed(folder, outer / "part0.zip")
    packed(folder, outer / "part1.tar.gz")
    rows = list(OnnxFolder(outer).stream())
    assert len(rows) == 6
    assert {row.family for row in rows} == {"part0.zip", "part1.tar.gz"}


@pytest.mark.parametrize("form", ["folder", "bench.zip", "bench.tar.gz"])
def test_a_stream_goes_on_where_another_stopped(folder, tmp_path, form, monkeypatch):
    source = folder if form == "folder" else packed(folder, tmp_path / form)
    whole = list(OnnxFolder(source).stream())
    first = OnnxFolder(source).take(1)
    bench = OnnxFolder(source)
    parsed = []
    monkeypatch.setattr(
        "archcast.encoders.read", lambda *args, **more: parsed.append(more) or read(*args, **more)
    )
    rest = list(bench.stream(start=first[-1].position + 1))
    assert first + rest == whole
    assert len(parsed) == len(rest)  # nothing of the first part is parsed again


def write_table(path, records):
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, records[0])
            writer.writeheader()
            writer.writerows(records)
    elif path.suffix == ".json":
        path.write_text(json.dumps(records))
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, records)))
    else:
        arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(arrow.Table.from_pylist(records), path)
    return path


@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl", ".parquet"])
def test_labels_from_a_table(folder, tmp_path, ending):
    records = [
        {"file_path": "a_simplify/x", "accuracy": 91.5, "dataset": "cifar10"},
        {"file_path": "./a_simplify/plain.onnx", "accuracy": 92.5, "dataset": "cifar10"},
        {"file_path": "a_simplify/broken", "accuracy": 93.5, "dataset": "cifar10"},
        {"file_path": "gone", "accuracy": 94.5, "dataset": "cifar10"},
    ]
    bench = OnnxFolder(folder, write_table(tmp_path / f"table{ending}", records))
    assert values(bench.stream()) == {"a_simplify/plain": 92.5, "a_simplify/x": 91.5}
    assert bench.skipped == {"UnreadableModelError": 1, "no label": 2, "no file": 1}


def test_a_mapping_of_numbers_is_a_table_too(folder, tmp_path):
    (tmp_path / "t.json").write_text(json.dumps({"a_simplify/y.onnx": 3}))
    assert values(OnnxFolder(folder, tmp_path / "t.json").stream()) == {"a_simplify/y": 3}


def test_a_key_of_the_metadata_can_be_named(folder):
    assert not list(OnnxFolder(folder, value_column="trained_on").stream())
    assert len(list(OnnxFolder(folder, value_column="accuracy").stream())) == 3


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("name,accuracy\na,1\n", {"value_column": "top1"}, "no column 'top1'"),
        ("name,speed\na,1\n", {}, "no column of accuracy"),
        ("name,accuracy\na,high\n", {}, "row 1, accuracy: 'high' is no number"),
        ("name,accuracy\n", {}, "no rows"),
        ("name,accuracy\na,1,2\n", {}, "row 1 has more fields"),
        ("", {}, "no rows"),
    ],
)
def test_faulty_tables(folder, tmp_path, text, options, said):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UnreadableModelError, match=said):
        OnnxFolder(folder, tmp_path / "t.csv", **options)


def test_faulty_sources(folder, tmp_path):
    with pytest.raises(StorageError, match="neither a folder nor"):
        list(OnnxFolder(tmp_path / "absent").stream())
    with pytest.raises(StorageError, match="cannot read"):
        OnnxFolder(folder, tmp_path / "absent.csv")
    with pytest.raises(StorageError, match="a table ends in"):
        OnnxFolder(folder, tmp_path / "table.xlsx")


@pytest.mark.parametrize("form", FORMS[1:])
def test_an_archive_that_is_cut_off_is_damaged_wherever(folder, tmp_path, form):
    whole = packed(folder, tmp_path / form).read_bytes()
    whole = whole.rstrip(b"\0")[:-1] if form.endswith(".tar") else whole  # it ends in zeros
    for share in (0.1, 0.3, 0.5, 0.7, 0.9, 0.95):
        (tmp_path / form).write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(UnreadableModelError, match=f"{form}: a damaged archive"):
            list(OnnxFolder(tmp_path / form).stream())


def test_one_damaged_member_is_skipped(folder, tmp_path):
    path = packed(folder, tmp_path / "bench.zip")
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        info = archive.getinfo("a_simplify/x.onnx")
    data[info.header_offset + 80] ^= 0xFF
    path.write_bytes(data)
    bench = OnnxFolder(path)
    assert len(list(bench.stream())) == 2
    assert "a_simplify/x.onnx" in bench.failures


def test_a_table_that_names_a_file_twice_is_refused(folder, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("path,accuracy\na_simplify/x,0.1\na_simplify/x.onnx,0.2\n")
    with pytest.raises(UnreadableModelError, match="row 2: 'a_simplify/x' has a label already"):
        OnnxFolder(folder, table)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"a,b\n1\n"),
        ("a.csv", b'a\n"' + b"x" * 200_000),
        ("a.csv", b"\xff"),
        ("a.csv", b""),
        ("a.csv.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\0" + b"rubbish" * 9),
    ],
)
def test_a_damaged_table_of_a_benchmark_is_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableModelError, match="not a table"):
        read_columns(path)
