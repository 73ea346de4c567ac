"""``archcast search``: what it prints, writes, refuses, and how it goes on after a stop."""

import csv
import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from archcast import cli
from archcast.cli import _render
from archcast.encoders.spaces import SPACES, get_space
from archcast.search import DeviceCost, get_cost

MINE = """
import time
from archcast.encoders.spaces import Field, FieldSpace, get_space
from archcast.encoders.spaces.nats_size import NATSSize
from archcast.search import ChoiceSpace

def train(arch):
    return get_space("nats_size").graph(arch).macs / 1e6

def slowly(arch):
    print("training", arch)
    time.sleep(0.1)
    return train(arch)

def partly(arch, fidelity):
    return 50 * fidelity

def broken(arch):
    raise RuntimeError("no gpu")

class Mine(NATSSize):
    name = "mine"

class Broken(FieldSpace):
    name = "broken"
    fields = (Field("width", (1, 2, 3)),)

    def build(self, net, cell, num_classes, image_size):
        raise ValueError("odd")

def graph(choices):
    return get_space("nats_size").graph(":".join([str(8 * choices["width"])] * 5))

graphs = ChoiceSpace("graphs", {"width": [1, 2, 3, 4]}, graph)
text = "no function"
"""
OWN = ("--space", "nats_size", "--task", "own/macs", "--train-with", "mine_for_search:train")
SHIPPED = ("--task", "cifar10/test_accuracy")


