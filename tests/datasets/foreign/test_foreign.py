"""Foreign code: what it may not do, and that nothing of it reaches the caller but checked data."""

import json
import platform
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("torch")

from archcast.datasets.benchmarks._lemur_graphs import graph_of
from archcast.datasets.foreign import _process, _sandbox, _worker
from archcast.datasets.foreign._process import ForeignCode
from archcast.datasets.foreign._sandbox import WALLS, Limits
from archcast.encoders._torch.capture import Recording
from archcast.encoders.errors import MissingExtraError, SandboxError

SETTING = {"input": (1, 3, 8, 8), "out_shape": (10,)}
NET = """
import os, time
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.linear = nn.Linear(3 * in_shape[2] * in_shape[3], out_shape[0])
        act()
    def forward(self, x):
        return torch.relu(self.linear(x.flatten(1)))
def act():
"""
needs_walls = pytest.mark.skipif(
    bool(_sandbox.missing()), reason="needs a kernel with seccomp and Landlock"
)


def source(deed: str) -> str:
    return NET + textwrap.indent(textwrap.dedent(deed).strip(), "    ") + "\n"


@pytest.fixture(scope="module")
def worker():
    with ForeignCode(Limits(seconds=8, megabytes=512, result_megabytes=1)) as worker:
        yield worker


@pytest.fixture(scope="module")
def honest(worker):
    done = worker.convert(source("pass"), [SETTING])
    assert isinstance(done.results[0], Recording)
    return graph_of(done.texts[0], "net")


@needs_walls
def test_an_honest_source_gives_its_graph_behind_all_walls(worker, honest):
    done = worker.convert(source("pass"), [SETTING, {**SETTING, "out_shape": (7,)}])
    assert done.held == WALLS
    assert done.on == ["meta", "meta"]
    assert honest.ops == ["input", "linear", "relu", "output"]
    assert honest.params == 192 * 10 + 10
    assert graph_of(done.texts[1], "net").output_shape == (1, 7)


@needs_walls
@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("open('/etc/passwd').read()", "PermissionError"),
        ("os.listdir('/root')", "PermissionError"),
        ("open('/proc/self/environ').read()", "PermissionError"),
        ("open('here', 'w').write('x')", "may not write files"),
        ("os.open('/tmp/archcast-there', os.O_CREAT | os.O_WRONLY)", "may not write files"),
        ("import socket; socket.socket()", "socket.__new__"),
        ("os.fork()", "os.fork"),
        ("os.kill(os.getppid(), 9)", "os.kill"),
        ("os.execv('/bin/sh', ['sh'])", "os.exec"),
        ("import subprocess; subprocess.run(['ls'])", "subprocess.Popen"),
        ("import ctypes; ctypes.CDLL(None)", "ctypes.dlopen"),
        ("import threading; threading.Thread(target=print).start()", "can't start new thread"),
        ("import numpy; numpy.ones(1 << 28)", "MemoryError"),
        ("raise SystemExit(1)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def deeper(): deeper()\ndeeper()", "RecursionError"),
        ("os._exit(3)", "no answer"),
        ("os.abort()", "SIGABRT"),
        ("while True: os.write(3, b'x' * 65536)", "result too large"),
        ("os.write(3, b'[[[[' * 1000); os._exit(0)", "no answer"),
        ("os.write(3, b'{\"held\": [], \"results\": []}'); os._exit(0)", "no answer"),
        ("os.write(3, b'{\"held\": [], \"results\": [{\"recording\": 7}]}'); os._exit(0)",
         "not a recording"),
    ],
)  # fmt: skip
def test_a_hostile_source_gets_nowhere(worker, deed, reason):
    done = worker.convert(source(deed), [SETTING])
    assert reason in str(done.results[0])
    assert done.texts == [""]


