"""``archcast proxies``: scores of files, cells and samples of a space."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from archcast import cli
from archcast.cli import _render
from archcast.encoders.spaces import get_space
from archcast.zero_cost import AGGREGATES, PROXIES, score

pytest.importorskip("torch")

CELL = "nasbench201:|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|none~2|"
#: A network whose convolutions are all gone.
EMPTY = "nasbench201:|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
SMALL = ("--samples", "2")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path / "cache"))


def run(capsys, *argv):
    code = cli.main(["proxies", *argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err.splitlines()


def test_json_has_an_object_a_network_and_failures_do_not_stop_it(capsys, tmp_path):
    (tmp_path / "broken.onnx").write_text("not a model")
    broken = str(tmp_path / "broken.onnx")
    code, out, err = run(capsys, CELL, broken, EMPTY, "-p", "nwot,params", "--json", *SMALL)
    first, second, third = (json.loads(line) for line in out.splitlines())
    assert code == 2
    assert err == [f"archcast: {broken}: {second['error']}"]
    expected = score([CELL], ["nwot", "params"], samples=2)
    assert first["scores"] == {name: values[0] for name, values in expected.items()}
    assert first["reasons"] == {}
    assert (first["file"], first["hash"]) == (CELL, get_space("nasbench201").graph(CELL).hash)
    assert third["scores"]["nwot"] is None
    assert "activation" in third["reasons"]["nwot"]


def test_piped_it_is_a_table_a_program_can_read(capsys):
    code, out, err = run(capsys, CELL, EMPTY, "-p", "params", "-p", "nwot,params", *SMALL)
    rows = list(csv.DictReader(out.splitlines(), delimiter="\t"))
    assert (code, err) == (0, [])
    assert list(rows[0]) == ["file", "hash", "params", "nwot", "remarks"]
    assert float(rows[0]["nwot"]) == score([CELL], ["nwot"], samples=2)["nwot"][0]
    assert rows[1]["remarks"].startswith("nwot: ")


@pytest.mark.parametrize("count", [2, 6])
def test_on_a_terminal_it_is_for_people(capsys, monkeypatch, count):
    monkeypatch.setattr(_render, "is_terminal", lambda: True)
    code, out, _ = run(capsys, *[EMPTY] * count, "-p", "trainable_layers,nwot", *SMALL)
    assert code == 0
    lines = out.splitlines()
    assert any(line.startswith("proxy" if count == 2 else "network") for line in lines)
    assert f"({count} of {count})" in out
    assert (f"B: {EMPTY}" in out) == (count == 2)
    assert "nan" not in out


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_sample_of_a_space_as_a_file(capsys, tmp_path, ending):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    path = tmp_path / f"scores.{ending}"
    options = ("--space", "nasbench201", "--sample", "40", "--seed", "3", "-o", str(path))
    code, out, err = run(capsys, *options, "-p", "flops,trainable_layers")
    assert (code, out, err) == (0, "", [f"archcast: wrote {path}"])
    table = pandas.read_csv(path) if ending == "csv" else pandas.read_parquet(path)
    space = get_space("nasbench201")
    texts = space.sample(40, seed=3)
    assert table["file"].tolist() == [f"nasbench201:{text}" for text in texts]
    assert table["hash"].tolist() == [graph.hash for graph in space.graphs(texts)]
    assert table["flops"].tolist() == [2 * graph.macs for graph in space.graphs(texts)]


def test_missing_scores_are_empty_fields(capsys, tmp_path):
    path = tmp_path / "scores.csv"
    run(capsys, EMPTY, "-p", "nwot", "-o", str(path), *SMALL)
    row = next(csv.DictReader(path.read_text().splitlines()))
    assert row["nwot"] == ""
    assert row["remarks"].startswith("nwot: ")


def test_options_reach_the_scores(capsys):
    def nwot(*options):
        return json.loads(run(capsys, CELL, "-p", "nwot", "--json", *options)[1])["scores"]["nwot"]

    expected = score([CELL], ["nwot"], samples=2, seed=5, init="xavier", cache=False)["nwot"][0]
    assert nwot(*SMALL, "--seed", "5", "--init", "xavier", "--no-cache") == expected
    assert nwot(*SMALL) != expected


def test_networks_come_with_their_input_shape(capsys, light_models: list[Path], tmp_path):
    path = next(p for p in light_models if "squeezenet" in p.name)
    shutil.copy(path, tmp_path / "s.onnx")
    code, out, _ = run(capsys, str(tmp_path), "-p", "flops", "--json")
    assert code == 0
    assert json.loads(out)["scores"]["flops"] > 1e8
    code, _, err = run(capsys, CELL, "-p", "flops", "--input-shape", "1,3,8,8")
    assert code == 2
    assert "input_shape" in err[0]


def test_all_and_classic_are_groups(capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "archcast.zero_cost.score",
        lambda _graphs, names, **_options: asked.append(names) or score([], names),
    )
    for names in ("all", "classic", "zico,classic"):
        cli.main(["proxies", CELL, "-p", names])
    capsys.readouterr()
    assert [len(names) for names in asked] == [len(PROXIES), 13, 14]
    assert asked[2][:2] == ("zico", "params")


def test_the_list_says_what_each_is(capsys, monkeypatch):
    code, out, _ = run(capsys, "--list", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [row["proxy"] for row in rows] == list(PROXIES)
    assert all(row["formula"] and row["reference"] for row in rows)
    assert sum(row["classic"] for row in rows) == 13
    plain = run(capsys, "--list")[1].splitlines()
    assert len(plain) == 1 + len(PROXIES)
    monkeypatch.setattr(_render, "is_terminal", lambda: True)
    assert "ICLR" in run(capsys, "--list")[1]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--json"], ["--space", "--sample"]),
        ([CELL, "--space", "nasbench201", "--sample", "3"], ["--space"]),
        (["--space", "nasbench201"], ["--sample"]),
        ([CELL, "--sample", "3"], ["--space", "--samples is"]),
        (["--sample", "3"], ["--space", "--samples is"]),
        ([CELL, "--space", "nasbench201"], ["without files"]),
        (["--list", CELL], ["--list scores nothing"]),
        (["--list", "--space", "nasbench201"], ["--list scores nothing"]),
        (["--list", "-p", "nwto"], ["nwot"]),
        (["--space", "nasbench20", "--sample", "3"], ["nasbench201"]),
        (["--space", "nasbench201", "--sample", "99999"], ["15,625"]),
        ([CELL, "-p", "nwto"], ["nwot"]),
        ([CELL, "-p", "nwot,"], ["between commas"]),
        ([CELL, "-p", ","], ["name at least one proxy"]),
        ([CELL, "-p", ""], ["name at least one proxy"]),
        ([CELL, "-p", "az_nas"], ["aggregate of az_expressivity", "--aggregate az_nas"]),
        ([CELL, "--aggregate", "nwot"], list(AGGREGATES)),
        ([CELL, "-p", "nwot", "--device", "tpu"], ["--device tpu: no such device"]),
        ([CELL, "-p", "nwot", "--device", "abacus"], ["abacus"]),
        ([CELL, "-p", "nwot", "--init", "zeros"], ["kaiming"]),
        ([CELL, "-p", "nwot", "--engine", "spark"], ["ray"]),
        ([CELL, "-p", "nwot", "-o", "scores.xlsx"], [".parquet"]),
        ([CELL, "-p", "nwot", "-s", "1,a"], ["--input-shape"]),
        (["missing.onnx", "-p", "nwot"], ["missing.onnx"]),
    ],
)
def test_mistakes_get_one_line_that_helps(capsys, argv, words):
    code, out, err = run(capsys, *argv)
    assert code == 2
    assert out == ""
    assert len(err) == 1
    assert len(err[0]) < 250
    assert err[0].startswith("archcast: ")
    assert all(word in err[0] for word in words), err[0]


def test_a_missing_file_is_named_once(capsys):
    _, _, err = run(capsys, "missing.onnx", "-p", "params")
    assert err == ["archcast: missing.onnx: No such file or directory"]


def test_without_cuda_the_option_is_named(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    _, _, err = run(capsys, CELL, "-p", "nwot", "--device", "cuda")
    assert len(err) == 1
    assert "take --device cpu" in err[0]


def test_a_file_stays_as_it_was_when_nothing_was_scored(capsys, tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("of yesterday\n")
    code, _, err = run(capsys, "missing.onnx", "gone.onnx", "-p", "params", "-o", str(path))
    assert code == 2
    assert path.read_text() == "of yesterday\n"
    assert err[-1] == f"archcast: {path}: not written, for nothing was scored"


def test_a_file_with_part_of_what_was_asked_for_is_told(capsys, tmp_path):
    path = tmp_path / "scores.csv"
    code, _, err = run(capsys, "missing.onnx", CELL, "-p", "params", "-o", str(path))
    assert code == 2
    assert err[-1] == f"archcast: wrote {path}, 1 of 2 networks: 1 failed"
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize("form", ["--json", "", "-o"])
def test_an_aggregate_joins_the_ranks_of_all_networks(capsys, tmp_path, form):
    space = ("--space", "nasbench201", "--sample", "40", "--seed", "3")
    path = tmp_path / "scores.csv"
    options = (form, str(path)) if form == "-o" else (form,) if form else ()
    code, out, _ = run(capsys, *space, "-p", "params", "--aggregate", "te_nas", *options, *SMALL)
    assert code == 0
    if form == "--json":
        rows = [json.loads(line)["scores"] for line in out.splitlines()]
    elif form:
        rows = list(csv.DictReader(path.read_text().splitlines()))
    else:
        rows = list(csv.DictReader(out.splitlines(), delimiter="\t"))
    names = ["params", *AGGREGATES["te_nas"].proxies, "te_nas"]
    assert [name for name in rows[0] if name not in ("file", "hash", "remarks")] == names
    specs = get_space("nasbench201").sample(40, seed=3)
    cells = [f"nasbench201:{text}" for text in specs]
    expected = AGGREGATES["te_nas"](score(cells, AGGREGATES["te_nas"].proxies, samples=2, seed=3))
    assert [float(row["te_nas"]) for row in rows] == pytest.approx(expected.tolist())


def test_an_aggregate_alone_scores_what_it_is_of(capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "archcast.zero_cost.score",
        lambda _graphs, names, **_options: asked.append(names) or score([], names),
    )
    cli.main(["proxies", CELL, "--aggregate", "az_nas,vote"])
    capsys.readouterr()
    assert asked[0] == tuple(
        dict.fromkeys(AGGREGATES["az_nas"].proxies + AGGREGATES["vote"].proxies)
    )


def test_an_aggregate_of_no_scores_is_empty_and_says_why(capsys):
    code, out, _ = run(capsys, EMPTY, "missing.onnx", "-a", "vote", "--json", *SMALL)
    row = json.loads(out.splitlines()[0])
    assert code == 2
    assert row["scores"]["vote"] is None
    assert "no network has any" in row["reasons"]["vote"]


def test_the_list_can_be_of_a_few_and_says_what_differs(capsys):
    code, out, _ = run(capsys, "--list", "-p", "meco,nwot")
    rows = list(csv.DictReader(out.splitlines(), delimiter="\t"))
    assert code == 0
    assert [row["proxy"] for row in rows] == ["meco", "nwot"]
    assert [row["remark"] for row in rows] == [PROXIES["meco"].remark, ""]


def test_a_file_that_cannot_be_written_is_one_line(capsys, tmp_path):
    (tmp_path / "file").touch()
    out = str(tmp_path / "file" / "scores.csv")
    code, _, err = run(capsys, CELL, "-p", "flops", "-o", out)
    assert code == 2
    assert len(err) == 1
    assert "scores.csv" in err[0]