@pytest.fixture(autouse=True)
def own_module(tmp_path, monkeypatch):
    (tmp_path / "mine_for_search.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])


def search(capsys, *argv):
    code = cli.main(["search", *argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err.splitlines()


def table(out):
    return list(csv.DictReader(out.splitlines(), delimiter="\t"))


# ------------------------------------------------------------------------------- what it finds
def test_forecasts_alone_say_that_nothing_is_trained(capsys):
    code, out, err = search(
        capsys, "--space", "nats_size", *SHIPPED, "--budget", "60", "--top", "3"
    )
    rows = table(out)
    assert code == 0
    assert list(rows[0]) == ["rank", "spec", "cifar10/test_accuracy", "low", "high"]
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    best = [float(row["cifar10/test_accuracy"]) for row in rows]
    assert best == sorted(best, reverse=True)
    assert all(float(r["low"]) < b < float(r["high"]) for r, b in zip(rows, best, strict=True))
    assert err == ["archcast: 60 candidates forecast, none trained: confirm the best by training"]


def test_a_task_without_a_shipped_predictor_is_ranked_and_said_to_be(capsys):
    argv = ("--space", "nats_size", "--task", "cifar10/val_accuracy", "--budget", "30")
    code, out, err = search(capsys, *argv)
    assert code == 0
    assert "low" not in table(out)[0]
    assert "no unit" in err[0]


@pytest.mark.slow
def test_forecasts_alone_look_at_very_many(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHCAST_CACHE", str(tmp_path / "cache"))
    argv = ("--space", "darts", *SHIPPED, "--option", "samples=300", "--option", "polish=50")
    code, out, err = search(capsys, *argv, "-c", "params<=3M", "--option", "shortlist=200")
    assert code == 0
    assert all(float(row["params"]) <= 3e6 for row in table(out))
    assert "rank correlation" in err[0]
    assert "forecast in full" in err[0]
    assert err[1] == (
        "archcast: 100,000 candidates forecast, none trained: confirm the best by training"
    )


def test_a_screened_journal_is_of_as_many_candidates(capsys):
    argv = ("--space", "nats_size", *SHIPPED, "--journal", "j.sqlite", "--budget")
    assert search(capsys, *argv, "30")[0] == 0
    code, out, err = search(capsys, *argv, "30", "--resume")
    assert (code, len(table(out))) == (0, 5)
    assert err == [
        "archcast: 30 architectures forecast, none trained: confirm the best by training"
    ]
    assert search(capsys, *argv, "40", "--resume")[0] == 2


def test_a_space_without_codes_is_evolved(capsys, tmp_path):
    argv = ("--space", "nasbench101", *SHIPPED, "--budget", "40", "--top", "2", "--save", "a.json")
    code, _, err = search(capsys, *argv)
    assert code == 0
    assert json.loads((tmp_path / "a.json").read_text())["strategy"] == "evolution"
    assert err[0].startswith("archcast: 40 architectures forecast")


@pytest.mark.parametrize(("strategy", "few"), [("forecast", "pool=40"), ("linas", "generations=2")])
@pytest.mark.parametrize("source", [{"train_with": "mine_for_search:train"}, {}])
def test_costs_are_looked_up_and_never_forecast(strategy, few, source):
    from archcast.cli._search_job import Wish, plan

    given = {"space": "darts", "task": SHIPPED[1], "strategy": strategy, "seed": 0,
             "objectives": ["params", "macs"], "constraints": (), "costs": (), "options": (few,),
             "benchmark": None, "train_with": None, "direction": None, **source}  # fmt: skip
    job = plan(Wish(**given))
    assert [target.name for target in job.strategy.targets] == [SHIPPED[1], "params", "macs"]
    specs = job.domain.sample(25, np.random.default_rng(0))
    for at, spec in enumerate(specs):
        costs = [-job.domain.cost(name, [spec])[0] for name in ("params", "macs")]
        job.strategy.tell(spec, [at, *costs])
    assert len(job.strategy.ask(2)) == 2
    models = job.strategy._forecasters if strategy == "forecast" else job.strategy._models
    assert [model is None for model in models] == [False, True, True]


def test_one_s_own_function_trains(capsys):
    code, out, err = search(
        capsys, *OWN, "--strategy", "evolution", "--budget", "20", "--top", "2", "--json",
        "--option", "population=5",
    )  # fmt: skip
    first, second = (json.loads(line) for line in out.splitlines())
    assert code == 0
    assert first["own/macs"] == get_space("nats_size").graph(first["spec"]).macs / 1e6
    assert first["own/macs"] >= second["own/macs"]
    assert (first["source"], first["rank"]) == ("training", 1)
    assert err[0].startswith("archcast: 20 trainings")


def test_several_objectives_and_constraints(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    code, out, err = search(
        capsys, *OWN, "--strategy", "nsga2", "--objective", "params", "-c", "params<=250k",
        "--budget", "30", "--plot", "front.png", "--save", "all.json",
    )  # fmt: skip
    assert code == 0
    assert all(float(row["params"]) <= 250e3 for row in table(out))
    assert "on the front" in err[0]
    assert (tmp_path / "front.png").read_bytes()[1:4] == b"PNG"
    trials = json.loads((tmp_path / "all.json").read_text())["trials"]
    assert len(trials) == 30
    assert {row["spec"] for row in table(out)} <= {t["spec"] for t in trials}


def test_map_elites_draws_its_map(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    code, out, _ = search(
        capsys, *OWN, "--strategy", "map-elites", "--cost", "params", "--cost", "layers",
        "--budget", "60", "--plot", "map.svg",
    )  # fmt: skip
    assert code == 0
    assert {"params", "layers"} <= set(table(out)[0])
    assert "<svg" in (tmp_path / "map.svg").read_text()


def test_a_table_in_place_of_training(capsys, mirror):
    from archcast import datasets

    argv = ("--benchmark", "nats_size", *SHIPPED, "--strategy", "random", "--budget", "25")
    code, out, err = search(capsys, *argv)
    data = datasets.load("nats_size")
    assert code == 0
    for row in table(out):
        assert float(row["cifar10/test_accuracy"]) == data.query(row["spec"], SHIPPED[1])
    assert err[0].startswith("archcast: 25 trainings looked up")


def test_the_best_are_exported(capsys, tmp_path):
    code, out, _ = search(
        capsys, "--space", "nats_size", *SHIPPED, "--budget", "20", "--top", "2", "--out", "best",
        "--formats", "spec,torch",
    )  # fmt: skip
    assert code == 0
    assert sorted(p.name for p in (tmp_path / "best").iterdir()) == [
        "best1.json", "best1.py", "best2.json", "best2.py",
    ]  # fmt: skip
    found = json.loads((tmp_path / "best" / "best1.json").read_text())
    first = table(out)[0]
    assert found["spec"] == first["spec"]
    assert found["forecast"]["value"] == float(first["cifar10/test_accuracy"])
    assert found["hash"] == get_space("nats_size").graph(first["spec"]).hash


def test_a_space_of_one_s_own(capsys):
    argv = ("--space", "mine_for_search:Mine", *SHIPPED, "--budget", "10", "--json")
    code, out, _ = search(capsys, *argv)
    assert code == 0
    assert json.loads(out.splitlines()[0])["space"] == "mine"


def test_what_cannot_be_written_is_told_and_the_rest_is_written(capsys, tmp_path):
    pytest.importorskip("onnxscript")
    argv = ("--space", "mine_for_search:graphs", *SHIPPED, "--budget", "4", "--top", "2")
    code, _, err = search(capsys, *argv, "--out", "best")
    assert code == cli.FAILED
    assert sorted(p.name for p in (tmp_path / "best").iterdir()) == ["best1.json", "best2.json"]
    assert [line.split(":")[1] for line in err if "can be written: spec" in line] == [
        " torch", " onnx",
    ]  # fmt: skip


def test_a_build_that_fails_is_no_error_of_the_library(capsys):
    code, _, err = search(capsys, "--space", "mine_for_search:Broken", *SHIPPED)
    assert code == cli.FAILED
    assert err[0] == "archcast: broken: build() failed for width=1: ValueError: odd"


def test_a_space_of_a_package_is_known_by_its_entry_point(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("archcast.encoders.spaces.SPACES", dict(SPACES))
    folder = tmp_path / "their_package-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[archcast.spaces]\nmine = mine_for_search:Mine\n")
    code, out, _ = search(capsys, "--space", "mine", *SHIPPED, "--budget", "10", "--json")
    assert code == 0
    assert json.loads(out.splitlines()[0])["space"] == "mine"


def test_equal_networks_are_told_once(capsys):
    code, out, _ = search(
        capsys, "--space", "nasbench201", *SHIPPED, "--budget", "300", "--top", "40"
    )
    space = get_space("nasbench201")
    hashes = [space.graph(row["spec"]).hash for row in table(out)]
    assert code == 0
    assert len(hashes) == len(set(hashes)) == 40


def test_strategies_are_listed(capsys):
    code, out, _ = search(capsys, "--list")
    rows = {row["strategy"]: row for row in table(out)}
    assert code == 0
    assert {"random", "evolution", "nsga2"} <= set(rows)
    assert rows["nsga2"]["objectives"] == "several"


def test_on_a_terminal_it_is_for_people(capsys, monkeypatch):
    monkeypatch.setattr(_render, "is_terminal", lambda: True)
    code, out, _ = search(capsys, "--space", "nats_size", *SHIPPED, "--budget", "10")
    assert code == 0
    assert "architecture" in out
    assert " % " in out


@pytest.mark.parametrize(("benchmark", "strange"), [("fbnet", True), ("nats_size", False)])
def test_a_device_that_was_never_measured_in_the_space(capsys, monkeypatch, benchmark, strange):
    macs = get_cost("macs")
    monkeypatch.setattr(DeviceCost, "held_out", {benchmark: None})
    monkeypatch.setattr(DeviceCost, "__call__", lambda self, graphs: macs(graphs) / 1e6)
    argv = ("--space", "nats_size", *SHIPPED, "--cost", "latency_ms:pixel3", "--budget", "5")
    code, _, err = search(capsys, *argv, "--strategy", "random")
    assert code == 0
    assert any("measured on fbnet, never on nats_size" in line for line in err) == strange


# -------------------------------------------------------------------------------- what it refuses
@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--space", "nats_size"), "name a task"),
        (SHIPPED, "name a space"),
        (("--space", "nats_sise", *SHIPPED), "did you mean 'nats_size'?"),
        (("--space", "nats_size", "--task", "cifar11/accuracy"), "nobody has measured"),
        (
            ("--space", "nats_size", "--task", "cifar10/test_acuracy"),
            "did you mean cifar10/test_accuracy or cifar100/test_accuracy?",
        ),
        (("--space", "nats_size", *SHIPPED, "--budget", "0"), "--budget 0: nothing"),
        (("--space", "nats_size", *SHIPPED, "-c", "params<=10"), "meets params<=10"),
        (("--space", "nats_size", *SHIPPED, "-c", "parms<=10M"), "did you mean params"),
        (("--space", "nats_size", *SHIPPED, "-c", "params"), "write one like"),
        (("--space", "nats_size", *SHIPPED, "--strategy", "evo"), "did you mean evolution?"),
        (("--space", "nats_size", *SHIPPED, "--option", "populaton=3"), "populaton"),
        (("--space", "nats_size", *SHIPPED, "--option", "population"), "name=value"),
        (("--space", "nats_size", *SHIPPED, "--direction", "min"), "goes with --train-with"),
        (("--space", "nats_size", *SHIPPED, "--resume"), "goes with --journal"),
        (("--space", "nats_size", *SHIPPED, "--retry-failed"), "goes with --resume"),
        (("--space", "nats_size", *SHIPPED, "--plot", "a.gif"), "it ends in .png"),
        (("--space", "nats_size", *SHIPPED, "--formats", "keras"), "spec,torch,onnx"),
        (("--space", "nats_size", *SHIPPED, "--benchmark", "nasbench201"), "is of the space"),
        (("--space", "mine_for_search:train", *SHIPPED), "not a Space"),
        ((*OWN[:-1], "mine_for_search:nothing"), "has no 'nothing'"),
        ((*OWN[:-1], "no_such_module:train"), "no module is called"),
        ((*OWN[:-1], "mine_for_search:text"), "not a function"),
        ((*OWN[:-1], "mine_for_search"), "module:function"),
        ((*OWN, "--benchmark", "nasbench201"), "two ways to measure"),
        ((*OWN, "--direction", "up"), "max or min"),
        ((*OWN, "--strategy", "successive-halving"), "asks for short ones"),
        (("--space", "nats_size", *SHIPPED, "--strategy", "successive-halving"), "of full ones"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_one_line(capsys, argv, message):
    code, out, err = search(capsys, *argv)
    assert (code, out) == (2, "")
    assert len(err) == 1
    assert message in err[0]


def test_a_function_that_always_fails(capsys):
    argv = (*OWN[:-1], "mine_for_search:broken", "--strategy", "random", "--journal", "j.sqlite")
    code, out, err = search(capsys, *argv)
    assert (code, out) == (2, "")
    assert "RuntimeError: no gpu" in err[0]
    again = (*OWN[:-1], "mine_for_search:broken", "--strategy", "random", "--journal", "j.sqlite")
    code, _, err = search(capsys, *again, "--resume", "--retry-failed")
    assert "5 failed" in err[1]


def test_trainings_that_are_all_short_leave_nothing_to_rank(capsys):
    argv = (*OWN[:-1], "mine_for_search:partly", "--strategy", "successive-halving", "-n", "5")
    code, out, err = search(capsys, *argv)
    assert (code, out) == (0, "")
    assert "larger budget" in err[0]


# ------------------------------------------------------------------------------------ journals
def test_a_journal_is_not_mixed_with_another_search_by_accident(capsys):
    argv = (*OWN, "--strategy", "random", "--journal", "j.sqlite", "--budget")
    assert search(capsys, *argv, "5")[0] == 0
    code, _, err = search(capsys, *argv, "9")
    assert code == 2
    assert "holds 5 trials; go on with --resume" in err[0]
    code, _, err = search(capsys, *argv, "9", "--resume")
    assert code == 0
    assert err[0].startswith("archcast: 9 trainings")
    other = ("--space", "nats_size", *SHIPPED, "--journal", "j.sqlite", "--resume")
    code, _, err = search(capsys, *other)
    assert code == 2
    assert "journal of a search with" in err[0]


def command(*argv):
    return [sys.executable, "-m", "archcast", "search", *argv]


def stopped(tmp_path, number):
    """A search that got a signal while it trained."""
    argv = (*OWN[:-1], "mine_for_search:slowly", "--strategy", "random", "--journal", "j.sqlite")
    # A shell's background jobs ignore Ctrl-C, and so do the processes they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            command(*argv), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.stderr is not None
    said = [process.stderr.readline() for _ in range(4)]
    process.send_signal(number)
    out, err = process.communicate(timeout=240)
    assert all(line.startswith("training") for line in said)  # not on stdout
    with sqlite3.connect(tmp_path / "j.sqlite") as database:
        states = [state for (state,) in database.execute("SELECT state FROM trials")]
    assert len(states) >= 3
    assert set(states) == {"done"}  # what was being measured was given back
    return process.returncode, out, err.splitlines()


@pytest.mark.slow
def test_ctrl_c_keeps_everything_and_says_how_to_go_on(tmp_path):
    code, out, err = stopped(tmp_path, signal.SIGINT)
    assert code == 130
    assert err[-1] == "archcast: interrupted"
    assert "go on with: archcast search" in err[-2]
    assert err[-2].endswith("--resume")
    assert out.startswith("rank\tspec")


@pytest.mark.slow
def test_a_scheduler_that_ends_it_loses_nothing(tmp_path):
    code, _, _ = stopped(tmp_path, signal.SIGTERM)
    assert code == 143


@pytest.mark.slow
def test_progress_is_live_on_a_terminal_and_never_on_stdout():
    master, slave = pty.openpty()
    argv = (*OWN, "--strategy", "random", "--budget", "10")
    process = subprocess.Popen(command(*argv), stdout=subprocess.PIPE, stderr=slave)
    out, _ = process.communicate(timeout=240)
    os.close(slave)
    shown = os.read(master, 100_000).decode()
    os.close(master)
    assert "searching" in shown
    assert "best" in shown
    assert out.decode().startswith("rank\tspec\town/macs")
    assert "searching" not in out.decode()


@pytest.mark.slow
def test_a_reader_that_goes_away():
    argv = ("--space", "nats_size", *SHIPPED, "--budget", "10")
    process = subprocess.Popen(
        command(*argv), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(timeout=240) == 141
    assert "Traceback" not in process.stderr.read()
