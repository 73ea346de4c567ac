"""What a search found: the best, tables, files and pictures."""

import csv
import io
import json
import math

import numpy as np
import pytest

from archcast.encoders.errors import InvalidSettingError, StorageError
from archcast.search import Objective, SearchResult
from archcast.search.journal import Trial
from archcast.search.plot import plot_curves, plot_front, plot_map
from archcast.search.strategies.map_elites import EliteMap

ACCURACY = Objective("own/accuracy", unit="%")
LATENCY = Objective("latency", "min", "ms")
PNG = b"\x89PNG"


def trial(spec, *values, fidelity=1.0, state="done", seconds=2.0, note=""):
    return Trial(spec, fidelity, state, values, seconds, note)


@pytest.fixture
def one():
    trials = (
        trial("a", 90.0),
        trial("b", state="failed", seconds=math.nan, note="no, gpu"),
        trial("short", 99.0, fidelity=0.1),
        trial("c", 93.0),
        trial("d", 91.0),
        trial("e", state="running"),
    )
    return SearchResult("x", (ACCURACY,), trials, {"params": np.arange(6.0)}, "random")


@pytest.fixture
def two():
    measured = {"a": (90.0, 3.0), "b": (91.0, 4.0), "c": (89.0, 5.0), "d": (80.0, 1.0)}
    trials = tuple(trial(spec, *values) for spec, values in measured.items())
    return SearchResult("x", (ACCURACY, LATENCY), trials, {}, "nsga2")


def test_the_best_is_the_best_of_full_trainings(one):
    assert one.best.spec == "c"
    assert [t.spec for t in one.winners(9)] == ["c", "d", "a"]
    assert one.curve().tolist() == [90, 93, 93]
    assert one.seconds == 10
    assert one.front.specs == ("c",)


def test_several_objectives_are_ranked_by_fronts(two):
    assert two.front.specs == ("b", "a", "d")
    assert [t.spec for t in two.winners(4)] == ["b", "a", "d", "c"]
    assert two.curve(1).tolist() == [3, 3, 3, 1]


def test_nothing_measured_is_no_error():
    empty = SearchResult("x", (ACCURACY,), (), {})
    assert empty.best is None
    assert empty.winners() == []
    assert len(empty.front) == len(empty.curve()) == 0
    assert json.loads(empty.to_json())["trials"] == []
    assert empty.to_csv().startswith("spec,own/accuracy")
    with pytest.raises(InvalidSettingError, match="nothing was measured"):
        empty.save("x.png")


def test_json_holds_everything(one):
    found = json.loads(one.to_json())
    assert found["best"] == "c"
    assert found["objectives"] == [{"name": "own/accuracy", "direction": "max", "unit": "%"}]
    assert [t["state"] for t in found["trials"]] == [t.state for t in one.trials]
    assert found["trials"][1]["own/accuracy"] is None
    assert found["trials"][3] == {
        "spec": "c", "own/accuracy": 93.0, "params": 3.0, "fidelity": 1.0, "state": "done",
        "seconds": 2.0, "note": "",
    }  # fmt: skip


def test_csv_reads_back_in_full_precision(one):
    rows = list(csv.DictReader(io.StringIO(one.to_csv())))
    assert [row["spec"] for row in rows] == [t.spec for t in one.trials]
    assert rows[1]["own/accuracy"] == rows[1]["seconds"] == ""
    assert rows[1]["note"] == "no, gpu"
    assert float(rows[3]["own/accuracy"]) == 93.0


def test_markdown_has_the_best_first(one):
    lines = one.to_markdown(2).splitlines()
    assert lines[0] == "| spec | own/accuracy | params | seconds |"
    assert lines[2:] == ["| `c` | 93 | 3 | 2 |", "| `d` | 91 | 4 | 2 |"]


def test_pandas_has_a_row_a_trial(one):
    pytest.importorskip("pandas")
    frame = one.to_pandas()
    assert frame["spec"].tolist() == [t.spec for t in one.trials]
    assert frame["own/accuracy"].max() == 99


def test_files_by_their_ending(two, tmp_path):
    for name in ("r.json", "r.csv", "r.md"):
        two.save(tmp_path / name)
        assert (tmp_path / name).read_text()
    with pytest.raises(InvalidSettingError, match=r"\.json"):
        two.save(tmp_path / "r.xls")
    with pytest.raises(StorageError):
        two.save(tmp_path / "r.json" / "r.json")


# ------------------------------------------------------------------------------------ pictures
def test_pictures(one, two, tmp_path):
    pytest.importorskip("matplotlib")
    one.save(tmp_path / "curve.png")
    two.save(tmp_path / "front.svg")
    assert (tmp_path / "curve.png").read_bytes()[:4] == PNG
    text = (tmp_path / "front.svg").read_text()
    assert "<svg" in text
    two.save(tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text() == text


def test_curves_of_several_runs_have_an_interval():
    pytest.importorskip("matplotlib")
    runs = np.maximum.accumulate(np.random.default_rng(0).random((5, 20)), 1)
    alone = plot_curves({"a": runs[0]}, ACCURACY)
    assert alone[:4] == PNG
    assert plot_curves({"a": runs}, ACCURACY) != alone


def test_maps_of_two_costs():
    pytest.importorskip("matplotlib")
    edges = (np.array([1e5, 1e6, 1e7]), np.array([0.0, 1.0, 2.0, 3.0]))
    bins = np.array([[0, 0], [0, 2], [1, 1]])
    found = EliteMap(
        ("params", "latency"), edges, bins, ("a", "b", "c"), np.ones((3, 2)), np.arange(3.0)
    )
    assert plot_map(found, ACCURACY)[:4] == PNG
    flat = EliteMap(("params",), edges[:1], bins[:, :1], ("a",), np.ones((1, 1)), np.ones(1))
    with pytest.raises(InvalidSettingError, match="two costs"):
        plot_map(flat, ACCURACY)


def test_what_cannot_be_drawn(one, two):
    pytest.importorskip("matplotlib")
    with pytest.raises(InvalidSettingError, match="two objectives"):
        plot_front(one)
    with pytest.raises(InvalidSettingError, match="gif"):
        plot_front(two, "gif")
    with pytest.raises(InvalidSettingError, match="no curve"):
        plot_curves({}, ACCURACY)
