"""``archcast adapt``, and ``archcast predict`` by what it made."""

import json

import pytest

from archcast import cli, encoders, predict
from archcast.cli import _render
from archcast.encoders.spaces import get_space
from archcast.predictors import get_predictor, load_predictor

TASK = "cifar10/test_accuracy"


@pytest.fixture
def cells():
    return [f"nasbench201:{spec}" for spec in get_space("nasbench201").sample(12, seed=2)]


@pytest.fixture
def table(cells, tmp_path):
    """Cells whose networks score 5 points less than they are forecast to."""
    values = [forecast.value - 5 for forecast in predict(cells, task=TASK)]
    lines = [f"{cell},{value}" for cell, value in zip(cells, values, strict=True)]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join([f"spec,{TASK}", *lines]))
    return path


def adapt(capsys, *argv):
    code = cli.main(["adapt", *map(str, argv)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_measurements_bring_a_shipped_predictor_to_them(table, cells, tmp_path, capsys):
    model = tmp_path / "mine.safetensors"
    code, out, _ = adapt(capsys, "-l", table, "-t", TASK, "-o", model, "--json")
    row = json.loads(out)
    assert code == 0
    assert (row["labels"], row["model"]) == (12, str(model))
    assert 4 < row["before"] < 6
    assert row["after"] < row["before"] / 2
    assert cli.main(["predict", cells[0], "missing.onnx", "--model", str(model), "--json"]) == 2
    captured = capsys.readouterr()
    mine, missing = [json.loads(line) for line in captured.out.splitlines()]
    assert (mine["task"], mine["unit"]) == (TASK, "%")
    low, high = mine["interval"]
    assert low < mine["value"] < high
    assert mine["value"] < predict(cells[0], task=TASK).value - 2
    assert mine["familiarity"] in ("familiar", "near")
    assert mine["reason"]
    assert mine["macs"] == encoders.read(cells[0]).macs
    assert missing["file"] == "missing.onnx"
    # What was adapted once can be adapted again, under a name of one's own.
    argv = ["-l", table, "-t", "mine/top1", "--column", TASK, "-b", model]
    code, out, _ = adapt(capsys, *argv, "-o", tmp_path / "again.safetensors", "--json")
    assert json.loads(out)["before"] < row["after"] + 0.5
    assert cli.main(["predict", cells[0], "--model", str(tmp_path / "again.safetensors")]) == 0
    head, line = capsys.readouterr().out.splitlines()
    fields = dict(zip(head.split("\t"), line.split("\t"), strict=True))
    assert fields["task"] == "mine/top1"
    assert fields["familiarity"]
    assert float(fields["low"]) < float(fields["value"])


def test_a_terminal_shows_both(table, cells, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(_render, "is_terminal", lambda: True)
    model = tmp_path / "mine.safetensors"
    code, out, _ = adapt(capsys, "-l", table, "-t", TASK, "-o", model)
    assert (code, "error after" in out, "did not see" in out) == (0, True, True)
    assert cli.main(["predict", *cells[:2], "-m", str(model)]) == 0
    out = capsys.readouterr().out
    assert "90 % interval" in out
    assert f"task: {TASK}" in out


def test_one_label_adapts_but_says_nothing_of_others(table, tmp_path, capsys):
    one = tmp_path / "one.csv"
    one.write_text("\n".join(table.read_text().splitlines()[:2]))
    argv = ["-l", one, "-t", TASK, "-o", tmp_path / "a.safetensors", "--json"]
    code, out, err = adapt(capsys, *argv)
    assert err == "archcast: only 1 label: intervals are rough guesses\n"
    row = json.loads(out)
    assert (code, row["labels"], row["after"], row["kendall_after"]) == (0, 1, None, None)


def test_mistakes_are_one_line(table, tmp_path, capsys):
    model = tmp_path / "a.safetensors"
    for argv, words in (
        (["-l", table, "-t", TASK, "-o", model, "-b", "cifar10/acc"], "unknown task"),
        (["-l", table, "-t", TASK, "-o", model, "-b", "nope"], "'universal' or a .safetensors"),
        (["-l", table, "-t", "imagenet1k/top1", "-o", model], "no column"),
        (["-l", table, "-t", "imagenet1k/top1", "-o", model], "--column"),
        (["-l", "none.csv", "-t", TASK, "-o", model], "none.csv"),
        (["-l", table, "-t", TASK, "-o", "a.txt"], ".safetensors"),
        (["-l", table, "-t", TASK, "-o", model, "-b", "none.safetensors"], "no such file"),
    ):
        code, _, err = adapt(capsys, *argv)
        assert (code, len(err.splitlines())) == (2, 1), err
        assert words in err
    assert not model.exists()
    cell = table.read_text().splitlines()[1].split(",")[0]
    assert cli.main(["predict", cell, "-m", str(model)]) == 2
    assert "no such file" in capsys.readouterr().err
    assert cli.main(["predict", cell, "-m", str(model), "-t", TASK]) == 2
    assert "--task" in capsys.readouterr().err
    assert cli.main(["predict", cell, "-m", str(table)]) == 2
    assert "not a predictor" in capsys.readouterr().err


def test_a_task_of_ones_own_starts_from_the_universal_predictor(table, tmp_path, capsys):
    model = tmp_path / "mine.safetensors"
    code, out, _ = adapt(
        capsys, "-l", table, "-t", "mine/score", "--column", TASK, "-o", model, "--json"
    )
    row = json.loads(out)
    assert code == 0
    assert row["task"] == "mine/score"
    assert row["before"] is None  # scores are in no unit
    assert row["after"] < 20
    assert load_predictor(model).base.task == "mine/score"


def test_labels_that_teach_nothing_are_told(capsys):
    from archcast._adaptation import Adaptation
    from archcast.cli.adapt import _COLUMNS, _warn

    nan = float("nan")
    found = Adaptation(get_predictor("tabular"), 5, nan, 1.25, 0.1, -0.2)
    _warn(found)
    assert capsys.readouterr().err == (
        "archcast: tau after is -0.200: the labels taught nothing about the order\n"
    )
    shown = {c.key: c.text(vars(found)) for c in _COLUMNS if c.text}
    assert (shown["before"], shown["after"], shown["kendall_after"]) == ("-", "1.25", "-0.200")


def test_help_says_what_the_table_holds(capsys):
    _, out, _ = adapt(capsys, "--help")
    assert "file_path" in out
    assert "comma" in out