@needs_walls
@pytest.mark.parametrize("deed", ["while True: pass", "time.sleep(1000)"])
def test_time_ends(worker, monkeypatch, deed):
    monkeypatch.setattr(worker, "limits", Limits(seconds=1))
    done = worker.convert(source(deed), [SETTING])
    assert done.results == ["out of time"]
    assert done.seconds < 3


@needs_walls
def test_output_goes_nowhere(worker, honest, capfd):
    done = worker.convert(source("for _ in range(1000): print('x' * 1000)"), [SETTING])
    assert graph_of(done.texts[0], "net") == honest
    assert capfd.readouterr() == ("", "")


@needs_walls
def test_lies_stay_with_the_liar(worker, honest):
    lie = """
        from archcast.encoders._torch import record
        nn.Linear.forward = lambda self, x: x
        torch.relu = torch.sigmoid
        record.Step = None
    """
    done = worker.convert(source(lie), [SETTING])
    assert not done.texts[0] or graph_of(done.texts[0], "net") != honest
    again = worker.convert(source("pass"), [SETTING])
    assert graph_of(again.texts[0], "net") == honest


@needs_walls
def test_an_architecture_drawn_at_random_is_no_architecture(worker):
    width = "nn.Linear(3 * in_shape[2] * in_shape[3], out_shape[0])"
    wider = f"nn.Sequential({width}, nn.Linear(10, random.randint(1, 99)))"
    drawn = source("pass").replace(width, wider)
    done = worker.convert("import random\n" + drawn, [SETTING])
    assert done.results == ["run: draws its architecture at random"]
    weights = source("random.random()")  # numbers alone may be random
    assert worker.convert("import random\n" + weights, [SETTING]).texts[0]


@needs_walls
def test_a_choice_that_two_seeds_agree_on_is_seen_too(worker):
    random.seed(0)
    first = [random.randrange(3) for _ in range(6)]
    random.seed(1)
    agreed = next(i for i, number in enumerate(first) if random.randrange(3) == number)
    width = "nn.Linear(3 * in_shape[2] * in_shape[3], out_shape[0])"
    choice = f"[random.randrange(3) for _ in range({agreed + 1})][-1]"
    drawn = source("pass").replace(width, f"nn.Sequential({width}, nn.Linear(10, 5 + {choice}))")
    done = worker.convert("import random\n" + drawn, [SETTING])
    assert done.results == ["run: draws its architecture at random"]


@needs_walls
def test_a_dead_worker_is_replaced(worker, honest):
    assert worker._worker is not None
    worker._worker.kill()
    worker._worker.wait()
    assert graph_of(worker.convert(source("pass"), [SETTING]).texts[0], "net") == honest


@needs_walls
def test_no_answer_of_any_worker_is_a_passing_end(monkeypatch):
    with ForeignCode() as worker:
        monkeypatch.setattr(worker, "_ask", lambda line: None)
        done = worker.convert(source("pass"), [SETTING])
    assert (done.results, done.passing) == (["no answer"], True)


@needs_walls
@pytest.mark.parametrize(
    ("deed", "passing"),
    [("time.sleep(1000)", True), ("os._exit(3)", False), ("os.abort()", False)],
)
def test_an_end_that_may_be_the_machines_fault_is_a_passing_one(worker, monkeypatch, deed, passing):
    monkeypatch.setattr(worker, "limits", Limits(seconds=1))
    assert worker.convert(source(deed), [SETTING]).passing == passing


@pytest.mark.parametrize(
    ("end", "used", "verdict"),
    [
        ("out of time", 29.5, ("out of time", False)),
        ("out of time", 9.0, ("out of time", True)),
        ("killed by SIGKILL", 30.0, ("out of time", False)),
        ("killed by SIGKILL", 9.0, ("killed by SIGKILL", True)),
        ("killed by SIGABRT", 9.0, ("killed by SIGABRT", False)),
        ("", 9.0, ("", False)),
    ],
)
def test_who_used_up_its_processor_time_is_too_slow(end, used, verdict):
    assert _worker._verdict(end, used, Limits(seconds=30)) == verdict


