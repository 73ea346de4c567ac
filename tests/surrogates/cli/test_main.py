"""The command line from end to end."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import archcast
from archcast import cli, encoders
from archcast.cli import _render, compare
from archcast.encoders.errors import UnreadableModelError

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|none~2|"
CONV = "nor_conv_3x3"
BETTER = f"|{CONV}~0|+|{CONV}~0|{CONV}~1|+|skip_connect~0|{CONV}~1|{CONV}~2|"
KEYS = {"file", "task", "value", "std", "interval", "familiarity", "rank"}
KEYS |= {"params", "macs", "seconds"}


@pytest.fixture
def models(tmp_path: Path, light_models: list[Path]) -> Path:
    """A folder with two good models and a text file that claims to be one."""
    for path in light_models:
        if path.stem in ("light_resnet50", "light_squeezenet"):
            shutil.copy(path, tmp_path / path.name.removeprefix("light_"))
    (tmp_path / "broken.onnx").write_text("not a model")
    return tmp_path


def run(capsys: pytest.CaptureFixture, *argv: str) -> tuple[int, str, list[str]]:
    code = cli.main(argv)
    captured = capsys.readouterr()
    return code, captured.out, captured.err.splitlines()


def test_predict_json_has_one_object_a_file_and_failures_do_not_stop_it(
    models: Path, capsys: pytest.CaptureFixture
) -> None:
    code, out, err = run(capsys, "predict", str(models), "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 2
    assert [Path(row["file"]).stem for row in rows] == ["broken", "resnet50", "squeezenet"]
    assert rows[0]["kind"] == "UnreadableModelError"
    assert err == [f"archcast: {rows[0]['file']}: {rows[0]['error']}"]
    for row in rows[1:]:
        assert row.keys() >= KEYS
        low, high = row["interval"]
        assert 0 <= low < row["value"] < high <= 100
        assert 0 <= row["rank"] <= 1
        assert row["task"] == "imagenet1k/top1"
        assert row["seconds"] > 0
    assert rows[2]["params"] < rows[1]["params"]


def test_predict_piped_is_a_table_a_program_can_read(
    models: Path, capsys: pytest.CaptureFixture
) -> None:
    code, out, err = run(capsys, "predict", str(models / "resnet50.onnx"), CELL)
    header, *lines = [line.split("\t") for line in out.splitlines()]
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    assert (code, err) == (0, [])
    assert [row["task"] for row in rows] == ["imagenet1k/top1", "cifar10/test_accuracy"]
    expected = archcast.predict(models / "resnet50.onnx")
    assert float(rows[0]["value"]) == pytest.approx(expected.value, abs=1e-6)
    ends = float(rows[0]["low"]), float(rows[0]["high"])
    assert ends == pytest.approx(expected.interval(0.9), abs=1e-6)
    assert expected.familiarity.reason in rows[0]["remarks"]


def test_predict_on_a_terminal_tells_failures_and_shows_the_rest(
    models: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_render, "is_terminal", lambda: True)
    code, out, err = run(capsys, "predict", f"{models}/*.onnx")
    assert code == 2
    assert len(err) == 1
    assert "resnet50.onnx" in out
    assert str(models) not in out
    assert "90 % interval" in out


def test_several_tasks_give_a_row_each(capsys: pytest.CaptureFixture) -> None:
    tasks = ["cifar100/test_accuracy", "cifar10/test_accuracy"]
    options = [option for task in tasks for option in ("--task", task)]
    code, out, _ = run(capsys, "predict", CELL, "--json", *options)
    assert code == 0
    assert [json.loads(line)["task"] for line in out.splitlines()] == tasks


def test_more_files_than_one_chunk_keep_their_order(
    models: Path, capsys: pytest.CaptureFixture
) -> None:
    names = [str(models / ("broken.onnx" if i % 7 == 3 else "squeezenet.onnx")) for i in range(70)]
    code, out, err = run(capsys, "predict", "--json", *names)
    assert code == 2
    assert [json.loads(line)["file"] for line in out.splitlines()] == names
    assert len(err) == sum("broken" in name for name in names)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["predct", "x.onnx"], ["predct", "predict"]),
        (["predict", "--taks", "x"], ["--taks", "--task"]),
        (["predict", "missing.onnx"], ["missing.onnx"]),
        (["predict", CELL, "--task", "cifar10/test_acuracy"], ["cifar10/test_accuracy"]),
        (["predict", CELL, "--input-shape", "1,a"], ["--input-shape 1,a", "1,3,224,224"]),
        (["predict", CELL, "--recipe", "epochs"], ["key=value"]),
        (["predict", CELL.replace("skip_connect", "skip")], ["skip"]),
        (["compare", CELL, "missing.onnx"], ["missing.onnx"]),
        (["show", CELL, "--out", "x.png"], [".svg", ".dot"]),
        (["datasets", "info", "nasbench20"], ["nasbench201"]),
        (["datasets", "fetch", "nasbench20"], ["nasbench201"]),
        (["pretrain", "--preset", "cor"], ["core"]),
    ],
)
def test_mistakes_get_one_line_that_helps(
    argv: list[str], words: list[str], capsys: pytest.CaptureFixture
) -> None:
    code, out, err = run(capsys, *argv)
    assert code == 2
    assert len(err) == 1
    assert err[0].startswith("archcast: ")
    assert all(word in err[0] for word in words), err[0]
    assert "value" not in out.replace("value\tunit", "")


def test_a_folder_without_models_says_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    code, _, err = run(capsys, "predict", str(tmp_path))
    assert code == 2
    assert err == [f"archcast: {tmp_path}: no .onnx file in this folder"]


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_no_text_does_not_break_the_output(models: Path) -> None:
    odd = os.fsencode(models) + b"/odd\xff.onnx"
    shutil.copy(os.fsencode(models / "squeezenet.onnx"), odd)
    for options in ([], ["--json"]):
        running = process("predict", os.fsdecode(odd), *options)
        out, err = running.communicate(timeout=30)
        assert (running.returncode, err) == (0, "")
        assert "odd\\udcff.onnx" in out


def test_called_bare_it_shows_its_help(capsys: pytest.CaptureFixture) -> None:
    code, out, err = run(capsys)
    assert (code, err) == (2, [])
    assert "predict" in out


def test_version(capsys: pytest.CaptureFixture) -> None:
    code, out, _ = run(capsys, "--version")
    assert code == 0
    assert out.startswith("archcast ")


def test_a_defect_in_one_file_is_reported_and_the_others_are_answered(
    models: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = encoders.read
    assert archcast.predict  # imported now, so that it keeps the real function after this test

    def read(obj, input_shape=None):
        if "squeezenet" in str(obj):
            raise ZeroDivisionError("oops")
        return real(obj, input_shape)

    monkeypatch.setattr(encoders, "read", read, raising=False)
    names = [str(models / f"{name}.onnx") for name in ("squeezenet", "resnet50")]
    code, out, err = run(capsys, "predict", *names, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 2
    assert "internal error, please report it: ZeroDivisionError: oops" in err[0]
    assert len(err) == 1
    assert "value" in rows[1]


def test_a_graph_that_spoils_a_batch_fails_alone(
    models: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = archcast.predict

    def predict(obj, **options):
        names = [g.name for g in (obj if isinstance(obj, list) else [obj])]
        if "squeezenet" in names:
            raise UnreadableModelError("cannot be scored")
        return real(obj, **options)

    monkeypatch.setattr(archcast, "predict", predict, raising=False)
    names = [str(models / f"{name}.onnx") for name in ("squeezenet", "resnet50")]
    code, out, err = run(capsys, "predict", *names, "--json")
    assert code == 2
    assert err == [f"archcast: {names[0]}: cannot be scored"]
    assert "value" in json.loads(out.splitlines()[1])


def test_debug_shows_the_traceback(
    models: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHCAST_DEBUG", "1")
    code, _, err = run(capsys, "predict", str(models / "broken.onnx"))
    assert code == 2
    assert err[0].startswith("Traceback")


def test_demo_has_the_nine_networks_and_what_was_published(capsys: pytest.CaptureFixture) -> None:
    code, out, err = run(capsys, "demo", "--json")
    rows = {row["network"]: row for row in map(json.loads, out.splitlines())}
    assert (code, err) == (0, [])
    assert len(rows) == 9
    assert rows["bvlc_alexnet"]["published"] == 54.8
    assert sum(row["published"] is not None for row in rows.values()) == 5
    assert {row["task"] for row in rows.values()} == {"imagenet1k/top1"}


def test_compare_a_network_with_itself_and_with_another(capsys: pytest.CaptureFixture) -> None:
    code, out, _ = run(capsys, "compare", CELL, CELL, "--json")
    same = json.loads(out)
    assert code == 0
    assert same["same"]
    assert (same["difference"], same["probability_b_better"]) == (0, 0.5)
    _, out, _ = run(capsys, "compare", CELL, BETTER, "--json")
    other = json.loads(out)
    assert other["difference"] == other["b"]["value"] - other["a"]["value"]
    assert other["probability_b_better"] > 0.5
    assert all(a != b for a, b in other["operators"].values())


def test_compare_judges_by_the_tasks_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    # A normal distribution's central 90 % are 3.29 standard deviations wide.
    a = {"hash": "a", "value": 10.0, "interval": [10.0, 10 + 3 * 3.2897], "task": "t"}
    b = {"hash": "b", "value": 15.0, "interval": [15.0, 15 + 4 * 3.2897], "task": "t"}
    chances = []
    for direction in ("max", "min"):
        task = type("Task", (), {"direction": direction})
        monkeypatch.setattr(archcast, "get_task", lambda _name, task=task: task, raising=False)
        verdict = compare.judge(a, b)
        assert verdict["difference_std"] == pytest.approx(5)
        chances.append(verdict["probability_b_better"])
    assert chances == pytest.approx([0.8413, 0.1587], abs=1e-4)  # one standard deviation


def test_show_summarises_and_draws(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for suffix, start in ((".svg", "<?xml"), (".dot", "digraph")):
        out_file = tmp_path / f"picture{suffix}"
        code, out, err = run(capsys, "show", str(models / "resnet50.onnx"), "-o", str(out_file))
        assert code == 0
        assert "4.09 G" in out
        assert err == [f"archcast: wrote {out_file}"]
        assert out_file.read_text().startswith(start)


def test_show_that_cannot_write_says_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "file").touch()
    code, _, err = run(capsys, "show", CELL, "-o", str(tmp_path / "file" / "x.svg"))
    assert code == 2
    assert len(err) == 1
    assert "x.svg" in err[0]


def test_tasks_and_datasets_are_listed(capsys: pytest.CaptureFixture) -> None:
    _, out, _ = run(capsys, "tasks", "--json")
    assert [json.loads(line)["task"] for line in out.splitlines()] == [
        task.name for task in archcast.tasks()
    ]
    code, out, _ = run(capsys, "datasets", "list")
    assert code == 0
    assert "nasbench201\t15625" in out
    _, out, _ = run(capsys, "datasets", "info", "nasbench201", "--json")
    assert json.loads(out)["rows"] == 15_625


def process(*argv: str, **options) -> subprocess.Popen:
    command = [sys.executable, "-c", "import sys; from archcast.cli import main; sys.exit(main())"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.Popen([*command, *argv], **pipes)


def writer(fifo: Path) -> int:
    """Opens a pipe as soon as somebody has begun to read it."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_ctrl_c_is_one_line_and_130(tmp_path: Path) -> None:
    fifo = tmp_path / "slow.onnx"
    os.mkfifo(fifo)
    # A shell's background jobs ignore Ctrl-C, and so do the processes they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        running = process("predict", str(fifo))
    finally:
        signal.signal(signal.SIGINT, before)
    held = writer(fifo)  # reading it waits for ever: nothing is written
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    os.close(held)
    assert (running.returncode, out.count("\n"), err) == (130, 1, "archcast: interrupted\n")


def test_a_reader_that_goes_away_ends_it_quietly(models: Path) -> None:
    running = process("predict", *[str(models / "squeezenet.onnx")] * 200)
    assert running.stdout is not None
    running.stdout.close()
    assert running.stderr is not None
    assert running.stderr.read() == ""
    running.stderr.close()
    assert running.wait(timeout=60) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        running = process("tasks", stdout=full)
        _, err = running.communicate(timeout=20)
    assert running.returncode == 2
    assert err.splitlines() == [f"archcast: {os.strerror(errno.ENOSPC)}"]


def test_a_forecast_loads_nothing_heavy(models: Path) -> None:
    code = (
        "import sys; from archcast.cli import main\n"
        f"assert main(['predict', {str(models / 'resnet50.onnx')!r}]) == 0\n"
        "heavy = {'torch', 'pandas', 'sklearn', 'lightgbm', 'scipy', 'transformers', 'pooch'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
