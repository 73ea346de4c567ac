import csv
import json

import numpy as np
import pytest

from archcast.datasets import Benchmark, export
from archcast.encoders.errors import StorageError, UnknownTaskError

TOY = Benchmark(
    "toy",
    ["a,b", "c"],
    {"t/x": lambda: np.array([1.5, np.nan]), "t/y": lambda: np.array([0.1, 2.0])},
    lambda rows: [],
)


def test_csv_round_trips(tmp_path):
    export(TOY, tmp_path / "toy.csv")
    with (tmp_path / "toy.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["spec", "family", "t/x", "t/y"], ["a,b", "toy", "1.5", "0.1"],
                    ["c", "toy", "", "2.0"]]  # fmt: skip


def test_json_lines_hold_null_where_nothing_was_measured(tmp_path):
    export(TOY, tmp_path / "toy.jsonl", ["t/x"])
    lines = [json.loads(line) for line in (tmp_path / "toy.jsonl").read_text().splitlines()]
    assert lines[1] == {"spec": "c", "family": "toy", "t/x": None}


def test_parquet_has_nulls(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    export(TOY, tmp_path / "toy.parquet")
    table = pq.read_table(tmp_path / "toy.parquet")
    assert table["t/x"].to_pylist() == [1.5, None]


def test_other_endings_and_tasks_are_refused(tmp_path):
    with pytest.raises(StorageError, match=r"\.csv, \.jsonl, \.parquet"):
        export(TOY, tmp_path / "toy.xlsx")
    with pytest.raises(UnknownTaskError):
        export(TOY, tmp_path / "toy.csv", ["t/z"])
    assert not list(tmp_path.iterdir())
