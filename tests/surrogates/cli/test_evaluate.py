"""``archcast evaluate``."""

import json

import pytest

from archcast import cli
from archcast.cli._inputs import UsageError, parse_settings
from archcast.encoders.errors import InvalidSettingError
from archcast.predictors import get_predictor, save_predictor

pytest.importorskip("lightgbm")
QUICK = ["--set", "rounds=20", "--set", "support=100", "--set", "folds=2"]
#: A small benchmark: what is published for it is nothing, but it takes a second.
ACROSS = ["--protocol", "leave-out/nasbench_bert", "--seeds", "1", "--most", "20"]


@pytest.fixture
def small(monkeypatch):
    """The transfer to one small space from one other."""
    from archcast.datasets import transfers

    found = transfers.Transfer(
        "leave-out/nasbench_bert",
        (transfers.QUALITY["transnas_micro"],),
        (transfers.QUALITY["nasbench_bert"],),
        "rank",
        "kendall",
        {"somebody": 0.123},
    )
    monkeypatch.setitem(transfers._TRANSFERS, found.name, found)


def test_protocols_are_listed(capsys):
    assert cli.main(["evaluate", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    named = {row["protocol"]: row for row in rows}
    assert named["nasbench201/all"]["labels"] == "78 156 469 781 1563"
    assert named["leave-out/nats_size"]["task"] == "cifar10/test_accuracy"


def test_a_table_and_files(mirror, small, capsys, tmp_path):
    out = tmp_path / "a.md"
    argv = ["evaluate", *ACROSS, *QUICK, "-o", str(out), "-o", str(tmp_path / "a.csv")]
    assert cli.main(argv) == 0
    head, row = capsys.readouterr().out.splitlines()
    fields = dict(zip(head.split("\t"), row.split("\t"), strict=True))
    assert (fields["predictor"], fields["labels"]) == ("tabular", "0")
    assert -1 <= float(fields["kendall"]) <= 1
    assert "somebody (published)" in out.read_text()
    assert (tmp_path / "a.csv").read_text().startswith("predictor,protocol,")


def test_several_predictors_share_a_table_and_a_file_is_one(mirror, small, capsys, tmp_path):
    from archcast.evaluation._networks import networks

    nets = networks("nasbench_bert")
    fitted = get_predictor("tabular", rounds=20, support=100, folds=2).fit(
        nets.encoded("tabular", nets.number), nets.labels("glue/average")
    )
    save_predictor(fitted, tmp_path / "mine.safetensors")
    names = ["-p", str(tmp_path / "mine.safetensors"), "-p", "tabular"]
    assert cli.main(["evaluate", *ACROSS, *names, "--json"]) == 0
    mine, other = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert mine["predictor"] == "mine"
    assert mine["kendall"] > other["kendall"]
    assert cli.main(["evaluate", *ACROSS, *names, *QUICK]) == 2
    assert "--set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--protocol", "nasbench201/al"], "did you mean nasbench201/all"),
        (["--protocol", "nasbench201/all", "-p", "tabulr"], "did you mean tabular"),
        (["--protocol", "nasbench201/all", "--set", "rounds"], "key=value"),
        (["--protocol", "nasbench201/all", "--set", "round=3"], "no parameter 'round'"),
        (["--protocol", "nasbench201/all", "-p", "none.safetensors"], "no such file"),
        (["--protocol", "nasbench201/all", "-o", "a.doc"], "a.doc: give .md"),
        (["--protocol", "leave-ou/nats_size"], "leave-out/nats_size"),
        (["--protocol", "nasbench101-nasbench201"], "nasbench101-to-nasbench201"),
        (["-p", "tabular"], "--protocol"),
        (["--protocol", "nasbench201/all", "--set", "rounds=abc"], "whole number, not 'abc'"),
        (["--protocol", "nasbench201/all", "-p", "conformal", "--set", "options=3"], "a table"),
        (
            ["--protocol", "nasbench201/all", "-p", "tabular", "-p", "device", "--set", "x=1"],
            "none of tabular, device",
        ),
    ],
)
def test_mistakes_are_one_line(argv, words, capsys):
    assert cli.main(["evaluate", *argv]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_settings_are_toml_or_bare_texts():
    texts = ["rounds=100", "rate = 1e-2", "transform=logit", "logs=['csv']", "frozen=true", "a=b=c"]
    assert parse_settings(texts) == {
        "rounds": 100,
        "rate": 0.01,
        "transform": "logit",
        "logs": ["csv"],
        "frozen": True,
        "a": "b=c",
    }
    assert parse_settings(['options={"trees":5}', "name={x"]) == {
        "options": {"trees": 5}, "name": "{x",
    }  # fmt: skip
    with pytest.raises(UsageError):
        parse_settings(["=3"])


def test_settings_go_to_the_predictors_that_have_them():
    from archcast.cli.evaluate import _shares

    settings = {"support": 100, "folds": 2}
    assert _shares(["tabular", "device"], settings) == [settings, {"support": 100}]
    assert _shares(["tabular"], {"x": 1}) == [{"x": 1}]  # whose error names those there are


def test_values_that_are_refused_below_are_told_with_the_settings():
    from archcast.cli.evaluate import _blaming

    refused = ValueError("Got -5")
    words = "tabular fails with --set rounds=-5: Got -5"
    with (
        pytest.raises(InvalidSettingError, match=words),
        _blaming({"rounds": -5}, "tabular"),
    ):
        raise refused
    with pytest.raises(ValueError, match="Got") as error, _blaming({}, "tabular"):
        raise refused
    assert error.value is refused
