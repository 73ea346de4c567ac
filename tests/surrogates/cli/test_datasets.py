"""``archcast datasets build``, ``stats`` and ``export``."""

import json

import pytest

from archcast import cli, datasets

pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def pool(mirror, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    assert cli.main(["datasets", "build", "nasbench_bert", "--pool", str(folder)]) == 0
    return folder


def test_build_tells_what_it_made(pool, capsys):
    assert cli.main(["datasets", "build", "nasbench_bert", "--pool", str(pool)]) == 0
    head, row = capsys.readouterr().out.splitlines()
    fields = dict(zip(head.split("\t"), row.split("\t"), strict=True))
    assert (fields["benchmark"], fields["architectures"]) == ("nasbench_bert", "500")


def test_statistics_come_as_json_and_as_markdown(pool, capsys):
    assert cli.main(["datasets", "stats", "--pool", str(pool), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["architectures"] == 500
    assert 0 < row["hashes"] <= 500
    assert cli.main(["datasets", "stats", "--pool", str(pool), "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| benchmark |")
    assert lines[2].startswith("| nasbench_bert |")
    assert len({line.count("|") for line in lines}) == 1


def test_nothing_built_is_one_line(tmp_path, capsys):
    assert cli.main(["datasets", "stats", "--pool", str(tmp_path)]) == 2
    assert "archcast datasets build" in capsys.readouterr().err


def test_export_writes_every_specification(mirror, tmp_path, capsys):
    out = tmp_path / "bert.csv"
    assert cli.main(["datasets", "export", "nasbench_bert", "-o", str(out)]) == 0
    lines = out.read_text().splitlines()
    assert len(lines) == 501
    assert lines[0].split(",")[:2] == ["spec", "family"]
    assert set(lines[0].split(",")[2:]) == set(datasets.load("nasbench_bert").tasks)
    assert cli.main(["datasets", "export", "nasbench_bert", "-o", str(tmp_path / "x.doc")]) == 2
    assert ".parquet" in capsys.readouterr().err