@needs_walls
@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("import torchvision_of_nobody", MissingExtraError, "No module named 'torchvision_of_no"),
        ("raise OSError('no room')", SandboxError, "does not start: OSError: no room"),
        ("pass", SandboxError, "not ready"),
    ],
)
def test_a_worker_that_does_not_start_is_an_error(monkeypatch, code, error, message):
    real = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda command, **kw: real([*command[:-2], "-c", code], **kw)
    )
    with ForeignCode() as worker:
        for _ in range(2):
            with pytest.raises(error, match=message):
                worker.convert(source("pass"), [SETTING])


DEEDS = [
    "open('/etc/passwd')",
    "open('/tmp/archcast-there', 'w')",
    "open('/dev/null', 'w')",
    "socket.socket()",
    "socket.socket(socket.AF_UNIX)",
    "os.fork()",
    "os.kill(os.getppid(), 0)",
    "os.execv('/bin/true', ['true'])",
    "os.memfd_create('x')",
    "os.mkdir('/tmp/archcast-folder')",
    "os.chmod('/tmp', 0o777)",
    "os.unlink('/etc/hostname')",
    "os.setuid(0)",
    "fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())",
    "threading.Thread(target=print).start()",
    "bytearray(1 << 31)",
    "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
]


@needs_walls
def test_the_kernel_alone_refuses_too():
    # The same without Python's audit hook, which a source could get around.
    code = f"""
import fcntl, json, os, resource, socket, sys, threading
from archcast.datasets.foreign import _sandbox
_sandbox._audit = lambda event, args: None
held = _sandbox.confine(_sandbox.Limits(seconds=20, megabytes=256))
assert tuple(held) == _sandbox.WALLS, held
done = []
for deed in {DEEDS!r}:
    try:
        exec(deed)
    except (OSError, MemoryError, RuntimeError, ValueError):
        continue
    done.append(deed)
print(json.dumps(done))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_without_walls_nothing_is_run(monkeypatch):
    monkeypatch.setattr(_process, "missing", lambda: ["landlock"])
    with pytest.raises(SandboxError, match=r"landlock missing.*ARCHCAST_UNCONFINED=1"):
        ForeignCode()
    monkeypatch.setenv("ARCHCAST_UNCONFINED", "1")
    with ForeignCode() as worker:
        assert worker.unconfined


def test_a_wall_that_fails_late_is_an_error_too(monkeypatch):
    monkeypatch.setattr(_process, "missing", list)
    worker = ForeignCode()
    answer = {
        "text": json.dumps({"refused": ["seccomp"]}),
        "end": "",
        "passing": False,
        "seconds": 0.1,
    }
    monkeypatch.setattr(worker, "_ask", lambda line: answer)
    with pytest.raises(SandboxError, match="seccomp missing"):
        worker.convert(source("pass"), [SETTING])


def test_other_systems_have_no_walls(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert _sandbox.missing() == list(WALLS)


def test_missing_torch_names_the_extra(monkeypatch):
    monkeypatch.setattr(_process, "missing", list)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with ForeignCode() as worker, pytest.raises(MissingExtraError, match=r"archcast\[torch\]"):
        worker.convert(source("pass"), [SETTING])


@needs_walls
def test_the_worker_inherits_no_secrets(monkeypatch):
    monkeypatch.setenv("ARCHCAST_SECRET", "hidden")
    told = "raise ValueError(f'{os.environ.get(\"ARCHCAST_SECRET\")} {len(os.environ)}')"
    with ForeignCode() as worker:
        done = worker.convert(source(told), [SETTING])
        assert worker._worker is not None
        inherited = Path(f"/proc/{worker._worker.pid}/environ").read_bytes()
    assert done.results == ["run: ValueError: None 0"]
    assert b"LANG=" in inherited  # it can be read
    assert b"ARCHCAST_SECRET" not in inherited
